"""For the tests of the operator's desk: requests behind the login, forms with their token, rows of many kinds."""
import base64
import re
from datetime import timedelta
from typing import Any

from werkzeug.test import TestResponse

from api_kit import Api
from petsong import database
from petsong.lifecycle.stages import ENTRY_STATUS, Stage
from petsong.models import Event

WHO, PASSWORD = "boss", "open sesame ä"
SETTINGS = {"admin_username": WHO, "admin_password": PASSWORD}
LOGIN = {"Authorization": "Basic " + base64.b64encode(f"{WHO}:{PASSWORD}".encode()).decode()}
TOKEN = re.compile(r'name="token" value="([0-9a-f]{64})"')


class Desk:
    def __init__(self, api: Api) -> None:
        self.api = api

    def get(self, path: str, **headers: str) -> TestResponse:
        return self.api.get(path, **{**LOGIN, **headers})

    def post(self, path: str, body: Any = None, **headers: str) -> TestResponse:
        """JSON, as a program would."""
        return self.api.client.post(path, json=body, headers={"Content-Type": "application/json", **LOGIN, **headers})

    def submit(self, path: str, page: str, *, token: str | None = None, origin: str = "http://localhost",
               **fields: str) -> TestResponse:
        """A form, as a browser sends it from `page`."""
        if token is None:
            found = TOKEN.search(self.get(page).text)
            token = found[1] if found else ""
        return self.api.client.post(path, data={"token": token, **fields}, headers={**LOGIN, "Origin": origin})

    def row(self, session_id: str, stage: str = "done", *, age: float = 0, **changes: Any) -> str:
        """A row in this stage, made `age` seconds ago."""
        with database.connection():
            moment = database.now() - timedelta(seconds=age)
        values = {
            "stage": stage, "entry_status": ENTRY_STATUS[Stage(stage)], "created_at": moment, "stage_since": moment,
            "life_since": moment, **changes,
        }
        return self.api.song(session_id, **values)

    def reasons(self, session_id: str) -> list[tuple[str, str]]:
        """(reason, detail) of the row's events, oldest first."""
        with database.connection():
            found = Event.select().where(Event.submission == session_id).order_by(Event.id)
            return [(event.reason, event.detail) for event in found]

    def store(self, key: str, data: bytes = b"data") -> str:
        self.api.parts.storage.put_bytes(key, data)
        return key
