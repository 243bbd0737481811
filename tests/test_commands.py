"""The operator's commands: what they print, what they change, how they refuse."""
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from flask import Flask
from redis import Redis
from rq import Queue
from rq.serializers import JSONSerializer

from kit import accepted, answer, attempts, make_settings, open_database, row, submit, success
from petsong import database, doctor
from petsong.lifecycle.answers import record_answer
from petsong.lifecycle.claims import fail, take
from petsong.lifecycle.readback import open_questions, receive_hint, record_news
from petsong.lifecycle.sending import begin_call, claim_rows
from petsong.lifecycle.stages import Stage
from petsong.models import Submission
from petsong.settings import Settings
from petsong.sonauto import Hint, Meaning
from petsong.web import commands, create_app
from petsong.web.extension import parts
from scripts.sandbox.server import SandboxServer

Run = Callable[..., Result]


@pytest.fixture
def settings(tmp_path: Path, database_url: str, empty_redis: str) -> Settings:
    folders = {f"{name}_storage": tmp_path / name for name in ("img", "audio", "video")}
    return make_settings(database_url, empty_redis, **folders)


@pytest.fixture
def app(settings: Settings) -> Iterator[Flask]:
    open_database(settings.database_url)
    made = create_app(settings)
    commands.register(made)
    database.open_connection()
    yield made
    if not database.db.is_closed():
        database.db.close()


@pytest.fixture
def run(app: Flask) -> Run:
    return lambda *words: app.test_cli_runner().invoke(args=list(words))


def send(settings: Settings, session_id: str, meaning: Any) -> Any:
    """The row's order goes out and is answered so; the claim it had."""
    assert claim_rows(settings) == [session_id]
    claim = take(session_id, Stage.SENDING, 60)
    assert claim is not None
    record_answer(settings, claim, begin_call(claim), meaning)
    return claim


def fail_downloading(settings: Settings, session_id: str) -> None:
    """A song that was made and paid, whose download failed for good."""
    send(settings, session_id, accepted("task-1"))
    Submission.update(next_check_at=database.now()).execute()
    record_news(settings, take(session_id, Stage.GENERATING, 60), open_questions(session_id)[0], success())
    claim = take(session_id, Stage.DOWNLOADING, 60)
    assert claim is not None
    fail(claim, "download_cut", detail="12 of 90 bytes")


def waiting(settings: Settings, queue: str) -> list[str]:
    """Jobs in a queue, oldest first."""
    client = Redis.from_url(settings.redis_url)
    try:
        ids = Queue(queue, connection=client, serializer=JSONSerializer).get_job_ids()
    finally:
        client.close()
    return [job_id.partition("-")[0] for job_id in ids]


def test_the_app_knows_the_commands(settings: Settings) -> None:
    open_database(settings.database_url)
    assert {"show", "retry", "check-service"} <= set(create_app(settings).cli.commands)
    database.db.close()


# ---- show

def test_show_tells_the_whole_story(run: Run, settings: Settings, app: Flask) -> None:
    submit(settings, "song1")
    with app.app_context():
        parts().storage.put_bytes("uploads/song1.jpg", b"12345")
    fail_downloading(settings, "song1")
    result = run("show", "song1")
    assert result.exit_code == 0, result.output
    for part in (
        "song1  failed (download_cut) since ", "task task-1", "uploads/song1.jpg  5 bytes", "queued -> sending  claimed",
        "downloading -> failed  download_cut  12 of 90 bytes", "webhook receipts: none", "`retry` gives it a new life",
    ):
        assert part in result.output


def test_show_as_json_is_one_line_with_everything(run: Run, settings: Settings) -> None:
    submit(settings, "song1")
    send(settings, "song1", accepted("task-1"))
    receive_hint(Hint("task-1", "SUCCESS"), "hash", token=attempts("song1")[0].token)
    result = run("show", "song1", "--json")
    assert result.stdout.count("\n") == 1
    told = json.loads(result.stdout)
    assert told["submission"]["stage"] == "generating"
    assert told["submission"]["wants"] == "fetch_generation_details"
    assert [attempt["task_id"] for attempt in told["attempts"]] == ["task-1"]
    assert [receipt["outcome"] for receipt in told["webhook_receipts"]] == ["hint"]
    assert told["files"] == [{"kind": "photo", "key": "uploads/song1.jpg", "bytes": None}]
    assert [event["to"] for event in told["events"]] == ["queued", "sending", "generating"]


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_show_never_prints_names_or_tokens(run: Run, settings: Settings, form: list[str]) -> None:
    submit(settings, "song1", owner_name="Xenia Sample", pet_name="Quux", owner_name_said="KSE-nia")
    send(settings, "song1", accepted("task-1"))
    output = run("show", "song1", *form).output
    for secret in ("Xenia", "Quux", "KSE-nia", attempts("song1")[0].token, settings.secret_key):
        assert secret not in output


def test_show_says_why_nothing_is_sent(run: Run, settings: Settings) -> None:
    submit(settings, "song1")
    send(settings, "song1", answer(Meaning.FREE_EVERYONE, "no such key"))
    output = run("show", "song1").output
    assert "sending pauses since" in output and "no such key" in output


