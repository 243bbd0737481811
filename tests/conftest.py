"""Servers for the tests: a Redis and a PostgreSQL of their own, started once per run and only when a test asks."""

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
import redis

from petsong import logs, outbox
from scripts.servers import PostgresServer, RedisServer

MakeDatabase = Callable[[str], str]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Quick files first, so that their failures show soon, then slow ones, which wait for servers; at last the drill alone."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: 2 if item.path.name == "test_chaos.py" else 1 if item.path in slow else 0)


@pytest.fixture(autouse=True)
def nothing_left_to_tell() -> None:
    """What an earlier test had to alert of, in this process's memory, is no business of the next one."""
    logs.CRITICALS.kept.clear()
    outbox.take_written()


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture(scope="session")
def redis_url(redis_server: RedisServer) -> str:
    """REDIS_URL (unix://…?db=0) of a Redis that only this run knows; what earlier tests left is still in it."""
    return redis_server.url


@pytest.fixture
def empty_redis(redis_url: str) -> str:
    """redis_url, with every database of it emptied first."""
    client = redis.Redis.from_url(redis_url)
    client.flushall()
    client.close()
    return redis_url


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    with PostgresServer() as server:
        yield server


@pytest.fixture(scope="session")
def postgres_url(postgres_server: PostgresServer) -> str:
    """DATABASE_URL of the cluster's own maintenance database: make_database("postgresql") gives an empty one."""
    return postgres_server.url()


@pytest.fixture
def make_database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MakeDatabase]:
    """make_database("sqlite" | "postgresql") gives the DATABASE_URL of a new, empty database, gone after the test."""
    made: list[str] = []
    numbers = count(1)

    def make(kind: str) -> str:
        if kind == "sqlite":
            return f"sqlite:///{tmp_path / f'petsong-{next(numbers)}.db'}"
        if kind != "postgresql":
            raise ValueError(f"no such kind of database: {kind!r} (sqlite or postgresql)")
        made.append(request.getfixturevalue("postgres_server").make_database())
        return made[-1]

    yield make
    for url in made:
        request.getfixturevalue("postgres_server").drop_database(url)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, make_database: MakeDatabase) -> str:
    """A new, empty database of each kind: the test runs once on SQLite and once on PostgreSQL."""
    return make_database(request.param)
