"""For the tests of the HTTP API: good forms, the app over the test client or as a process, what answers look like."""
import base64
import io
import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from typing import Any

import psycopg2
import pytest
import redis
import requests
from flask.testing import FlaskClient
from PIL import Image
from werkzeug.test import TestResponse

from microsite import ROOT, Site
from petsong import database
from petsong.models import Attempt, CreditReading, Heartbeat, Submission
from petsong.settings import QUEUE_NAMES, Settings
from scripts.processes import end, spawn
from scripts.servers import free_port

POST = "/api/submissions"
# Where the database plays no part, one kind of it is enough.
on_sqlite = pytest.mark.parametrize("shared_database", ["sqlite"], indirect=True)
on_postgresql = pytest.mark.parametrize("shared_database", ["postgresql"], indirect=True)
PHOTO_MESSAGE = "Please upload JPG or PNG image under 5MB"


# ---- photos and forms

def picture(width: int = 400, height: int = 400, kind: str = "JPEG") -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (width, height), "teal").save(out, kind)
    return out.getvalue()


def as_text(data: bytes) -> str:
    return base64.b64encode(data).decode()


PHOTO = as_text(picture())


def form(**changes: Any) -> dict[str, Any]:
    """A good form; a change to `...` leaves the field out."""
    good = {"pet_name": "Biscuit", "pet_type": "Dog", "photo": PHOTO, "music_vibe": "Romantic", "owner_name": "Marisol"}
    return {name: value for name, value in {**good, **changes}.items() if value is not ...}


# ---- the app

class Api(Site):
    """The app over the test client, and rows at any point of their life."""

    def __init__(self, folder: Path, redis_url: str, **changes: Any) -> None:
        super().__init__(folder, redis_url, **changes)
        self.client: FlaskClient = self.app.test_client()

    @property
    def parts(self) -> Any:
        return self.app.extensions["petsong"]

    def post(self, *, key: str | None = None, address: str = "198.51.100.7", **changes: Any) -> TestResponse:
        """A good form with these changes, from this address."""
        headers = {"Idempotency-Key": key} if key is not None else {}
        body = json.dumps(form(**changes))  # in ASCII: half characters cannot be sent otherwise
        return self.client.post(
            POST, data=body, content_type="application/json", headers=headers, environ_base={"REMOTE_ADDR": address}
        )

    def post_raw(self, body: bytes, content_type: str = "application/json", **headers: str) -> TestResponse:
        return self.client.post(POST, data=body, content_type=content_type, headers=headers)

    def get(self, path: str, address: str = "198.51.100.7", **headers: str) -> TestResponse:
        return self.client.get(path, headers=headers, environ_base={"REMOTE_ADDR": address})

    def row(self, session_id: str) -> Any:
        with database.connection():
            return Submission.get_by_id(session_id)

    def credits(self, usable: int | None) -> None:
        """What the service said of the balance just now."""
        with database.connection():
            CreditReading.insert(at=database.now(), usable=usable).execute()

    def attempt(self, session_id: str, **changes: Any) -> Any:
        """An order of the row, accepted by default."""
        with database.connection():
            moment = database.now()
            values = {
                "submission": session_id, "number": 1, "token": sha256(session_id.encode()).hexdigest(), "claimed_at": moment,
                "call_started_at": moment, "outcome": "accepted", "task_id": f"task-{session_id}",
            }
            return Attempt.get_by_id(Attempt.insert(**{**values, **changes}).execute())

    def workers(self, **counts: int) -> None:
        """Pools that gave a sign of life just now; by default one worker for each queue."""
        with database.connection():
            moment = database.now()
            queues = counts or dict.fromkeys(QUEUE_NAMES, 1)
            Heartbeat.insert(name="pool", at=moment, started_at=moment, queues=queues).execute()

    def uploads(self) -> list[str]:
        return sorted(path.name for path in self.settings.img_storage.glob("*"))


def let_go() -> None:
    """Close what the app's pool holds."""
    if database.db.obj is None:
        return
    if not database.db.is_closed():
        database.db.close()
    if isinstance(database.db.obj, database.PooledPostgres):
        database.db.obj.close_all()


# ---- as a process

class Gunicorn:
    """The app behind real HTTP, as in production, with the log lines that it wrote."""

    def __init__(self, folder: Path, settings: Settings, *, workers: int = 1) -> None:
        self.port = free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        self.log = folder / "gunicorn.log"
        argv = [
            sys.executable, "-m", "gunicorn", "--bind", f"127.0.0.1:{self.port}", "--worker-class", "gthread",
            "--workers", str(workers), "--threads", "8", "--graceful-timeout", "1", "--no-control-socket", "wsgi:app",
        ]
        environ = {name: value for name, value in os.environ.items() if name.lower() not in Settings.model_fields}
        with self.log.open("wb") as output:
            self.process: subprocess.Popen[bytes] = spawn(argv, output, env={**environ, **environ_of(settings)}, cwd=ROOT)

    def __enter__(self) -> "Gunicorn":
        try:
            self._wait()
        except BaseException:
            end(self.process)
            raise
        return self

    def _wait(self) -> None:
        deadline = time.monotonic() + 60
        while not self._answers():
            assert self.process.poll() is None and time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.05)

    def __exit__(self, *_: object) -> None:
        end(self.process)

    def _answers(self) -> bool:
        try:
            return requests.get(f"{self.address}/api/health/live", timeout=2).ok
        except requests.RequestException:
            return False

    def lines(self) -> list[str]:
        return self.log.read_text().splitlines()


def environ_of(settings: Settings) -> dict[str, str]:
    """The environment from which a process reads these settings."""
    values = settings.model_dump(exclude_defaults=True, exclude={"workers"})
    return {name.upper(): ",".join(value) if isinstance(value, tuple) else str(value) for name, value in values.items()}


def post_all(address: str, forms: list[dict[str, Any]], headers: dict[str, str] | None = None) -> list[requests.Response]:
    """All at once, a connection each."""
    with ThreadPoolExecutor(len(forms)) as pool:
        return list(pool.map(lambda data: requests.post(f"{address}{POST}", json=data, headers=headers, timeout=60), forms))


# ---- what answers look like

def check_error(answer: Any, status: int, code: str, message: str | None = None) -> dict[str, Any]:
    """The one shape of errors; the body, for more questions."""
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/json"
    body: dict[str, Any] = json.loads(answer.text)
    assert body["success"] is False and body["code"] == code, body
    assert isinstance(body["error"], str) and body["error"]
    assert isinstance(body["message"], str) and body["message"]
    assert message is None or body["message"] == message
    assert "Traceback" not in answer.text
    return body


def drop_connections(url: str) -> None:
    """End every connection to this PostgreSQL database, as a restart of the server would."""
    mine = psycopg2.connect(url)
    try:
        with mine.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() "
                           "AND datname = current_database()")
    finally:
        mine.close()


def queue_length(url: str, name: str) -> int:
    client = redis.Redis.from_url(url)
    try:
        return int(client.llen(f"rq:queue:{name}"))
    finally:
        client.close()
