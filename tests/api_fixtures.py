"""Fixtures for the tests of the HTTP API, which name this module in `pytest_plugins`.

`make_api(**settings)` gives the app on an empty database of each kind and an empty Redis; `start_gunicorn(**settings)`
the same as a process of its own, where the framing of HTTP matters.
"""
import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from api_kit import Api, Gunicorn, let_go
from kit import empty_tables
from petsong import database, logs
from scripts.servers import PostgresServer


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def shared_database(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A database of each kind for all these tests; make_api empties it."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path_factory.mktemp('api') / 'api.db'}"
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    url = server.make_database()
    yield url
    let_go()
    server.drop_database(url)


@pytest.fixture
def root_logger() -> Iterator[logging.Logger]:
    """The root logger, left as it was found."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield root
    root.handlers[:] = handlers
    logs.CRITICALS.kept.clear()  # the next test's process has nothing to tell of this one
    root.setLevel(level)


@pytest.fixture
def make_api(
    shared_database: str, empty_redis: str, tmp_path: Path, root_logger: logging.Logger
) -> Iterator[Callable[..., Api]]:
    """make_api(**settings): the app on each kind of database; every one of a test shares database, Redis and folders."""
    clean: list[str] = []

    def make(**changes: Any) -> Api:
        values = {"redis_url": empty_redis, "database_url": shared_database, **changes}
        api = Api(tmp_path, values.pop("redis_url"), **values)
        if not clean:
            with database.connection(), database.db.atomic():  # one flush to the disk, not ten
                empty_tables()
            clean.append("yes")
        return api

    yield make
    let_go()


@pytest.fixture
def api(make_api: Callable[..., Api]) -> Api:
    return make_api()


@pytest.fixture
def start_gunicorn(make_api: Callable[..., Api], tmp_path: Path) -> Iterator[Callable[..., Gunicorn]]:
    with ExitStack() as stack:
        def start(*, workers: int = 1, **changes: Any) -> Gunicorn:
            settings = make_api(**changes).settings
            let_go()  # the process forks; what the fixture leaves open is not its business
            return stack.enter_context(Gunicorn(tmp_path, settings, workers=workers))

        yield start
