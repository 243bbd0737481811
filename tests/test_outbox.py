"""What leaves us: written with what it tells, delivered at least once, never by two at a time, given up in the end."""
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import kit
from jobs import deliver
from jobs.deliver import deliver_outbox
from jobs.tools import Tools, make_tools
from jobs.wrapper import job
from petsong import database, outbox
from petsong.database import db
from petsong.lifecycle.claims import ClaimLost, advance, fail, take
from petsong.lifecycle.operator import retry
from petsong.lifecycle.stages import Stage
from petsong.models import Delivery, OutboxMessage, Submission
from petsong.outbox import PAUSES, NotPossible, Outcome
from receivers import SECRET, Receiver, receiving

REFUSED, LATE, TAKEN, GONE = (Outcome(500, "", 3), Outcome(None, "no answer", 3), Outcome(204, "", 3), Outcome(410, "", 3))


@pytest.fixture(autouse=True)
def opened(database_url: str) -> Iterator[None]:
    kit.open_database(database_url)
    outbox.take_written()
    yield
    if not db.is_closed():
        db.close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as server:
        yield server


@pytest.fixture
def tools(
    receiver: Receiver, database_url: str, empty_redis: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Tools:
    made = make_tools(kit.make_settings(
        database_url, empty_redis, img_storage=tmp_path, audio_storage=tmp_path, video_storage=tmp_path,
        outgoing_origins=(receiver.origin,), alert_webhook_url=receiver.url, events_webhook_url=receiver.url,
        events_webhook_secret=SECRET, public_base_url="https://songs.example.com",
    ))
    for module in ("jobs.deliver", "jobs.wrapper"):
        monkeypatch.setattr(f"{module}.tools", lambda: made)
    return made


def messages() -> list[Any]:
    return list(OutboxMessage.select().order_by(OutboxMessage.created_at, OutboxMessage.id))


def only_message() -> Any:
    [message] = messages()
    return message


def log_of(message: Any) -> list[Any]:
    return list(Delivery.select().where(Delivery.message == message.id).order_by(Delivery.id))


def deliver_now() -> None:
    db.close()
    deliver_outbox()
    database.open_connection()


def in_stage(session_id: str, stage: Stage) -> Any:
    kit.submit(kit.make_settings(), session_id)
    Submission.update(stage=stage).where(Submission.session_id == session_id).execute()
    claim = take(session_id, stage, 60)
    assert claim is not None
    return claim


# ---- events are written with their move

def test_a_song_that_is_done_is_told_in_the_same_transaction() -> None:
    claim = in_stage("song1", Stage.RENDERING)
    with pytest.raises(RuntimeError), db.atomic():
        advance(claim, Stage.DONE, reason="video_stored")
        assert len(messages()) == 1
        raise RuntimeError("killed right here")
    assert messages() == [] and kit.row("song1").stage == Stage.RENDERING
    advance(claim, Stage.DONE, reason="video_stored")
    message, row = only_message(), kit.row("song1")
    assert (message.kind, message.destination, message.state) == ("submission.succeeded", "event", "waiting")
    assert message.payload == {
        "session_id": "song1", "status": "success", "reason": None, "campaign": "valentines",
        "created_at": f"{row.created_at:%Y-%m-%dT%H:%M:%SZ}", "ended_at": f"{row.stage_since:%Y-%m-%dT%H:%M:%SZ}",
    }


def test_a_song_that_failed_is_told_with_its_reason() -> None:
    fail(in_stage("song1", Stage.SENDING), "order_refused")
    message = only_message()
    assert (message.kind, message.payload["reason"]) == ("submission.failed", "order_refused")


def test_whoever_lost_the_claim_tells_nothing() -> None:
    claim = in_stage("song1", Stage.RENDERING)
    Submission.update(claim_no=Submission.claim_no + 1).execute()
    with pytest.raises(ClaimLost):
        advance(claim, Stage.DONE)
    assert messages() == []


def test_moves_on_the_way_are_not_told() -> None:
    advance(in_stage("song1", Stage.DOWNLOADING), Stage.RENDERING)
    assert messages() == []


def test_a_retried_song_is_told_of_once_for_each_of_its_ends() -> None:
    fail(in_stage("song1", Stage.SENDING), "order_refused")
    retry("song1", who="Kim", has_song=False)
    claim = take("song1", Stage.QUEUED, 60)
    assert claim is not None
    fail(claim, "queue_timeout")
    assert [message.payload["reason"] for message in messages()] == ["order_refused", "queue_timeout"]
    assert len({message.id for message in messages()}) == 2


# ---- alerts are told once an hour

def alert(text: str = "It is on fire.", key: str = "fire") -> bool:
    return outbox.alert("fire", text, dedupe=key, severity="error")


def texts() -> list[str]:
    return [message.payload["text"] for message in messages()]


def test_an_alert_is_told_once_an_hour_with_the_number_of_repeats() -> None:
    assert [alert(), alert(), alert()] == [True, False, False]
    kit.age(3601)
    assert alert() is True
    assert texts() == ["[error] It is on fire.", "[error] It is on fire. (2 more of this since the last message)"]
    assert alert(key="another") is True


def over() -> bool:
    return outbox.resolve("fire", "It is out.")


def test_what_is_over_is_told_once_and_later_told_anew() -> None:
    assert over() is False, "nobody was told of it"
    alert()
    assert [over(), over()] == [True, False]
    kit.age(601)
    assert alert() is True
    assert texts() == ["[error] It is on fire.", "[resolved] It is out.", "[error] It is on fire."]


def test_what_comes_and_goes_all_the_time_is_no_flood() -> None:
    told = []
    for _ in range(60):
        told += [alert(), over()]
        kit.age(30)
    assert 4 <= sum(told) <= 8, "a pair in ten minutes"
    assert told[:2] == [True, True]


def test_what_began_anew_and_stays_is_told_after_ten_minutes() -> None:
    alert()
    over()
    kit.age(60)
    assert [alert(), alert()] == [False, False]
    assert len(outbox.open_alerts()) == 1
    kit.age(541)
    assert alert() is True
    assert texts()[-1] == "[error] It is on fire. (2 more of this since the last message)"
    kit.age(601)
    assert alert() is False and over() is True


def test_of_many_at_once_one_alert_goes_out() -> None:
    def at_once(_: int) -> bool:
        with database.connection():
            return alert()

    db.close()
    with ThreadPoolExecutor(8) as pool:
        told = list(pool.map(at_once, range(16)))
    database.open_connection()
    assert sum(told) == 1 and len(messages()) == 1
    [found] = outbox.open_alerts()
    assert found.suppressed == 15


def test_open_alerts_are_those_not_over_and_seen_lately() -> None:
    alert(key="one")
    alert(key="two")
    outbox.resolve("one", "Over.")
    assert [found.key for found in outbox.open_alerts()] == ["two"]
    since = outbox.open_alerts()[0].since
    alert(key="two")
    assert outbox.open_alerts()[0].since == since
    kit.age(3700)
    assert outbox.open_alerts() == []
    alert(key="two")
    assert outbox.open_alerts()[0].since > since, "after a silence it began anew"


# ---- tries

def test_one_of_many_deliverers_begins_a_try() -> None:
    alert()
    message = only_message()

    def at_once(_: int) -> bool:
        with database.connection():
            return outbox.claim(message)

    db.close()
    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(at_once, range(16))) == 1
    database.open_connection()
    assert outbox.due() == []


