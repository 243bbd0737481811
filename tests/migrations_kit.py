"""Databases of an earlier version with something in them, for the tests of migrations."""
from typing import Any

from peewee import Table
from playhouse.migrations import Runner

from petsong import database
from petsong.migrate import FOLDER


def at_version(url: str, version: str) -> Runner:
    """An empty database, brought to the version."""
    runner = Runner(database.connect_to(url), str(FOLDER))
    database.open_connection()
    runner.up(version)
    return runner


def insert(table: str, columns: dict[str, Any]) -> None:
    """As a process of the version before does it, which knows no other columns."""
    values = [value.isoformat(sep=" ") if hasattr(value, "isoformat") else value for value in columns.values()]
    Table(table, list(columns)).bind(database.db).insert(dict(zip(columns, values, strict=True))).execute()


def insert_finished_song() -> None:
    moment = database.now()
    insert("submissions", {
        "session_id": "song1", "created_at": moment, "cookie_id": "cookie_x", "owner_name": "Ana Sample", "pet_name": "Bello",
        "photo_path": "uploads/song1.jpg", "pet_type": "Dog", "music_vibe": "Chill", "campaign": "valentines", "stage": "done",
        "entry_status": "success", "stage_since": moment, "life_since": moment, "retry_count": 0, "former_attempts": 0,
        "claim_no": 1, "tries": 0, "owner_name_said": "", "pet_name_said": "", "prompt_alone": False,
    })
    insert("renditions", {"session_id": "song1", "kind": "poster", "path": "video/song1.1.poster.jpg", "made_at": moment})
