"""Hints and news. Every test runs on SQLite and on PostgreSQL."""
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import kit
from petsong import database
from petsong.database import db
from petsong.lifecycle.answers import record_answer
from petsong.lifecycle.claims import ClaimLost, advance, fail, release, take
from petsong.lifecycle.operator import ImpossibleMove, retry
from petsong.lifecycle.orders import end_without_song
from petsong.lifecycle.readback import (
    MAX_RECEIPTS,
    finish_readback,
    open_questions,
    receive_hint,
    record_news,
    take_for_readback,
)
from petsong.lifecycle.recovery import ROWS_PER_PASS, apply_limits, due_jobs, expire_leases
from petsong.lifecycle.sending import begin_call, claim_rows
from petsong.lifecycle.stages import Stage
from petsong.models import Attempt, Breaker, Submission, WebhookReceipt
from petsong.sonauto import Hint, Meaning, TaskAnswer

CONFIG = kit.make_settings()
MINUTE = 60
HASH = "0" * 64


@pytest.fixture(autouse=True)
def a_database(database_url: str) -> Any:
    kit.open_database(database_url)
    yield
    db.close()


def ordered(name: str, answer: Any) -> str:
    """A row whose order was answered like this. Its token."""
    kit.submit(CONFIG, name)
    return order_again(name, answer)


def order_again(name: str, answer: Any) -> str:
    assert claim_rows(CONFIG) == [name]
    claim = take(name, Stage.SENDING, 90)
    assert claim is not None
    attempt = begin_call(claim)
    record_answer(CONFIG, claim, attempt, answer)
    Breaker.delete().execute()
    return str(attempt.token)


def read_back(name: str, *answers: TaskAnswer) -> list[Stage | None]:
    """Ask about every open task of the row; the answers in their order. What each moved."""
    claim = take_for_readback(name, 60, None)
    moves: list[Stage | None] = []
    asked_at = None
    for question, answer in zip(open_questions(name), answers, strict=True):
        asked_at = question.asked_at
        moves.append(record_news(CONFIG, claim, question, answer))
        claim = None if moves[-1] else claim
    if not any(moves):
        finish_readback(CONFIG, claim, name, asked_at)
    return moves


def due(name: str = "song1") -> list[str]:
    return [job for job, of in due_jobs() if of == name]


def stage(name: str = "song1") -> str:
    return str(kit.row(name).stage)


# ---- hints

def test_a_hint_makes_the_row_due_and_moves_nothing() -> None:
    token = ordered("song1", kit.accepted("task1"))
    assert due() == []
    assert receive_hint(Hint("task1", "SUCCESS"), HASH, token=token) == "song1"
    assert (stage(), due()) == ("generating", ["fetch_generation_details"])
    assert WebhookReceipt.select().count() == 1


def test_a_hint_without_a_token_needs_a_known_task() -> None:
    ordered("song1", kit.accepted("task1"))
    assert receive_hint(Hint("task1", "SUCCESS"), HASH) == "song1"
    assert receive_hint(Hint("task-unheard-of", "SUCCESS"), HASH) is None
    assert receive_hint(Hint(), HASH) is None
    assert WebhookReceipt.select().count() == 1


def test_a_forged_token_is_nobodys() -> None:
    ordered("song1", kit.accepted("task1"))
    assert receive_hint(Hint("task1", "SUCCESS"), HASH, token="f" * 64) is None
    assert due() == []


def test_a_flood_of_repeats_fills_no_disk() -> None:
    token = ordered("song1", kit.accepted("task1"))
    for _ in range(MAX_RECEIPTS + 10):
        receive_hint(Hint("task1", "SUCCESS"), HASH, token=token)
    assert WebhookReceipt.select().count() == MAX_RECEIPTS


def test_a_hint_before_our_own_commit_is_not_lost() -> None:
    kit.submit(CONFIG, "song1")
    claim_rows(CONFIG)
    claim = take("song1", Stage.SENDING, 90)
    assert claim is not None
    attempt = begin_call(claim)
    receive_hint(Hint("task1", "SUCCESS"), HASH, token=attempt.token)
    assert take_for_readback("song1", 60, None) is None  # its sender is still at it
    record_answer(CONFIG, claim, attempt, kit.accepted("task1"))
    assert due() == ["fetch_generation_details"]


