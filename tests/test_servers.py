"""The private servers: alone at their address, fresh databases, gone when they should be."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psycopg2
import pytest
import redis

from scripts import servers
from scripts.processes import session_pids
from scripts.servers import PostgresServer, RedisServer, ServerError

ROOT = Path(__file__).resolve().parent.parent


def test_redis_answers_on_its_private_socket_only(redis_server: RedisServer) -> None:
    client = redis.Redis.from_url(redis_server.url)
    assert client.ping()
    assert client.config_get("port")["port"] == "0"
    client.close()
    assert (redis_server.folder / "redis.sock").stat().st_mode & 0o777 == 0o700
    assert redis_server.folder.stat().st_mode & 0o777 == 0o700


def test_redis_keeps_what_it_was_told_over_a_stop() -> None:
    with RedisServer() as server:
        client = redis.Redis.from_url(server.url)
        client.set("k", "v")
        server.stop()
        assert not servers.redis_answers(server.url)
        server.start()
        assert client.get("k") == b"v"
        client.close()


def test_nothing_is_left_of_a_closed_server() -> None:
    with RedisServer() as server:
        pid = server.pid
        assert session_pids(pid) == [pid]
    assert session_pids(pid) == []
    assert not server.folder.exists()


def test_a_server_that_cannot_start_says_why_and_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "redis_argv", lambda binary, folder: [str(binary), "--no-such-option", "1"])
    server = RedisServer()
    with pytest.raises(ServerError, match="(?s)redis did not start.*no-such-option"), server:
        pass
    assert not server.folder.exists()


def test_the_redis_of_a_killed_program_goes_with_it() -> None:
    program = (
        "from scripts.servers import RedisServer\nimport time\ns = RedisServer(); s.start()\n"
        "print(s.pid, s.folder, flush=True)\ntime.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        pid, folder = process.stdout.readline().split()
        assert session_pids(int(pid))
        process.kill()
    deadline = time.monotonic() + 10
    while session_pids(int(pid)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert session_pids(int(pid)) == []
    shutil.rmtree(folder)


def test_every_postgres_database_is_new_and_empty(make_database: Callable[[str], str]) -> None:
    first, second = make_database("postgresql"), make_database("postgresql")
    assert first != second
    for url in (first, second):
        connection = psycopg2.connect(url)
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")
            assert cursor.fetchone() == (0,)
            cursor.execute("CREATE TABLE t (x int)")
        connection.commit()
        connection.close()


def test_a_dropped_database_is_gone_though_somebody_is_connected(postgres_server: PostgresServer) -> None:
    url = postgres_server.make_database()
    connection = psycopg2.connect(url)
    postgres_server.drop_database(url)
    connection.close()
    with pytest.raises(psycopg2.OperationalError, match="does not exist"):
        psycopg2.connect(url)


def test_postgres_does_not_run_as_root(postgres_server: PostgresServer) -> None:
    assert os.stat(f"/proc/{postgres_server.pid}").st_uid != 0


def test_postgres_comes_back_at_the_same_address_after_a_crash() -> None:
    with PostgresServer() as server:
        url = server.make_database()
        server.stop(signal.SIGKILL)
        with pytest.raises(psycopg2.OperationalError):
            psycopg2.connect(url, connect_timeout=2)
        server.start()
        psycopg2.connect(url).close()


def test_each_kind_of_database_is_offered(database_url: str) -> None:
    assert database_url.partition(":")[0] in ("sqlite", "postgresql")


def test_every_sqlite_database_is_new(make_database: Callable[[str], str]) -> None:
    assert make_database("sqlite") != make_database("sqlite")


def test_an_unknown_kind_of_database_is_refused(make_database: Callable[[str], str]) -> None:
    with pytest.raises(ValueError, match="sqlite or postgresql"):
        make_database("oracle")