def test_a_message_forgotten_on_its_way_leaves_nothing() -> None:
    alert()
    message = only_message()
    outbox.claim(message)
    OutboxMessage.delete().execute()
    outbox.settle(message, Outcome(200, "", 5))
    assert Delivery.select().count() == 0


def test_a_try_whose_deliverer_died_is_made_up_for() -> None:
    alert()
    outbox.claim(only_message())
    kit.age(outbox.LEASE_SECONDS + 1)
    [again] = outbox.due()
    assert outbox.claim(again) is True
    assert again.tries == 1, "the lost one counts"


def test_tries_are_spread_over_two_days_and_then_given_up() -> None:
    alert()
    waited = 0.0
    for pause in PAUSES:
        [message] = outbox.due()
        assert outbox.claim(message) and outbox.settle(message, REFUSED) == "waiting"
        kit.age(pause - 1)
        assert outbox.due() == []
        kit.age(1 + outbox.DEAF_SECONDS)
        waited += pause
    assert 24 * 3600 < waited < 72 * 3600
    [message] = outbox.due()
    assert outbox.claim(message) and outbox.settle(message, LATE) == "given_up"
    kit.age(10**6)
    assert outbox.due() == []
    assert [entry.status for entry in log_of(message)] == [500] * len(PAUSES) + [None]


@pytest.mark.parametrize(("outcome", "state"), [(TAKEN, "delivered"), (GONE, "given_up")])
def test_taken_and_gone_are_the_end_at_once(outcome: Outcome, state: str) -> None:
    alert()
    message = only_message()
    outbox.claim(message)
    assert outbox.settle(message, outcome) == state
    ended = only_message()
    assert (ended.state, ended.next_try_at, ended.last_answer) == (state, None, f"HTTP {outcome.status}")


