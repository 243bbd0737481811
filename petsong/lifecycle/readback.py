"""What the service says about an order: hints (webhooks), news (read-backs), and the ends that follow from them.

A hint never moves a row. News is the service's own answer to our question; only it ends a song, or its patience.
"""
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from peewee import IntegrityError

from petsong import database
from petsong.database import db
from petsong.lifecycle.claims import Claim, ClaimLost, advance, clean, hold, later, release, take
from petsong.lifecycle.orders import due_in_sending, end_without_song, runs_with_hint
from petsong.lifecycle.stages import Stage
from petsong.models import Attempt, Submission, WebhookReceipt
from petsong.settings import Settings
from petsong.sonauto import Hint, TaskAnswer

# Stages whose read-back a hint hurries; in the others next_check_at is the pause between tries of another job.
LISTENING = [Stage.SENDING, Stage.GENERATING, Stage.DONE, Stage.FAILED]
MAX_RECEIPTS = 50  # of one attempt: a flood of repeats must not fill the disk


# ---- hints

def receive_hint(hint: Hint, body_hash: str, *, token: str = "") -> str | None:
    """Store that something was said about an order; the row becomes due. Its session id, or None for unknown orders.

    A token decides whose; without one the task must be known. One committed write, no stage moved.
    """
    with db.atomic():
        attempt = _find_attempt(hint, token)
        if attempt is None:
            return None
        moment = database.now()
        if attempt.ended_at is None:
            # The row before the attempt, as everywhere: two transactions in two orders would lock each other out.
            Submission.update(next_check_at=moment).where(
                Submission.session_id == attempt.session_id, Submission.stage.in_(LISTENING)
            ).execute()
            _keep(attempt, hint, moment, trusted=bool(token))
        if attempt.receipts.count() < MAX_RECEIPTS:
            outcome = "hint" if attempt.ended_at is None else "late"
            WebhookReceipt.insert(attempt=attempt.id, at=moment, outcome=outcome, body_hash=body_hash).execute()
    return str(attempt.session_id)


def _find_attempt(hint: Hint, token: str) -> Any:
    if token:
        return Attempt.get_or_none(Attempt.token == token)
    return Attempt.get_or_none(Attempt.task_id == hint.task_id) if hint.task_id else None


def _keep(attempt: Any, hint: Hint, moment: datetime, *, trusted: bool) -> None:
    """A task id is believed only with the attempt's own token, and then only as something to ask the service about."""
    named = hint.task_id if trusted and attempt.task_id is None else None
    columns = {"task_hint": named} if named else {}
    Attempt.update(hint_at=moment, **columns).where(Attempt.id == attempt.id).execute()


# ---- questions

@dataclass(frozen=True)
class Question:
    attempt_id: int
    number: int
    task_id: str
    is_hint: bool  # nobody but a webhook has named this task yet
    asked_at: datetime


def open_questions(session_id: str) -> list[Question]:
    """The row's tasks that are not known to have ended, oldest attempt first."""
    moment = database.now()
    named = Attempt.task_id.is_null(False) | Attempt.task_hint.is_null(False)
    attempts = Attempt.select().where(Attempt.submission == session_id, Attempt.ended_at.is_null(), named)
    return [
        Question(a.id, a.number, str(a.task_id or a.task_hint), a.task_id is None, moment)
        for a in attempts.order_by(Attempt.number)
    ]


def take_for_readback(session_id: str, lease_seconds: float, holder: str | None) -> Claim | None:
    """A row whose task is known, or named by a hint; None where there is nothing to ask, or somebody is at it."""
    claim = take(session_id, Stage.GENERATING, lease_seconds, holder=holder)
    if claim is None and runs_with_hint(session_id):
        claim = take(session_id, Stage.SENDING, lease_seconds, holder=holder)
    return claim


# ---- news

def record_news(
    settings: Settings, claim: Claim | None, question: Question, answer: TaskAnswer
) -> Stage | None:
    """Write one answer down; the stage the row moved to, or None. Raises ClaimLost.

    Without a claim (the row is past generating, or over) only the attempt's own end is learnt, which frees its slot.
    """
    with db.atomic():
        _hold_row(claim, question)
        attempt = Attempt.get_by_id(question.attempt_id)
        if not answer.reachable:
            _clock_stands(attempt)
            return None
        told_before = attempt.silent_since is None
        _clock_goes_on(attempt)
        if question.is_hint and not _adopt(attempt, question, answer):
            return None
        if answer.state == "success":
            return _success(settings, claim, attempt, question, answer)
        if answer.state == "failure":
            return _failure(settings, claim, attempt, answer)
        if told_before and not answer.known and _is_over(settings, attempt, question):
            # That may be a hiccup, and the song is paid: asked once more, as if there had been no answer.
            _clock_stands(attempt)
            return None
        return _still_working(settings, claim, attempt, question)


def _hold_row(claim: Claim | None, question: Question) -> None:
    """Without a claim the row must be past generating; an operator may have given it a new life since we looked."""
    if claim is not None:
        hold(claim)
        return
    owner = Attempt.select(Attempt.submission).where(Attempt.id == question.attempt_id)
    before = [Stage.QUEUED, Stage.SENDING, Stage.GENERATING]
    past = Submission.update(tries=Submission.tries).where(Submission.session_id.in_(owner), Submission.stage.not_in(before))
    if past.execute() != 1:
        raise ClaimLost("the row waits for this answer itself")


def _clock_stands(attempt: Any) -> None:
    Attempt.update(silent_since=database.now()).where(Attempt.id == attempt.id, Attempt.silent_since.is_null()).execute()


