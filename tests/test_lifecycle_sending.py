"""Buying a song: slots, the call, what its answer means. Every test runs on SQLite and on PostgreSQL."""
from typing import Any

import pytest

import kit
from petsong.database import db
from petsong.lifecycle import breaker
from petsong.lifecycle.answers import record_answer, void_call
from petsong.lifecycle.claims import ClaimLost, fail, take
from petsong.lifecycle.recovery import apply_limits, due_jobs, expire_leases
from petsong.lifecycle.sending import begin_call, claim_rows
from petsong.lifecycle.stages import Stage
from petsong.models import Attempt, Breaker
from petsong.sonauto import Answer, Meaning

CONFIG = kit.make_settings(max_concurrent_requests=2)
MINUTE = 60


@pytest.fixture(autouse=True)
def a_database(database_url: str) -> Any:
    kit.open_database(database_url)
    yield
    db.close()


def sent(name: str, answer: Any = None) -> Any:
    """Claim the row's send job, mark the call, and where an answer is given, write it down. The attempt."""
    claim = take(name, Stage.SENDING, 90)
    assert claim is not None
    attempt = begin_call(claim)
    assert attempt is not None
    if answer is not None:
        record_answer(CONFIG, claim, attempt, answer)
    return attempt


def one_row(name: str = "song1") -> str:
    kit.submit(CONFIG, name)
    assert claim_rows(CONFIG) == [name]
    return name


def stage(name: str = "song1") -> str:
    return str(kit.row(name).stage)


# ---- slots

def test_the_oldest_get_the_slots_and_the_others_wait() -> None:
    for name in ("song1", "song2", "song3"):
        kit.submit(CONFIG, name)
    assert claim_rows(CONFIG) == ["song1", "song2"]
    assert claim_rows(CONFIG) == []
    sent("song1", kit.answer(Meaning.PERMANENT))
    assert claim_rows(CONFIG) == ["song3"]


def test_credits_bound_what_is_claimed() -> None:
    for name in ("song1", "song2"):
        kit.submit(CONFIG, name)
    assert claim_rows(CONFIG, affordable=lambda: 0) == []
    assert claim_rows(CONFIG, affordable=lambda: 1) == ["song1"]


def test_a_slot_outlives_its_failed_row() -> None:
    """The service has no cancel: a song goes on there when we have given its row up."""
    for name in ("song1", "song2", "song3"):
        kit.submit(CONFIG, name)
    claim_rows(CONFIG)
    sent("song1", kit.accepted("task1"))
    claim = take("song1", Stage.GENERATING, 60, due_only=False)
    assert claim is not None
    fail(claim, "cancelled")
    assert claim_rows(CONFIG) == []


def test_a_called_attempt_frees_its_slot_when_no_song_lasts_that_long() -> None:
    one_row()
    sent("song1", kit.answer(Meaning.UNKNOWN))
    Breaker.delete().execute()
    kit.submit(CONFIG, "song2")
    kit.submit(CONFIG, "song3")
    assert claim_rows(CONFIG) == ["song2"]
    assert claim_rows(CONFIG) == []
    kit.age(21 * MINUTE)
    assert len(claim_rows(CONFIG)) == 1


def test_an_uncalled_attempt_holds_its_slot_however_old() -> None:
    for name in ("song1", "song2", "song3"):
        kit.submit(CONFIG, name)
    claim_rows(CONFIG)
    kit.age(60 * MINUTE)
    assert claim_rows(CONFIG) == []


# ---- the call

def test_a_death_before_the_call_is_redone_for_free() -> None:
    one_row()
    assert take("song1", Stage.SENDING, 90) is not None
    kit.age(91)
    expire_leases(CONFIG)
    assert list(due_jobs()) == [("send_to_sonauto", "song1")]
    assert sent("song1").number == 1


def test_a_death_after_the_call_began_is_never_sent_again() -> None:
    one_row()
    sent("song1")
    kit.age(91)
    expire_leases(CONFIG)
    assert list(due_jobs()) == []
    claim = take("song1", Stage.SENDING, 90, due_only=False)
    assert claim is not None and begin_call(claim) is None


def test_an_unknown_order_is_repeated_once_flagged_after_its_time() -> None:
    one_row()
    sent("song1", kit.answer(Meaning.UNKNOWN))
    Breaker.delete().execute()
    kit.age(9 * MINUTE)
    assert claim_rows(CONFIG) == []
    kit.age(2 * MINUTE)
    assert claim_rows(CONFIG) == ["song1"]
    assert [(a.flagged, a.outcome) for a in kit.attempts("song1")] == [(False, "unknown"), (True, None)]
    sent("song1", kit.answer(Meaning.UNKNOWN))
    Breaker.delete().execute()
    kit.age(11 * MINUTE)
    assert claim_rows(CONFIG) == []