def test_a_late_hint_is_noted_and_changes_nothing() -> None:
    token = ordered("song1", kit.accepted("task1"))
    kit.age(21)
    assert read_back("song1", kit.failure()) == [Stage.FAILED]
    receive_hint(Hint("task1", "SUCCESS"), HASH, token=token)
    assert [r.outcome for r in WebhookReceipt.select()] == ["late"]
    assert (stage(), due()) == ("failed", [])


def test_a_hint_after_the_question_is_asked_about_at_once() -> None:
    token = ordered("song1", kit.accepted("task1"))
    kit.age(21)
    claim = take_for_readback("song1", 60, None)
    (question,) = open_questions("song1")
    receive_hint(Hint("task1", "SUCCESS"), HASH, token=token)
    record_news(CONFIG, claim, question, kit.working())
    assert finish_readback(CONFIG, claim, "song1", question.asked_at) is True
    assert due() == ["fetch_generation_details"]


# ---- news

def test_success_stores_the_song_and_moves_on() -> None:
    ordered("song1", kit.accepted("task1"))
    kit.age(21)
    assert read_back("song1", kit.success()) == [Stage.DOWNLOADING]
    row = kit.row("song1")
    assert (row.llm_status, row.llm_response, row.lyrics) == ("success", "https://cdn.sonauto.ai/song.mp3", "la la")
    assert [(a.ended_as, a.credits) for a in kit.attempts("song1")] == [("success", 100)]


def test_failure_ends_the_row_and_costs_nothing() -> None:
    ordered("song1", kit.accepted("task1"))
    kit.age(21)
    read_back("song1", kit.failure())
    row = kit.row("song1")
    assert (row.fail_reason, row.llm_status, row.entry_status) == ("service_failed", "fail", "fail")
    assert [a.credits for a in kit.attempts("song1")] == [0]


def test_no_news_ends_only_after_the_longest_song_and_upon_an_answer() -> None:
    ordered("song1", kit.accepted("task1"))
    kit.age(19 * MINUTE)
    assert read_back("song1", kit.working()) == [None]
    kit.age(2 * MINUTE)
    assert apply_limits(CONFIG) == []
    assert read_back("song1", kit.working()) == [Stage.FAILED]
    assert (kit.row("song1").fail_reason, kit.row("song1").llm_status) == ("timeout", "timeout")


def test_the_clock_stands_while_the_service_does_not_answer() -> None:
    ordered("song1", kit.accepted("task1"))
    kit.age(MINUTE)
    read_back("song1", kit.unreachable())
    kit.age(60 * MINUTE)
    assert read_back("song1", kit.working()) == [None]
    kit.age(20 * MINUTE)
    assert read_back("song1", kit.working()) == [Stage.FAILED]


def test_no_news_does_not_fail_a_row_over_a_hint_after_the_question() -> None:
    token = ordered("song1", kit.accepted("task1"))
    kit.age(21 * MINUTE)
    claim = take_for_readback("song1", 60, None)
    (question,) = open_questions("song1")
    receive_hint(Hint("task1", "SUCCESS"), HASH, token=token)
    assert record_news(CONFIG, claim, question, kit.working()) is None
    assert stage() == "generating"


def test_a_task_forgotten_by_the_service_ends_like_no_news() -> None:
    ordered("song1", kit.accepted("task1"))
    kit.age(21)
    assert read_back("song1", kit.forgotten()) == [None]
    kit.age(21 * MINUTE)
    assert read_back("song1", kit.forgotten()) == [None]  # once more, for that may be a hiccup
    kit.age(21)
    assert read_back("song1", kit.forgotten()) == [Stage.FAILED]


def test_a_paid_song_is_not_given_up_for_one_answer_that_it_is_not_known() -> None:
    """All was away for as long as a song may take, and the service's first answer is a hiccup."""
    ordered("song1", kit.accepted("task1"))
    kit.age(21 * MINUTE)
    assert read_back("song1", kit.forgotten()) == [None]
    kit.age(21)
    assert read_back("song1", kit.success()) == [Stage.DOWNLOADING]


# ---- unknown orders

def test_a_confirmed_hint_is_adopted_for_an_unknown_order() -> None:
    token = ordered("song1", kit.answer(Meaning.UNKNOWN))
    receive_hint(Hint("task1", "GENERATING"), HASH, token=token)
    assert due() == ["fetch_generation_details"]
    assert read_back("song1", kit.working()) == [Stage.GENERATING]
    assert kit.row("song1").llm_task_id == "task1"