def _clock_goes_on(attempt: Any) -> None:
    if attempt.silent_since is not None:
        silent = (database.now() - attempt.silent_since).total_seconds()
        attempt.silent_seconds += silent
        Attempt.update(silent_since=None, silent_seconds=attempt.silent_seconds).where(Attempt.id == attempt.id).execute()


def _adopt(attempt: Any, question: Question, answer: TaskAnswer) -> bool:
    """The service confirms a hinted task: it is the attempt's, unless another attempt has it. False: the hint was wrong."""
    mine = (Attempt.id == attempt.id) & (Attempt.task_hint == question.task_id)
    if answer.known:
        try:
            with db.atomic():
                adopted = Attempt.update(task_id=question.task_id, outcome="accepted", task_hint=None).where(
                    mine, Attempt.task_id.is_null()
                ).execute()
            # Where another hint came after the question, that one is asked about next.
            return bool(adopted) or Attempt.get_by_id(attempt.id).task_id == question.task_id
        except IntegrityError:
            pass
    Attempt.update(task_hint=None).where(mine).execute()
    return False


def _end(settings: Settings, attempt: Any, ended_as: str, *, paid: bool) -> None:
    Attempt.update(
        ended_at=database.now(), ended_as=ended_as, credits=settings.song_price_credits if paid else 0
    ).where(Attempt.id == attempt.id, Attempt.ended_at.is_null()).execute()


def _success(
    settings: Settings, claim: Claim | None, attempt: Any, question: Question, answer: TaskAnswer
) -> Stage | None:
    _end(settings, attempt, "success", paid=True)
    if claim is None:
        return None
    moment = database.now()
    if claim.stage == Stage.SENDING:
        claim = _on_to_generating(claim, attempt.number, question.task_id, check_in=0)
    advance(
        claim, Stage.DOWNLOADING, reason="song_ready", attempt=attempt.number, llm_task_id=question.task_id,
        received_from_llm=moment, llm_status="success", llm_response=answer.song_url, llm_full_response=answer.raw,
        lyrics=answer.lyrics, word_timing=answer.word_timing,
        timing_check_at=None if answer.word_timing else later(moment, 5),
    )
    return Stage.DOWNLOADING


def _on_to_generating(claim: Claim, number: int, task_id: str, *, check_in: float) -> Claim:
    """The task of an unknown attempt was found: the row goes on as if it had been accepted; still under our claim."""
    advance(
        claim, Stage.GENERATING, reason="adopted", attempt=number, check_in=check_in, llm_task_id=task_id,
        sent_to_llm=database.now(),
    )
    return Claim(claim.session_id, Stage.GENERATING, claim.number, 0, claim.ends)


def _failure(settings: Settings, claim: Claim | None, attempt: Any, answer: TaskAnswer) -> Stage | None:
    _end(settings, attempt, "failure", paid=False)
    if claim is None:
        return None
    return end_without_song(
        settings, claim, "service_failed", detail=answer.error_message or "", attempt=attempt.number, llm_status="fail"
    )


def _still_working(settings: Settings, claim: Claim | None, attempt: Any, question: Question) -> Stage | None:
    hinted_since = attempt.hint_at is not None and attempt.hint_at > question.asked_at
    if _is_over(settings, attempt, question) and not hinted_since:
        _end(settings, attempt, "timeout", paid=False)
        if claim is None:
            return None
        return end_without_song(settings, claim, "timeout", detail="no news", attempt=attempt.number, llm_status="timeout")
    if claim is not None and claim.stage == Stage.SENDING:
        _on_to_generating(claim, attempt.number, question.task_id, check_in=settings.poll_interval)
        return Stage.GENERATING
    return None


def _is_over(settings: Settings, attempt: Any, question: Question) -> bool:
    """No song takes that long."""
    patience = settings.song_max_minutes * 60 + attempt.silent_seconds
    return bool(question.asked_at > later(attempt.call_started_at, patience))


def finish_readback(settings: Settings, claim: Claim | None, session_id: str, asked_at: datetime | None) -> bool:
    """Give the row back, due at the next poll, or at once (True) where a hint came after the question. Raises ClaimLost."""
    with db.atomic():
        if claim is not None:
            hold(claim)
        else:  # held as well: a hint that comes now makes it due before, or after us
            Submission.update(tries=Submission.tries).where(Submission.session_id == session_id).execute()
        open_named = Attempt.select().where(
            Attempt.submission == session_id, Attempt.ended_at.is_null(),
            Attempt.task_id.is_null(False) | Attempt.task_hint.is_null(False),
        )
        again = asked_at is not None and open_named.where(Attempt.hint_at > asked_at).exists()
        if claim is None:
            due = None if not open_named.exists() else later(database.now(), 0 if again else settings.poll_interval)
            Submission.update(next_check_at=due).where(
                Submission.session_id == session_id, Submission.stage.in_([Stage.DONE, Stage.FAILED])
            ).execute()
        else:
            idle = claim.stage == Stage.SENDING and not open_named.exists()
            pause = due_in_sending(session_id) if idle else 0 if again else settings.poll_interval
            release(claim, check_in=pause, tries=0)
        return again


def overdue_news(settings: Settings, moment: datetime) -> Any:
    """Rows whose task was sent WEBHOOK_TIMEOUT_MINUTES ago without an end: worth a warning."""
    return Submission.select(Submission.session_id).where(
        Submission.stage == Stage.GENERATING, Submission.sent_to_llm < later(moment, -settings.webhook_timeout_minutes * 60)
    )


def detail_of(error: Exception) -> str:
    return clean(f"{type(error).__name__}: {error}")