def test_two_unknown_orders_end_the_row_when_the_later_is_too_old() -> None:
    one_row()
    sent("song1", kit.answer(Meaning.UNKNOWN))
    kit.age(11 * MINUTE)
    claim_rows(CONFIG)
    sent("song1", kit.answer(Meaning.UNKNOWN))
    kit.age(19 * MINUTE)
    assert apply_limits(CONFIG) == []
    kit.age(2 * MINUTE)
    assert apply_limits(CONFIG) == ["song1"]
    assert kit.row("song1").fail_reason == "no_answer"


def test_a_hint_without_an_answer_holds_the_second_order_back() -> None:
    one_row()
    sent("song1", kit.answer(Meaning.UNKNOWN))
    Attempt.update(task_hint="task1").execute()
    Breaker.delete().execute()
    kit.age(30 * MINUTE)
    assert claim_rows(CONFIG) == []
    assert apply_limits(CONFIG) == []


def test_a_call_whose_lease_ended_before_it_began_is_void_and_waits_again() -> None:
    one_row()
    claim = take("song1", Stage.SENDING, 90)
    assert claim is not None
    attempt = begin_call(claim)
    void_call(claim, attempt)
    assert stage() == "queued"
    assert [a.ended_as for a in kit.attempts("song1")] == ["void"]


def test_the_answer_after_a_lost_claim_is_kept_as_a_hint() -> None:
    one_row()
    claim = take("song1", Stage.SENDING, 90)
    assert claim is not None
    attempt = begin_call(claim)
    kit.age(91)
    expire_leases(CONFIG)
    take("song1", Stage.SENDING, 90, due_only=False)
    with pytest.raises(ClaimLost):
        record_answer(CONFIG, claim, attempt, kit.accepted("task1"))
    assert [(a.task_id, a.task_hint) for a in kit.attempts("song1")] == [(None, "task1")]
    assert stage() == "sending"


# ---- what the answer means

def test_accepted_moves_on_and_is_due_at_the_first_poll() -> None:
    one_row()
    sent("song1", kit.accepted("task1"))
    row = kit.row("song1")
    assert (row.stage, row.llm_task_id, row.entry_status) == ("generating", "task1", "processing")
    assert row.sent_to_llm is not None and row.next_check_at > row.sent_to_llm


def test_a_refused_order_fails_with_its_reason() -> None:
    one_row()
    sent("song1", kit.answer(Meaning.PERMANENT, "prompt too long"))
    assert (stage(), kit.row("song1").fail_reason) == ("failed", "order_refused")


def test_refused_tags_are_tried_once_more_with_the_prompt_alone() -> None:
    one_row()
    sent("song1", kit.answer(Meaning.TAGS_REFUSED))
    assert (stage(), kit.row("song1").prompt_alone) == ("queued", True)
    assert claim_rows(CONFIG) == ["song1"]
    sent("song1", kit.answer(Meaning.TAGS_REFUSED))
    assert (stage(), kit.row("song1").fail_reason) == ("failed", "order_refused")


def test_a_task_that_another_order_has_is_nobodys() -> None:
    one_row("song1")
    sent("song1", kit.accepted("task1"))
    one_row("song2")
    sent("song2", kit.accepted("task1"))
    assert stage("song2") == "sending"
    assert [a.outcome for a in kit.attempts("song2")] == ["unknown"]


def test_a_refusal_of_everyone_counts_against_nobody_and_pauses_sending() -> None:
    one_row()
    for _ in range(5):
        sent("song1", kit.answer(Meaning.FREE_EVERYONE, "401"))
        assert (stage(), kit.row("song1").retry_count) == ("queued", 0)
        assert claim_rows(CONFIG) == []
        kit.age(61)
        assert claim_rows(CONFIG) == ["song1"]
    sent("song1", kit.accepted("task1"))
    assert not breaker.is_tripped()


def test_why_sending_pauses_is_told_without_the_services_own_words() -> None:
    """They may repeat the order, and with it the names: those go with the song, this stays."""
    one_row()
    sent("song1", Answer(Meaning.FREE_EVERYONE, None, 403, "not for Marisol and Biscuit"))
    state = breaker.state()
    assert state is not None and state.reason == "the service answered HTTP 403 (free_everyone)"


def test_while_sending_pauses_one_probe_goes_out_at_a_time() -> None:
    for name in ("song1", "song2", "song3"):
        kit.submit(CONFIG, name)
    assert claim_rows(CONFIG, affordable=lambda: 1) == ["song1"]
    sent("song1", kit.answer(Meaning.FREE_EVERYONE))
    kit.age(11)
    assert len(claim_rows(CONFIG)) == 1
    assert claim_rows(CONFIG) == []


