"""For the tests of pages: the web app on a database of its own, over real HTTP, and songs at any point of their life."""
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from flask import Flask
from werkzeug.serving import WSGIRequestHandler, make_server

from petsong import database
from petsong.lifecycle import renditions
from petsong.migrate import migrate
from petsong.models import Rendition, Submission
from petsong.settings import Settings
from petsong.web import create_app

ROOT = Path(__file__).resolve().parents[1]
LYRICS = "[Verse 1]\nMarisol wakes to a wagging tail,\nBiscuit is waiting\n\n[Chorus]\nBiscuit, oh Biscuit"


class Quiet(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: Any) -> None:
        """The app has its own access log; a line for each file would bury a failing test's output."""


class Site:
    """A created app; `serve()` puts it on a free port of 127.0.0.1."""

    def __init__(self, folder: Path, redis_url: str, **changes: Any) -> None:
        values = {
            "secret_key": "only-for-these-tests", "database_url": f"sqlite:///{folder / 'site.db'}", "redis_url": redis_url,
            "img_storage": folder / "uploads", "audio_storage": folder / "audio", "video_storage": folder / "video",
            "log_level": "WARNING", "submissions_per_hour_per_ip": 1000,
        }
        self.settings = Settings.model_validate({**values, **changes})
        migrate(database.connect_to(self.settings.database_url))
        self.app: Flask = create_app(self.settings)
        self.folder = folder
        self.address = ""

    @contextmanager
    def serve(self) -> Iterator["Site"]:
        server = make_server("127.0.0.1", 0, self.app, threaded=True, request_handler=Quiet)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        self.address = f"http://127.0.0.1:{server.port}"
        try:
            yield self
        finally:
            server.shutdown()
            thread.join(10)
            server.server_close()

    def song(self, session_id: str, **changes: Any) -> str:
        """A row; by default a finished song without files."""
        with database.connection():
            moment = database.now()
            values = {
                "session_id": session_id, "created_at": moment, "stage_since": moment, "life_since": moment,
                "cookie_id": "cookie_test", "owner_name": "Marisol", "pet_name": "Biscuit", "pet_type": "Dog",
                "music_vibe": "Romantic", "photo_path": f"uploads/{session_id}.jpg", "campaign": self.settings.campaign,
                "stage": "done", "entry_status": "success", "lyrics": LYRICS, "audio_seconds": 2.0,
            }
            Submission.insert(**{**values, **changes}).execute()
        return session_id

    def add_rendition(self, session_id: str, kind: str, content: bytes = b"", **changes: Any) -> None:
        path = f"video/{session_id}-{kind}.{'jpg' if kind in ('poster', 'preview') else 'mp4'}"
        self.app.extensions["petsong"].storage.put_bytes(path, content)
        with database.connection():
            Rendition.insert(submission=session_id, kind=kind, path=path, made_at=database.now(), **changes).execute()

    def order_formats(self, session_id: str, *kinds: str) -> None:
        with database.connection():
            renditions.order(session_id, kinds, database.now())

    def change(self, session_id: str, **changes: Any) -> None:
        with database.connection():
            Submission.update(**changes).where(Submission.session_id == session_id).execute()

    def finish(self, session_id: str, video: Path, picture: Path) -> None:
        """What the last job would have done: files, renditions, the stage."""
        self.app.extensions["petsong"].storage.put_bytes(f"video/{session_id}.mp4", video.read_bytes())
        for kind in ("poster", "preview"):
            self.add_rendition(session_id, kind, picture.read_bytes())
        self.change(
            session_id, stage="done", entry_status="success", lyrics=LYRICS, audio_seconds=2.0,
            generated_video_path=f"video/{session_id}.mp4",
        )

    def rows(self) -> list[Any]:
        with database.connection():
            return list(Submission.select().order_by(Submission.created_at))


def make_assets() -> None:
    subprocess.run([ROOT / "scripts" / "assets"], check=True, timeout=120)