def test_a_hint_that_the_service_denies_is_dropped() -> None:
    token = ordered("song1", kit.answer(Meaning.UNKNOWN))
    receive_hint(Hint("task-of-nobody", "SUCCESS"), HASH, token=token)
    assert read_back("song1", kit.forgotten()) == [None]
    assert [a.task_hint for a in kit.attempts("song1")] == [None]
    assert (stage(), due()) == ("sending", [])


def test_another_orders_task_is_never_adopted() -> None:
    ordered("song1", kit.accepted("task1"))
    token = ordered("song2", kit.answer(Meaning.UNKNOWN))
    receive_hint(Hint("task1", "SUCCESS"), HASH, token=token)
    assert read_back("song2", kit.success()) == [None]
    assert [a.task_id for a in kit.attempts("song2")] == [None]


def test_a_hint_without_a_token_is_never_adopted() -> None:
    ordered("song1", kit.answer(Meaning.UNKNOWN))
    assert receive_hint(Hint("task1", "SUCCESS"), HASH) is None


def test_a_late_success_of_the_first_order_is_adopted_while_the_second_runs() -> None:
    first = ordered("song1", kit.answer(Meaning.UNKNOWN))
    kit.age(11 * MINUTE)
    order_again("song1", kit.accepted("task2"))
    receive_hint(Hint("task1", "SUCCESS"), HASH, token=first)
    assert read_back("song1", kit.success(), kit.working()) == [Stage.DOWNLOADING, None]
    assert kit.row("song1").llm_task_id == "task1"
    assert [(a.task_id, a.ended_as) for a in kit.attempts("song1")] == [("task1", "success"), ("task2", None)]


def test_a_failure_waits_for_the_other_order() -> None:
    ordered("song1", kit.answer(Meaning.UNKNOWN))
    kit.age(11 * MINUTE)
    order_again("song1", kit.accepted("task2"))
    kit.age(21)
    assert read_back("song1", kit.failure()) == [Stage.SENDING]
    assert (claim_rows(CONFIG), apply_limits(CONFIG)) == ([], [])
    kit.age(10 * MINUTE)
    assert (claim_rows(CONFIG), apply_limits(CONFIG)) == ([], ["song1"])
    assert kit.row("song1").fail_reason == "service_failed"


def test_a_stray_read_back_does_not_take_a_row_from_its_sender() -> None:
    kit.submit(CONFIG, "song1")
    claim_rows(CONFIG)
    assert take_for_readback("song1", 60, None) is None
    assert due() == ["send_to_sonauto"]


def test_the_second_orders_end_is_learnt_after_the_row_is_done() -> None:
    first = ordered("song1", kit.answer(Meaning.UNKNOWN))
    kit.age(11 * MINUTE)
    order_again("song1", kit.accepted("task2"))
    receive_hint(Hint("task1", "SUCCESS"), HASH, token=first)
    read_back("song1", kit.success(), kit.working())
    for here, there in ((Stage.DOWNLOADING, Stage.RENDERING), (Stage.RENDERING, Stage.DONE)):
        claim = take("song1", here, 60)
        assert claim is not None
        advance(claim, there)
    assert due() == ["fetch_generation_details"]
    read_back("song1", kit.success())
    assert (stage(), due()) == ("done", [])
    assert [a.ended_as for a in kit.attempts("song1")] == ["success", "success"]


# ---- workers that die, operators that retry

@pytest.mark.parametrize("where, tries", [(Stage.DOWNLOADING, 3), (Stage.RENDERING, 2)])
def test_a_job_that_kills_its_worker_ends_after_its_tries(where: Stage, tries: int) -> None:
    ordered("song1", kit.accepted("task1"))
    kit.age(21)
    read_back("song1", kit.success())
    if where == Stage.RENDERING:
        claim = take("song1", Stage.DOWNLOADING, 60)
        assert claim is not None
        advance(claim, Stage.RENDERING)
    for _ in range(tries):
        assert take("song1", where, 60) is not None
        kit.age(61)
        expire_leases(CONFIG)
    assert kit.row("song1").fail_reason == f"{where}_crashed"