def test_a_row_refused_alone_fails_after_three_times_and_blocks_nobody() -> None:
    kit.submit(CONFIG, "bad")
    for number in range(3):
        assert "bad" in claim_rows(CONFIG)
        sent("bad", kit.answer(Meaning.FREE_ROW, "500"))
        good = f"good{number}"
        one_row(good)
        sent(good, kit.accepted(f"task{number}"))
        kit.age(21 * MINUTE)
    row = kit.row("bad")
    assert (row.stage, row.fail_reason, row.retry_count) == ("failed", "service_refused", 3)


def test_a_row_refused_while_nobody_is_accepted_waits() -> None:
    kit.submit(CONFIG, "song1")
    for _ in range(6):
        assert claim_rows(CONFIG) == ["song1"]
        sent("song1", kit.answer(Meaning.FREE_ROW, "500"))
        assert stage() == "queued"
        kit.age(121)


def test_refusals_of_several_rows_pause_sending_and_count_against_nobody() -> None:
    for name in ("song1", "song2"):
        kit.submit(CONFIG, name)
    claim_rows(CONFIG)
    sent("song1", kit.answer(Meaning.FREE_ROW, "500"))
    sent("song2", kit.answer(Meaning.FREE_ROW, "500"))
    assert breaker.is_tripped()
    assert kit.row("song2").retry_count == 0


def test_two_rows_that_the_service_cannot_bear_do_not_block_the_third() -> None:
    for name in ("bad1", "bad2", "good"):
        kit.submit(CONFIG, name)
    for _ in range(40):
        for name in claim_rows(CONFIG):
            sent(name, kit.accepted("task1") if name == "good" else kit.answer(Meaning.FREE_ROW, "500"))
        if stage("good") == "generating":
            return
        kit.age(61)
    raise AssertionError("the good row never got its turn")


def test_a_free_refusal_of_the_second_order_goes_on_waiting_for_the_first() -> None:
    one_row()
    sent("song1", kit.answer(Meaning.UNKNOWN))
    Breaker.delete().execute()
    kit.age(11 * MINUTE)
    claim_rows(CONFIG)
    sent("song1", kit.answer(Meaning.FREE_EVERYONE))
    assert stage() == "sending"
    assert [a.ended_as for a in kit.attempts("song1")] == [None, "refused"]


def test_a_final_refusal_of_the_second_order_waits_for_the_first_then_fails() -> None:
    one_row()
    sent("song1", kit.answer(Meaning.UNKNOWN))
    Breaker.delete().execute()
    kit.age(11 * MINUTE)
    claim_rows(CONFIG)
    sent("song1", kit.answer(Meaning.PERMANENT))
    assert stage() == "sending"
    assert apply_limits(CONFIG) == []
    kit.age(10 * MINUTE)
    assert apply_limits(CONFIG) == ["song1"]


def test_waiting_in_the_queue_ends_after_a_day() -> None:
    kit.submit(CONFIG, "song1")
    kit.age(23 * 3600)
    assert apply_limits(CONFIG) == []
    kit.age(2 * 3600)
    assert apply_limits(CONFIG) == ["song1"]
    assert kit.row("song1").fail_reason == "queue_timeout"


def test_a_sender_that_kills_its_worker_each_time_comes_to_an_end() -> None:
    one_row()
    for _ in range(5):
        assert take("song1", Stage.SENDING, 90) is not None
        kit.age(91)
        expire_leases(CONFIG)
    assert (stage(), kit.row("song1").fail_reason) == ("failed", "sending_crashed")


def test_a_probe_is_not_spent_while_nobody_waits() -> None:
    one_row()
    sent("song1", kit.answer(Meaning.FREE_EVERYONE))
    kit.age(3600)
    claim = take("song1", Stage.QUEUED, 60)
    assert claim is not None
    fail(claim, "cancelled")
    before = breaker.state().retry_at
    assert claim_rows(CONFIG) == []
    assert breaker.state().retry_at == before
    kit.submit(CONFIG, "song2")
    assert claim_rows(CONFIG) == ["song2"]


def test_the_limits_do_not_fail_a_row_over_a_hint() -> None:
    one_row()
    sent("song1", kit.answer(Meaning.UNKNOWN))
    kit.age(25 * 3600)
    Attempt.update(task_hint="task1").execute()
    assert apply_limits(CONFIG) == []
    Attempt.update(task_hint=None).execute()
    assert apply_limits(CONFIG) == ["song1"]
