"""The database is lost and comes back: 503 with a time to try again, and one reconnect is enough."""
import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from api_kit import Api, Gunicorn, check_error, drop_connections, form, on_postgresql, on_sqlite, post_all
from kit import make_settings
from petsong import database
from petsong.migrate import MigrationsPending, migrate
from petsong.models import Submission
from petsong.web import create_app
from scripts.servers import PostgresServer

pytest_plugins = "api_fixtures"

GET_PATHS = ["/api/submissions/song1/status", "/api/results/song1", "/api/availability", "/api/nothing"]


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    """One that may be stopped: nobody else uses it."""
    with PostgresServer() as started:
        yield started


def check_unavailable(api: Api) -> None:
    posts = [api.post(), api.client.post("/api/webhook", json={"task_id": "x"}), api.client.post("/api/webhook/token")]
    for answer in [*posts, *(api.get(path) for path in GET_PATHS)]:
        check_error(answer, 503, "unavailable", "Service temporarily unavailable")
        assert int(answer.headers["Retry-After"]) > 0
    page = api.get("/result/song1")
    assert page.status_code == 503 and page.mimetype == "text/html" and int(page.headers["Retry-After"]) > 0


@pytest.mark.slow
@on_postgresql
def test_lost_and_found_again(make_api: Callable[..., Api], server: PostgresServer) -> None:
    """One server for the whole story: making one takes a second."""
    api = make_api(database_url=server.make_database())
    assert api.post().status_code == 200
    server.stop()
    check_unavailable(api)
    assert api.get("/api/health/live").status_code == 200
    server.start()
    assert api.post().status_code == 200
    assert [api.get(path).status_code for path in GET_PATHS] == [404, 404, 200, 404]
    assert len(api.rows()) == 2
    assert len(api.uploads()) == 2, "a form that was refused must leave no photo"


@on_postgresql
def test_one_reconnect_is_enough_for_a_pool_full_of_dead_connections(api: Api) -> None:
    with api.serve():
        assert {answer.status_code for answer in post_all(api.address, [form() for _ in range(8)])} == {200}
    drop_connections(api.settings.database_url)
    assert [api.post().status_code for _ in range(3)] == [200] * 3


@on_postgresql
def test_a_connection_that_dies_within_a_request_is_503_and_the_next_request_works(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Submission.insert

    def dying(*args: object, **kwargs: object) -> object:
        drop_connections(api.settings.database_url)
        return real(*args, **kwargs)

    monkeypatch.setattr(Submission, "insert", dying)
    check_error(api.post(), 503, "unavailable")
    monkeypatch.undo()
    assert api.post().status_code == 200
    assert len(api.rows()) == 1


@on_sqlite
def test_a_locked_sqlite_file_is_no_traceback(api: Api) -> None:
    database.db.obj.timeout = 0.1
    other = database.Sqlite(database.db.obj.database, timeout=1, autoconnect=False)
    other.connect()
    other.execute_sql("BEGIN IMMEDIATE")
    try:
        check_error(api.post(), 503, "unavailable")
        assert api.get("/api/availability").status_code == 200
    finally:
        other.execute_sql("ROLLBACK")
        other.close()
    assert api.post().status_code == 200


def test_without_migrations_no_process_starts(database_url: str, tmp_path: Path, root_logger: logging.Logger) -> None:
    settings = make_settings(database_url, video_storage=tmp_path)
    with pytest.raises(MigrationsPending, match=r"python -m petsong\.migrate"):
        create_app(settings)
    migrate(database.connect_to(database_url))
    create_app(settings)


@pytest.mark.slow
@on_postgresql
def test_lost_over_real_http(start_gunicorn: Callable[..., Gunicorn], server: PostgresServer) -> None:
    gunicorn = start_gunicorn(database_url=server.make_database())
    assert {answer.status_code for answer in post_all(gunicorn.address, [form() for _ in range(12)])} == {200}
    server.stop()
    for answer in post_all(gunicorn.address, [form() for _ in range(4)]):
        check_error(answer, 503, "unavailable")
    server.start()
    answers = post_all(gunicorn.address, [form() for _ in range(12)])
    assert {answer.status_code for answer in answers} == {200}
    lost = [line for line in gunicorn.lines() if "database lost" in line]
    assert lost and all("CRITICAL" in line for line in lost)
