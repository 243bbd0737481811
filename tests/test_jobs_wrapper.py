"""What surrounds every job: the row is given back, and what was learnt at a price is written down."""
from typing import Any

import pytest
from rq.exceptions import ShutDownImminentException

import kit
from jobs import wrapper
from petsong import database
from petsong.database import db
from petsong.lifecycle.claims import ClaimLost
from petsong.lifecycle.stages import Stage

CONFIG = kit.make_settings()


@pytest.fixture(autouse=True)
def a_row(database_url: str) -> Any:
    kit.open_database(database_url)
    kit.submit(CONFIG, "song1")
    yield
    if not db.is_closed():
        db.close()


def test_a_crash_gives_the_row_back_with_its_trace() -> None:
    with pytest.raises(RuntimeError, match="boom"), wrapper.held("song1", Stage.QUEUED, 60, CONFIG):
        raise RuntimeError("boom")
    row = kit.row("song1")
    assert (row.lease_until, row.tries) == (None, 1)
    assert row.next_check_at > database.now()
    last = row.events.order_by(-row.events.model.id).first()
    assert last.reason == "crashed" and "boom" in last.detail


def test_a_deployment_does_not_use_up_a_try() -> None:
    with pytest.raises(ShutDownImminentException), wrapper.held("song1", Stage.QUEUED, 60, CONFIG):
        raise ShutDownImminentException("stopping", {})
    assert kit.row("song1").tries == 0


def test_a_job_without_a_claim_does_nothing() -> None:
    with wrapper.held("song1", Stage.RENDERING, 60, CONFIG) as claim:
        assert claim is None


def test_a_lost_claim_is_no_failure() -> None:
    ran: list[bool] = []

    @wrapper.job
    def loses() -> None:
        ran.append(not db.is_closed())
        raise ClaimLost("somebody else has it")

    db.close()
    loses()
    assert ran == [True] and db.is_closed()


def test_what_was_learnt_survives_a_database_that_is_away_when_the_call_returns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wrapper, "RECORD_PAUSES", (0.01, 0.01, 0.01, 0.01))
    opened = database.open_connection
    failures = iter([True, True, True])

    def sometimes() -> None:
        if next(failures, False):
            raise database.DatabaseLost("restarting")
        opened()

    monkeypatch.setattr(database, "open_connection", sometimes)
    with wrapper.without_database():
        learnt = "task1"
    assert wrapper.recorded(lambda: (kit.row("song1").session_id, learnt)) == ("song1", "task1")