def test_only_failed_rows_are_retried() -> None:
    ordered("song1", kit.accepted("task1"))
    with pytest.raises(ImpossibleMove, match="only failed"):
        retry("song1", who="op", has_song=False)
    with pytest.raises(ImpossibleMove, match="no submission"):
        retry("nobody", who="op", has_song=False)


def test_a_retry_resumes_at_the_first_missing_artefact() -> None:
    ordered("song1", kit.accepted("task1"))
    kit.age(21)
    read_back("song1", kit.success())
    claim = take("song1", Stage.DOWNLOADING, 60)
    assert claim is not None
    fail(claim, "download_missing")
    assert retry("song1", who="op", has_song=False) == Stage.DOWNLOADING
    claim = take("song1", Stage.DOWNLOADING, 60)
    assert claim is not None
    advance(claim, Stage.RENDERING, generated_song_path="audio/song1.mp3")
    claim = take("song1", Stage.RENDERING, 60)
    assert claim is not None
    fail(claim, "ffmpeg_failed")
    assert retry("song1", who="op", has_song=True) == Stage.RENDERING


def test_a_retry_asks_about_the_old_task_before_it_pays() -> None:
    ordered("song1", kit.accepted("task1"))
    kit.age(21 * MINUTE)
    read_back("song1", kit.working())
    assert stage() == "failed"
    assert retry("song1", who="op", has_song=False) == Stage.GENERATING
    assert read_back("song1", kit.success()) == [Stage.DOWNLOADING]
    assert len(kit.attempts("song1")) == 1


def test_a_retry_pays_again_only_when_the_old_task_is_over() -> None:
    ordered("song1", kit.accepted("task1"))
    kit.age(21 * MINUTE)
    read_back("song1", kit.working())
    retry("song1", who="op", has_song=False)
    assert read_back("song1", kit.working()) == [Stage.QUEUED]
    assert claim_rows(CONFIG) == ["song1"]


def test_a_retry_with_an_unknown_order_resumes_in_sending() -> None:
    ordered("song1", kit.answer(Meaning.UNKNOWN))
    kit.age(11 * MINUTE)
    order_again("song1", kit.answer(Meaning.UNKNOWN))
    kit.age(21 * MINUTE)
    assert apply_limits(CONFIG) == ["song1"]
    assert retry("song1", who="op", has_song=False) == Stage.SENDING
    assert claim_rows(CONFIG) == ["song1"]
    assert [a.flagged for a in kit.attempts("song1")] == [False, True, True]
    assert Attempt.select().where(Attempt.ended_at.is_null()).count() == 3


# ---- holes found by working through the interleavings

def unknown_and_claimed_again() -> str:
    """A row with an unknown first order and a second attempt that is not called yet. The first one's token."""
    token = ordered("song1", kit.answer(Meaning.UNKNOWN))
    kit.age(11 * MINUTE)
    assert claim_rows(CONFIG) == ["song1"]
    return token


def test_adopting_the_first_order_voids_the_second_that_was_never_called() -> None:
    token = unknown_and_claimed_again()
    receive_hint(Hint("task1", "SUCCESS"), HASH, token=token)
    assert read_back("song1", kit.success()) == [Stage.DOWNLOADING]
    assert [a.ended_as for a in kit.attempts("song1")] == ["success", "void"]


def test_no_second_call_while_a_hint_is_unanswered() -> None:
    token = unknown_and_claimed_again()
    receive_hint(Hint("task1", "SUCCESS"), HASH, token=token)
    assert due() == ["fetch_generation_details"]
    claim = take("song1", Stage.SENDING, 90)
    assert claim is not None and begin_call(claim) is None
    assert read_back("song1", kit.forgotten()) == [None]
    assert due() == ["send_to_sonauto"]


def test_a_sender_that_kills_its_workers_leaves_the_row_to_its_first_order() -> None:
    token = unknown_and_claimed_again()
    for _ in range(5):
        assert take("song1", Stage.SENDING, 90, due_only=False) is not None
        kit.age(91)
        expire_leases(CONFIG)
    assert (stage(), kit.row("song1").lease_until) == ("sending", None)
    receive_hint(Hint("task1", "SUCCESS"), HASH, token=token)
    assert read_back("song1", kit.success()) == [Stage.DOWNLOADING]


