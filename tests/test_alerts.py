"""What the operator hears of: each condition once while it lasts and once when it is over, CRITICAL lines from any process."""
import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import kit
from api_kit import Api, on_sqlite, queue_length
from jobs.schedule import _sign_of_life
from jobs.tools import Tools, make_tools
from jobs.upkeep import check_credits
from jobs.wrapper import job
from petsong import alerts, database, logs, outbox
from petsong.database import db
from petsong.emergency import tell_of_lost_database
from petsong.lifecycle.cancelling import cancel
from petsong.lifecycle.claims import fail, take
from petsong.lifecycle.stages import Stage
from petsong.models import CreditReading, Event, Heartbeat, OutboxMessage, Submission
from petsong.settings import Settings
from receivers import receiving

pytest_plugins = "api_fixtures"
ROOT = kit.repository()


@pytest.fixture(autouse=True)
def no_criticals() -> Iterator[None]:
    logs.CRITICALS.kept.clear()
    yield
    logs.CRITICALS.kept.clear()


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Iterator[Settings]:
    kit.open_database(database_url)
    outbox.take_written()
    yield kit.make_settings(database_url, video_storage=tmp_path, min_available_credits=500)
    if not db.is_closed():
        db.close()


def texts() -> list[str]:
    return [message.payload["text"] for message in OutboxMessage.select().where(OutboxMessage.destination == "alert")
            .order_by(OutboxMessage.created_at, OutboxMessage.id)]


def ended(name: str, stage: Stage = Stage.DONE, reason: str = "") -> None:
    """A song that ended just now, without the way there."""
    kit.submit(kit.make_settings(form_submit_retry=1000), name)
    Submission.update(stage=stage).where(Submission.session_id == name).execute()
    moment = database.now()
    Event.insert(submission=name, at=moment, from_stage="rendering", to_stage=stage, claim_no=1, reason=reason).execute()


# ---- failures by rate

def test_many_failures_within_an_hour_are_told_by_reason(settings: Settings) -> None:
    for number in range(16):
        ended(f"good{number}")
    for number, reason in enumerate(["timeout", "timeout", "timeout", "ffmpeg_failed"]):
        ended(f"bad{number}", Stage.FAILED, reason)
    assert alerts.evaluate(settings) == [], "four are too few to say anything"
    ended("bad5", Stage.FAILED, "timeout")
    assert alerts.evaluate(settings) == ["failure_rate"]
    assert texts() == ["[error] 5 of 21 songs failed within the last hour (24 %): timeout 4, ffmpeg_failed 1."]
    kit.age(3601)
    assert alerts.evaluate(settings) == [] and texts()[-1] == "[resolved] Few songs fail again."


def test_few_failures_among_many_are_not_told(settings: Settings) -> None:
    for number in range(5):
        ended(f"bad{number}", Stage.FAILED, "timeout")
    for number in range(21):
        ended(f"good{number}")
    assert alerts.evaluate(settings) == []


def test_what_an_operator_cancelled_is_no_failure(settings: Settings) -> None:
    for number in range(6):
        kit.submit(settings, f"song{number}")
        cancel(f"song{number}", who="Kim")
    assert alerts.evaluate(settings) == []


def test_a_failure_is_counted_once_whatever_happens_to_the_row_later(settings: Settings) -> None:
    ended("bad", Stage.FAILED, "timeout")
    for _ in range(6):
        Event.insert(
            submission="bad", at=database.now(), from_stage="failed", to_stage="failed", claim_no=1, reason="polled"
        ).execute()
    assert alerts.evaluate(settings) == []


# ---- silence and waiting

def test_no_success_for_long_with_work_waiting(settings: Settings) -> None:
    kit.submit(settings, "waits")
    assert alerts.evaluate(settings) == []
    kit.age(31 * 60)
    assert alerts.evaluate(settings) == ["silence"]
    ended("good")
    assert alerts.evaluate(settings) == []
    assert texts() == ["[error] No song was finished for 30 minutes, with 1 on the way.",
                       "[resolved] Songs are finished again, or none waits."]


def test_silence_without_anybody_waiting_is_peace(settings: Settings) -> None:
    ended("good")
    kit.age(10 * 3600)
    assert alerts.evaluate(settings) == []
    kit.submit(settings, "new")
    assert alerts.evaluate(settings) == [], "it has not waited yet"


def test_a_song_that_waits_long_for_its_turn(settings: Settings) -> None:
    kit.submit(settings, "waits")
    kit.age(61 * 60)
    assert alerts.evaluate(settings) == ["silence", "waiting"]
    assert "[warning] A song has waited for its turn for 61 minutes." in texts()
    claim = take("waits", Stage.QUEUED, 60)
    assert claim is not None
    fail(claim, "queue_timeout")
    assert alerts.evaluate(settings) == []


# ---- disk and credits

@pytest.mark.parametrize(("percent", "found"), [(81.0, ["disk"]), (80.0, []), (None, [])])
def test_a_disk_that_fills(settings: Settings, percent: float | None, found: list[str]) -> None:
    moment = database.now()
    Heartbeat.insert(
        name="big-host-17-abc", at=moment, started_at=moment, queues={}, facts={"disk_percent": percent}
    ).execute()
    assert alerts.evaluate(settings) == found
    assert texts() == (["[warning] The disk for the videos is 81 % full (big-host)."] if found else [])


