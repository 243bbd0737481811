"""Who may write a row. Every test runs on SQLite and on PostgreSQL."""
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import kit
from petsong import database
from petsong.database import db
from petsong.lifecycle.claims import ClaimLost, advance, fail, release, take
from petsong.lifecycle.recovery import free_rows_of_the_dead
from petsong.lifecycle.stages import Stage
from petsong.models import Event, Submission


@pytest.fixture(autouse=True)
def a_row(database_url: str) -> Any:
    kit.open_database(database_url)
    kit.submit(kit.make_settings(), "song1")
    yield
    db.close()


def events() -> list[tuple[str, str, str]]:
    return [(e.from_stage, e.to_stage, e.reason) for e in Event.select().order_by(Event.id)]


def test_claim_is_lost_by_the_second_worker() -> None:
    first = take("song1", Stage.QUEUED, 60)
    assert first is not None and (first.number, first.tries) == (1, 1)
    assert take("song1", Stage.QUEUED, 60) is None


def test_one_of_many_parallel_workers_gets_the_claim() -> None:
    def try_it(_: int) -> bool:
        with database.connection():
            return take("song1", Stage.QUEUED, 60) is not None

    db.close()
    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(try_it, range(16))) == 1
    db.connect(reuse_if_open=True)


def test_a_row_in_another_stage_is_not_taken() -> None:
    assert take("song1", Stage.RENDERING, 60) is None


def test_a_row_that_is_not_due_is_not_taken() -> None:
    claim = take("song1", Stage.QUEUED, 60)
    assert claim is not None
    release(claim, check_in=30)
    assert take("song1", Stage.QUEUED, 60) is None
    assert take("song1", Stage.QUEUED, 60, due_only=False) is not None


def test_an_expired_lease_goes_to_the_next_and_counts_a_try() -> None:
    take("song1", Stage.QUEUED, 60)
    kit.age(61)
    second = take("song1", Stage.QUEUED, 60)
    assert second is not None and (second.number, second.tries) == (2, 2)


@pytest.mark.parametrize("write", [
    lambda claim: advance(claim, Stage.SENDING),
    lambda claim: fail(claim, "queue_timeout"),
    lambda claim: release(claim, check_in=5, reason="crashed"),
])
def test_a_frozen_worker_that_wakes_up_writes_nothing(write: Any) -> None:
    frozen = take("song1", Stage.QUEUED, 60)
    kit.age(61)
    replacement = take("song1", Stage.QUEUED, 60)
    before = (kit.row("song1").__data__, events())
    with pytest.raises(ClaimLost):
        write(frozen)
    assert (kit.row("song1").__data__, events()) == before
    assert replacement is not None
    advance(replacement, Stage.SENDING)


def test_a_move_twice_is_lost_the_second_time() -> None:
    claim = take("song1", Stage.QUEUED, 60)
    assert claim is not None
    advance(claim, Stage.SENDING, reason="claimed")
    with pytest.raises(ClaimLost):
        advance(claim, Stage.SENDING, reason="claimed")
    assert events() == [("queued", "queued", "submitted"), ("queued", "sending", "claimed")]


def test_a_move_that_no_stage_allows_is_refused() -> None:
    claim = take("song1", Stage.QUEUED, 60)
    assert claim is not None
    with pytest.raises(ValueError, match="no move leads from queued to done"):
        advance(claim, Stage.DONE)


def test_a_move_sets_the_public_status_and_gives_the_lease_back() -> None:
    claim = take("song1", Stage.QUEUED, 60, holder="job")
    assert claim is not None
    advance(claim, Stage.SENDING)
    row = kit.row("song1")
    assert (row.stage, row.entry_status, row.tries) == ("sending", "processing", 0)
    assert (row.lease_until, row.lease_holder) == (None, None)


def test_the_event_is_gone_when_its_move_is() -> None:
    claim = take("song1", Stage.QUEUED, 60)
    assert claim is not None
    with pytest.raises(RuntimeError), db.atomic():
        advance(claim, Stage.SENDING)
        raise RuntimeError("the transaction dies here")
    assert kit.row("song1").stage == "queued" and len(events()) == 1


def test_failing_keeps_the_reason_on_the_row_and_in_its_event() -> None:
    claim = take("song1", Stage.QUEUED, 60)
    assert claim is not None
    fail(claim, "queue_timeout", detail="a\x00b")
    row = kit.row("song1")
    assert (row.stage, row.entry_status, row.fail_reason) == ("failed", "fail", "queue_timeout")
    assert events()[-1] == ("queued", "failed", "queue_timeout")


def test_the_leases_of_a_dead_process_end_at_once_but_only_its_own() -> None:
    settings = kit.make_settings()
    take("song1", Stage.QUEUED, 60, holder="pool:1")
    assert free_rows_of_the_dead(settings, "pool:2") == []
    assert take("song1", Stage.QUEUED, 60) is None
    assert free_rows_of_the_dead(settings, "pool:1") == ["song1"]
    assert take("song1", Stage.QUEUED, 60) is not None


def test_who_wakes_up_after_the_lease_was_taken_away_writes_nothing() -> None:
    """Nobody took the row meanwhile; what the late worker made may be gone as an orphan."""
    claim = take("song1", Stage.QUEUED, 60, holder="pool:1")
    assert claim is not None
    free_rows_of_the_dead(kit.make_settings(), "pool:1")
    with pytest.raises(ClaimLost):
        advance(claim, Stage.SENDING)
    row = kit.row("song1")
    assert (row.stage, row.lease_until) == ("queued", None)


def test_a_row_whose_process_is_killed_again_and_again_comes_to_an_end() -> None:
    settings = kit.make_settings()
    claim = take("song1", Stage.QUEUED, 60)
    assert claim is not None
    advance(claim, Stage.SENDING)
    for number in range(5):
        assert take("song1", Stage.SENDING, 60, holder=f"pool:{number}", due_only=False) is not None
        free_rows_of_the_dead(settings, f"pool:{number}")
    assert kit.row("song1").fail_reason == "sending_crashed"


def test_times_compare_as_instants_on_both_databases() -> None:
    moment = database.now()
    assert moment.utcoffset() is not None
    assert Submission.select().where(Submission.created_at <= moment).count() == 1
    assert Submission.select().where(Submission.created_at > moment).count() == 0
    assert kit.row("song1").created_at.utcoffset().total_seconds() == 0