def test_an_answer_for_a_row_that_came_to_life_meanwhile_is_not_used_up() -> None:
    ordered("song1", kit.accepted("task1"))
    kit.age(21 * MINUTE)
    read_back("song1", kit.working())
    retry("song1", who="op", has_song=False)
    (question,) = open_questions("song1")
    with pytest.raises(ClaimLost):
        record_news(CONFIG, None, question, kit.success())
    assert read_back("song1", kit.success()) == [Stage.DOWNLOADING]


def test_a_row_that_forgot_to_be_due_is_woken() -> None:
    kit.submit(CONFIG, "song1")
    claim_rows(CONFIG)
    Submission.update(next_check_at=None).execute()
    assert due() == []
    apply_limits(CONFIG)
    assert due() == ["send_to_sonauto"]


def test_hints_and_answers_in_parallel_do_not_lock_each_other_out() -> None:
    token = ordered("song1", kit.accepted("task1"))
    db.close()

    def hint(_: int) -> None:
        with database.connection():
            receive_hint(Hint("task1", "SUCCESS"), HASH, token=token)

    def ask(_: int) -> None:
        with database.connection():
            claim = take_for_readback("song1", 60, None)
            for question in open_questions("song1") if claim else []:
                record_news(CONFIG, claim, question, kit.working())
                finish_readback(CONFIG, claim, "song1", question.asked_at)

    with ThreadPoolExecutor(8) as pool:
        for future in [pool.submit(work, n) for n in range(40) for work in (hint, ask)]:
            future.result()
    db.connect(reuse_if_open=True)
    assert stage() == "generating"


def test_a_lost_song_goes_on_with_the_other_order() -> None:
    first = ordered("song1", kit.answer(Meaning.UNKNOWN))
    kit.age(11 * MINUTE)
    order_again("song1", kit.accepted("task2"))
    receive_hint(Hint("task1", "SUCCESS"), HASH, token=first)
    read_back("song1", kit.success(), kit.working())
    claim = take("song1", Stage.DOWNLOADING, 60)
    assert claim is not None
    assert end_without_song(CONFIG, claim, "download_missing") == Stage.GENERATING
    kit.age(21)
    assert read_back("song1", kit.success("https://cdn.sonauto.ai/other.mp3")) == [Stage.DOWNLOADING]
    assert kit.row("song1").llm_response == "https://cdn.sonauto.ai/other.mp3"


def test_a_hint_that_came_meanwhile_is_asked_about_not_adopted() -> None:
    token = ordered("song1", kit.answer(Meaning.UNKNOWN))
    receive_hint(Hint("task1", "SUCCESS"), HASH, token=token)
    claim = take_for_readback("song1", 60, None)
    (question,) = open_questions("song1")
    receive_hint(Hint("task2", "SUCCESS"), HASH, token=token)
    assert record_news(CONFIG, claim, question, kit.success()) is None
    assert [(a.task_id, a.task_hint, a.ended_at) for a in kit.attempts("song1")] == [(None, "task2", None)]


def test_a_hint_does_not_shorten_the_pause_between_downloads() -> None:
    token = ordered("song1", kit.accepted("task1"))
    order = kit.attempts("song1")[0]
    kit.age(21)
    read_back("song1", kit.success())
    Attempt.update(ended_at=None).where(Attempt.id == order.id).execute()
    claim = take("song1", Stage.DOWNLOADING, 60)
    assert claim is not None
    release(claim, check_in=30)
    receive_hint(Hint("task1", "SUCCESS"), HASH, token=token)
    assert due() == []


def test_a_backlog_in_one_stage_hides_no_row_of_another() -> None:
    for number in range(ROWS_PER_PASS + 1):
        kit.submit(CONFIG, f"old{number}", f"cookie_{number}x")
    Submission.update(stage=Stage.RENDERING).execute()
    ordered("song1", kit.accepted("task1"))
    kit.age(21)
    assert due() == ["fetch_generation_details"]


def test_a_reader_that_kills_its_workers_does_not_fail_a_song_that_runs() -> None:
    ordered("song1", kit.accepted("task1"))
    for _ in range(25):
        kit.age(21)
        take("song1", Stage.GENERATING, 60, due_only=False)
        kit.age(61)
        expire_leases(CONFIG)
    assert stage() == "generating"
    kit.age(25 * 60 * MINUTE)
    for _ in range(25):
        take("song1", Stage.GENERATING, 60, due_only=False)
        kit.age(61)
        expire_leases(CONFIG)
    assert kit.row("song1").fail_reason == "generating_crashed"  # after a day, as no stage is without an exit