def test_a_late_result_of_a_lost_try_undoes_nothing() -> None:
    alert()
    late = only_message()
    outbox.claim(late)
    kit.age(outbox.LEASE_SECONDS + 1)
    [again] = outbox.due()
    outbox.claim(again)
    outbox.settle(again, TAKEN)
    outbox.settle(late, REFUSED)
    assert only_message().state == "delivered"


def test_a_receiver_that_does_not_answer_is_left_alone_and_the_other_is_not() -> None:
    alert()
    fail(in_stage("song1", Stage.SENDING), "order_refused")
    [first, _] = outbox.due()
    outbox.claim(first)
    outbox.settle(first, LATE)
    alert(key="another")
    assert {message.destination for message in outbox.due()} == {"event"}
    kit.age(outbox.DEAF_SECONDS + 1)
    assert {message.destination for message in outbox.due()} == {"event", "alert"}


# ---- by hand

def test_what_was_given_up_is_sent_again_by_hand_and_says_who_wanted_it(tools: Tools, receiver: Receiver) -> None:
    receiver.will_answer(410)
    alert()
    deliver_now()
    message = only_message()
    assert message.state == "given_up"
    outbox.redeliver(message.id, who="Kim Operator")
    assert outbox.take_written(), "it is enqueued at once"
    with pytest.raises(NotPossible, match="waiting"):
        outbox.redeliver(message.id, who="Kim Operator")
    deliver_now()
    assert only_message().state == "delivered"
    assert receiver.ids() == [message.id, message.id]
    assert [entry.note for entry in log_of(message)] == ["", "sent again by Kim Operator", ""]


def test_an_unknown_message_is_not_sent_again() -> None:
    with pytest.raises(NotPossible, match="no message"):
        outbox.redeliver("msg_nothing", who="Kim")


def test_what_is_long_over_is_forgotten_and_what_waits_is_not() -> None:
    alert(key="one")
    kit.age(100)
    outbox.prune(database.now())
    assert len(messages()) == 1 and outbox.open_alerts() == []
    message = only_message()
    outbox.claim(message)
    outbox.settle(message, TAKEN)
    outbox.prune(database.now())
    assert messages() == [] and Delivery.select().count() == 0


# ---- the job

def test_the_job_delivers_what_is_due_and_once(tools: Tools, receiver: Receiver) -> None:
    alert()
    fail(in_stage("song1", Stage.SENDING), "order_refused")
    deliver_now()
    deliver_now()
    assert {message.state for message in messages()} == {"delivered"}
    assert sorted(receiver.ids()) == sorted(message.id for message in messages())
    assert [(entry.status, entry.ms is not None) for message in messages() for entry in log_of(message)] == [(204, True)] * 2


def test_a_message_without_an_address_is_kept_for_later(
    tools: Tools, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    alert()
    with monkeypatch.context() as patch:
        patch.setattr(
            "jobs.deliver.tools", lambda: make_tools(tools.settings.model_copy(update={"alert_webhook_url": ""}))
        )
        deliver_now()
    message = only_message()
    assert (message.state, message.last_answer) == ("no_address", "no ALERT_WEBHOOK_URL is set")
    outbox.redeliver(message.id, who="Kim")
    deliver_now()
    assert len(receiver.seen) == 1


def test_a_failing_receiver_costs_one_try_a_run(tools: Tools, receiver: Receiver) -> None:
    receiver.will_answer(503, 503)
    for number in range(3):
        alert(key=f"fire{number}")
    deliver_now()
    assert len(receiver.seen) == 1
    kit.age(60)
    receiver.answers.clear()
    deliver_now()
    assert {message.state for message in messages()} == {"delivered"}


def test_a_long_backlog_leaves_the_other_jobs_their_turn(
    tools: Tools, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        alert(key=f"fire{number}")
    outbox.take_written()
    monkeypatch.setattr(deliver, "RUN_SECONDS", -1)
    deliver_now()
    assert receiver.seen == []
    assert tools.queues.queue("periodic").count == 1, "it goes on behind whoever waits"


def test_a_job_that_ends_a_song_sends_the_news_at_once(tools: Tools, monkeypatch: pytest.MonkeyPatch) -> None:
    @job
    def work(session_id: str) -> None:
        fail(in_stage(session_id, Stage.SENDING), "order_refused")

    db.close()
    work("song1")
    database.open_connection()
    assert [name.partition("-")[0] for name in tools.queues.queue("periodic").get_job_ids()] == ["deliver_outbox"]
    deliver_now()
    assert only_message().state == "delivered"