def test_show_says_who_holds_the_row(run: Run, settings: Settings) -> None:
    submit(settings, "song1")
    claim_rows(settings)
    take("song1", Stage.SENDING, 60, holder="send_to_sonauto-song1-ab")
    assert "a worker holds it until" in run("show", "song1").output


@pytest.mark.parametrize("unknown", ["nosuchsong", "../etc", "x" * 300])
def test_show_refuses_unknown_ids(run: Run, unknown: str) -> None:
    result = run("show", unknown)
    assert result.exit_code == 1
    assert "There is no submission" in result.output and "Traceback" not in result.output


# ---- retry

def test_retry_resumes_at_the_first_missing_artefact_and_enqueues_its_job(run: Run, settings: Settings) -> None:
    submit(settings, "song1")
    fail_downloading(settings, "song1")
    result = run("retry", "song1", "--who", "Kim Operator")
    assert (result.exit_code, result.output) == (0, "song1 goes on in downloading.\n")
    assert row("song1").stage == Stage.DOWNLOADING
    assert waiting(settings, "downloads") == ["download_audio"]
    assert "by Kim Operator" in run("show", "song1").output


def test_retry_goes_on_to_rendering_where_the_song_is_stored(run: Run, settings: Settings, app: Flask) -> None:
    submit(settings, "song1")
    fail_downloading(settings, "song1")
    Submission.update(generated_song_path="audio/song1.1.mp3").execute()
    with app.app_context():
        parts().storage.put_bytes("audio/song1.1.mp3", b"song")
    told = json.loads(run("retry", "song1", "--json").stdout)
    assert told == {
        "success": True, "session_id": "song1", "stage": "rendering", "job": "create_video", "enqueued": True,
    }
    assert waiting(settings, "renders") == ["create_video"]


def test_retry_of_an_unpaid_song_queues_it(run: Run, settings: Settings) -> None:
    submit(settings, "song1")
    send(settings, "song1", answer(Meaning.PERMANENT))
    assert "goes on in queued" in run("retry", "song1").output
    assert waiting(settings, "dispatch") == ["process_pending_queue"]


def test_retry_while_redis_is_away_leaves_it_to_the_sweep(run: Run, settings: Settings, app: Flask) -> None:
    submit(settings, "song1")
    fail_downloading(settings, "song1")
    app.extensions["petsong"].queues.client = Redis(port=1, socket_connect_timeout=0.2)
    result = run("retry", "song1")
    assert result.exit_code == 0 and "the sweep enqueues it" in result.output
    assert row("song1").stage == Stage.DOWNLOADING


def test_retry_refuses_songs_that_have_not_failed(run: Run, settings: Settings) -> None:
    submit(settings, "song1")
    result = run("retry", "song1")
    assert result.exit_code == 1 and "only failed submissions" in result.output
    assert row("song1").stage == Stage.QUEUED


def test_retry_refuses_in_json_too(run: Run) -> None:
    result = run("retry", "nosuchsong", "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout) == {"success": False, "error": "There is no submission nosuchsong."}


# ---- check-service

@pytest.fixture(scope="module")
def service() -> Iterator[SandboxServer]:
    server = SandboxServer({"credits": 2500})
    yield server
    server.stop()


def check(settings: Settings, *words: str, **changes: Any) -> Result:
    made = create_app(settings.model_copy(update=changes))
    commands.register(made)
    return made.test_cli_runner().invoke(args=["check-service", *words])


def test_check_service_names_the_balance(app: Flask, settings: Settings, service: SandboxServer) -> None:
    own = {"external_api_url": f"{service.url}/v1", "sonauto_api_key": service.key}
    result = check(settings, **own)
    assert result.exit_code == 0
    assert f"{service.url}/v1 answers: 2500 credits, enough for 25 songs." in result.output
    told = json.loads(check(settings, "--json", **own).stdout)
    assert (told["usable_credits"], told["songs"]) == (2500, 25)


def test_check_service_with_a_wrong_key_says_so(app: Flask, settings: Settings, service: SandboxServer) -> None:
    result = check(settings, external_api_url=f"{service.url}/v1", sonauto_api_key="sksonauto_wrong")
    assert result.exit_code == 1 and "SONAUTO_API_KEY may be wrong" in result.output


@pytest.mark.parametrize(("used", "other"), [(0, 1), (1, 0)])
def test_check_service_names_the_other_address(used: int, other: int) -> None:
    address, elsewhere = doctor.BASE_ADDRESSES[used], doctor.BASE_ADDRESSES[other]
    message = doctor.unreachable(make_settings(external_api_url=address))
    assert f"try EXTERNAL_API_URL={elsewhere}" in message and message.count(address) == 1


def test_check_service_without_a_service_names_both_addresses(app: Flask, settings: Settings) -> None:
    result = check(settings, "--json", external_api_url="http://127.0.0.1:1/v1")
    assert result.exit_code == 1
    for address in doctor.BASE_ADDRESSES:
        assert address in json.loads(result.stdout)["error"]
