"""Fixtures for the test_pipeline_ files, which name this module in `pytest_plugins`: a World of each kind of database."""
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest

import jobs.tools
from petsong import database
from pipeline import TUNED, World
from scripts.sandbox.server import SandboxServer, start
from scripts.servers import PostgresServer


@pytest.fixture(scope="session")
def song_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxServer]:
    folder = tmp_path_factory.mktemp("song-service")
    with start(data=folder, tune="tone", song_seconds=11, generate_seconds=0.1, align_seconds=0, credits=10**6) as server:
        yield server


@pytest.fixture(scope="session")
def worlds(
    tmp_path_factory: pytest.TempPathFactory, song_service: SandboxServer, postgres_server: PostgresServer
) -> Iterator[Callable[[str], World]]:
    """One World a kind of database for the whole run; each test finds it empty."""
    with ExitStack() as stack:
        made: dict[str, World] = {}

        def world_on(kind: str) -> World:
            if kind not in made:
                folder = tmp_path_factory.mktemp(kind)
                url = f"sqlite:///{folder / 'petsong.db'}" if kind == "sqlite" else postgres_server.make_database()
                made[kind] = World(folder, url, song_service)
                stack.callback(made[kind].close)
            return made[kind]

        yield world_on


@contextmanager
def emptied(world: World) -> Iterator[World]:
    """For one test: nothing left of the last one, and the product's constants scaled down in this process, too."""
    world.reset()
    with pytest.MonkeyPatch.context() as patch:
        for dotted, value in TUNED.items():
            patch.setattr(dotted, value)
        yield world
    if not database.db.is_closed():
        database.db.close()
    jobs.tools.tools.cache_clear()


@pytest.fixture(params=["sqlite", "postgresql"])
def world(request: pytest.FixtureRequest, worlds: Callable[[str], World]) -> Iterator[World]:
    with emptied(worlds(request.param)) as found:
        yield found


@pytest.fixture
def sqlite_world(worlds: Callable[[str], World]) -> Iterator[World]:
    """Where the database makes no difference."""
    with emptied(worlds("sqlite")) as found:
        yield found
