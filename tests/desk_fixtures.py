"""Fixtures for the tests of what the desk reads and sets, which name this module in `pytest_plugins`.

`desk_settings`: on one database of each kind for all these tests, emptied before each; a connection is open.
"""
from collections.abc import Iterator
from pathlib import Path

import pytest

from api_kit import let_go
from kit import empty_tables, make_settings, open_database
from petsong import database
from petsong.settings import Settings

pytest_plugins = "api_fixtures"


@pytest.fixture
def desk_settings(shared_database: str, empty_redis: str, tmp_path: Path) -> Iterator[Settings]:
    let_go()
    open_database(shared_database)
    with database.db.atomic():  # one flush to the disk, not fifteen
        empty_tables()
    yield make_settings(shared_database, empty_redis, video_storage=tmp_path)
    let_go()