def test_our_own_disk_counts_as_well(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alerts, "FULL_PERCENT", 0.0)
    assert alerts.evaluate(settings) == ["disk"]


@pytest.mark.parametrize(("usable", "found"), [(499, ["credits_low"]), (500, []), (None, [])])
def test_few_credits(settings: Settings, usable: int | None, found: list[str]) -> None:
    CreditReading.insert(at=database.now(), usable=usable).execute()
    assert alerts.evaluate(settings) == found


def test_nothing_is_told_twice_within_the_hour(settings: Settings) -> None:
    CreditReading.insert(at=database.now(), usable=7).execute()
    for _ in range(5):
        alerts.evaluate(settings)
        kit.age(60)
    assert len(texts()) == 1
    [found] = outbox.open_alerts()
    assert (found.key, found.suppressed) == ("credits_low", 4)


# ---- CRITICAL lines

@pytest.fixture
def tools(settings: Settings, empty_redis: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tools:
    made = make_tools(settings.model_copy(update={"redis_url": empty_redis, "video_storage": tmp_path}))
    for module in ("jobs.upkeep", "jobs.wrapper"):
        monkeypatch.setattr(f"{module}.tools", lambda: made)
    return made


def test_credits_exhausted_is_told_and_taken_back(
    tools: Tools, root_logger: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    logs.configure("CRITICAL", "json")
    balance: list[int] = [0, 9000]
    monkeypatch.setattr(type(tools.service), "balance", lambda _: balance.pop(0))
    db.close()
    check_credits()
    database.open_connection()
    [told] = texts()
    assert told.startswith("[critical] credits exhausted (at ")
    assert queue_length(tools.settings.redis_url, "periodic") == 1, "its delivery is enqueued at once"
    db.close()
    check_credits()
    database.open_connection()
    alerts.evaluate(tools.settings)
    assert texts()[-1] == "[resolved] There are 9000 credits again."


def test_a_line_while_the_database_is_away_is_told_once_it_is_back(
    settings: Settings, root_logger: logging.Logger
) -> None:
    logs.configure("CRITICAL", "json")
    for _ in range(150):
        logging.getLogger("petsong").critical("database lost")
    db.close()
    alerts.write_down_criticals()
    assert len(logs.CRITICALS.kept) == 100, "kept, but not without bound"
    database.open_connection()
    alerts.write_down_criticals()
    assert not logs.CRITICALS.kept
    [told] = texts()
    assert "database lost" in told
    [found] = outbox.open_alerts()
    assert (found.severity, found.suppressed) == ("critical", 99)


FORKS = """
import logging, os
from petsong import logs
logs.configure("CRITICAL", "json")
logging.getLogger("petsong").critical("database lost")
pid = os.fork()
if not pid:
    os._exit(len(logs.CRITICALS.kept))
print(len(logs.CRITICALS.kept), os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


def test_a_forked_process_leaves_its_parents_lines_to_the_parent() -> None:
    """Or every job of a pool that once lost the database would tell of it again."""
    run = subprocess.run([sys.executable, "-c", FORKS], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert run.stdout == "1 0\n", run.stderr


def test_lines_of_less_weight_are_no_alerts(settings: Settings, root_logger: logging.Logger) -> None:
    logs.configure("INFO", "json")
    logging.getLogger("petsong").error("render failed")
    assert not logs.CRITICALS.kept


def test_a_job_that_raises_tells_all_the_same(tools: Tools, root_logger: logging.Logger) -> None:
    logs.configure("CRITICAL", "json")

    @job
    def work() -> None:
        logging.getLogger("petsong").critical("the sky falls")
        raise ValueError("for the test")

    db.close()
    with pytest.raises(ValueError, match="for the test"):
        work()
    database.open_connection()
    assert texts()[0].startswith("[critical] the sky falls")


@on_sqlite
def test_a_request_tells_what_an_earlier_one_could_not(make_api: Callable[..., Api], root_logger: logging.Logger) -> None:
    api: Any = make_api()
    logging.getLogger("petsong").critical("database lost")
    api.get("/api/health/live")
    assert logs.CRITICALS.kept, "it touches no database"
    api.get("/api/availability")
    with database.connection():
        assert len(texts()) == 1
    assert queue_length(api.settings.redis_url, "periodic") == 1


# ---- without a database

def test_the_scheduler_tells_of_a_lost_database_without_it(
    tools: Tools, root_logger: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    db.close()
    with receiving() as receiver:
        lost = make_tools(tools.settings.model_copy(
            update={"outgoing_origins": (receiver.origin,), "alert_webhook_url": receiver.url}
        ))
        monkeypatch.setattr("jobs.schedule.tools", lambda: lost)
        database.connect_to("postgresql://nobody:open-sesame@127.0.0.1:9/gone")
        receiver.will_answer(503)
        for _ in range(4):
            _sign_of_life()
        [refused, told] = receiver.bodies()
    assert refused["text"].startswith("[critical] The database does not answer") and told["text"] == refused["text"]
    assert "open-sesame" not in str(receiver.seen)


def test_nobody_is_told_where_there_is_no_address(tools: Tools) -> None:
    assert tell_of_lost_database(tools.settings, tools.queues.client) is False
