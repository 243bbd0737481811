"""Shared by the tests of the lifecycle and the pipeline: settings, rows, and time that passes by ageing the data."""
from datetime import timedelta
from pathlib import Path
from typing import Any

from petsong import database
from petsong.database import UTCField, db
from petsong.lifecycle.arrival import Arrival, accept
from petsong.migrate import migrate
from petsong.models import TABLES, Attempt, Submission
from petsong.settings import Settings
from petsong.sonauto import Answer, Meaning, TaskAnswer

SECRET = "test-secret-test-secret"


def make_settings(url: str = "sqlite:///unused.db", redis_url: str = "redis://127.0.0.1:1/0", **values: Any) -> Settings:
    return Settings(database_url=url, redis_url=redis_url, secret_key=SECRET, **values)


def open_database(url: str) -> None:
    """Point the models at a new database with all migrations, and open a connection."""
    if not isinstance(db.obj, type(None)) and not db.is_closed():
        db.close()
    migrate(database.connect_to(url))
    db.connect(reuse_if_open=True)


def empty_tables() -> None:
    for table in reversed(TABLES):
        table.delete().execute()


def submit(settings: Settings, session_id: str, cookie_id: str = "cookie_test", **values: Any) -> str:
    arrival = Arrival(**{
        "session_id": session_id, "cookie_id": cookie_id, "campaign": "valentines", "owner_name": "Ana Sample",
        "pet_name": "Bello", "pet_type": "Dog", "music_vibe": "Chill", "photo_path": f"uploads/{session_id}.jpg", **values,
    })
    accept(settings, arrival, {"session_id": session_id}, None)
    return session_id


def row(session_id: str) -> Any:
    return Submission.get_by_id(session_id)


def attempts(session_id: str) -> list[Any]:
    return list(Attempt.select().where(Attempt.submission == session_id).order_by(Attempt.number))


def age(seconds: float) -> None:
    """Let time pass: every instant in the database moves back."""
    for table in TABLES:
        fields = [field for field in table._meta.sorted_fields if isinstance(field, UTCField)]
        for found in table.select():
            moved = {
                field.name: getattr(found, field.name) - timedelta(seconds=seconds)
                for field in fields if getattr(found, field.name) is not None
            }
            table.update(**moved).where(table._meta.primary_key == found._pk).execute()


def accepted(task_id: str) -> Answer:
    return Answer(Meaning.ACCEPTED, task_id, 200)


def answer(meaning: Meaning, detail: str = "said no") -> Answer:
    return Answer(meaning, None, None, detail)


def working() -> TaskAnswer:
    return TaskAnswer(reachable=True, known=True)


def success(url: str | None = "https://cdn.sonauto.ai/song.mp3") -> TaskAnswer:
    return TaskAnswer(reachable=True, known=True, state="success", song_url=url, lyrics="la la")


def failure() -> TaskAnswer:
    return TaskAnswer(reachable=True, known=True, state="failure", error_message="no voice")


def unreachable() -> TaskAnswer:
    return TaskAnswer(reachable=False)


def forgotten() -> TaskAnswer:
    return TaskAnswer(reachable=True, known=False)


def repository() -> Path:
    return Path(__file__).resolve().parent.parent
