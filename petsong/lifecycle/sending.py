"""Buying a song: slots, attempts, the call, and what its answer means. No song is paid twice, whatever dies when.

1. `claim_rows` gives queued rows an attempt each, as many as there are free slots, under one lock.
2. `begin_call` marks the attempt as called, just before the POST. From here on it may have been paid.
3. `record_answer` writes what the service said, and the row's next stage, in one transaction.
A worker that dies between 1 and 2 costs nothing: the attempt is called by the next. One that dies between 2 and 3 leaves
an attempt that nobody knows about (unknown): it is never sent again; its webhook may name its task; after
UNKNOWN_AFTER_MINUTES one more attempt is claimed, flagged.
"""
import hmac
from collections.abc import Callable
from datetime import datetime
from hashlib import sha256
from typing import Any

from peewee import IntegrityError, fn

from petsong import database
from petsong.database import db
from petsong.lifecycle import breaker
from petsong.lifecycle.claims import (
    Claim,
    ClaimLost,
    advance,
    clean,
    fail,
    hold,
    later,
    lease_is_free,
    owned,
    release,
    take,
    write,
)
from petsong.lifecycle.stages import Stage
from petsong.models import Attempt, Submission
from petsong.settings import Settings
from petsong.sonauto import Answer, Meaning

# ---- slots and claims

def webhook_token(settings: Settings, session_id: str, number: int) -> str:
    message = f"{session_id}|{number}|webhook".encode()
    return hmac.new(settings.secret_key.encode(), message, sha256).hexdigest()


def occupies_slot(settings: Settings, moment: datetime) -> Any:
    """An attempt that is claimed, not known to have ended, and if called, younger than any song lasts."""
    oldest = later(moment, -settings.song_max_minutes * 60)
    return Attempt.ended_at.is_null() & (Attempt.call_started_at.is_null() | (Attempt.call_started_at > oldest))


def slots_in_use(settings: Settings, moment: datetime) -> int:
    count: int = Attempt.select().where(occupies_slot(settings, moment)).count()
    return count


def claim_rows(settings: Settings, affordable: Callable[[], int | None] = lambda: None) -> list[str]:
    """Session ids of rows that got an attempt and want sending, oldest first.

    `affordable` tells how many songs the credits allow (None: any number); it is asked under the lock.
    """
    with database.lock("slots"):
        moment = database.now()
        free = settings.max_concurrent_requests - slots_in_use(settings, moment)
        songs = affordable()
        free = breaker.allowance(free if songs is None else min(free, songs), moment)
        if free <= 0:
            return []
        rows = list(due_for_sending(settings, moment).limit(free))
        claimed = [row.session_id for row in rows if _claim_row(settings, row, moment)]
        if claimed:
            breaker.probe_goes_out(settings, moment)
        return claimed


def due_for_sending(settings: Settings, moment: datetime) -> Any:
    """Queued rows, and rows whose only call is unknown for long enough, oldest first.

    While sending pauses the next probe is whose last try is longest ago: rows that the service can't bear, and be they the
    oldest, come back behind those that were never tried.
    """
    first = Submission.next_check_at if breaker.is_tripped() else Submission.created_at
    due = Submission.next_check_at.is_null() | (Submission.next_check_at <= moment)
    queued = (Submission.stage == Stage.QUEUED) & due
    repeatable = (Submission.stage == Stage.SENDING) & due & lease_is_free(moment) & _may_order_again(settings, moment)
    return (
        Submission.select(Submission.session_id, Submission.stage)
        .where(queued | repeatable).order_by(first, Submission.session_id)
    )


def _may_order_again(settings: Settings, moment: datetime) -> Any:
    """One unknown order, old enough; nothing else open; no hint of the row waiting for an answer."""
    mine = Attempt.submission == Submission.session_id
    unknown = mine & Attempt.call_started_at.is_null(False) & Attempt.task_id.is_null() & Attempt.ended_at.is_null()
    recent = unknown & (Attempt.call_started_at > later(moment, -settings.unknown_after_minutes * 60))
    uncalled = mine & Attempt.call_started_at.is_null() & Attempt.ended_at.is_null()
    hinted = unknown & Attempt.task_hint.is_null(False)
    accepted = mine & Attempt.task_id.is_null(False) & Attempt.ended_at.is_null()
    blocked = recent | uncalled | hinted | accepted
    return unknown_orders_are_one() & ~fn.EXISTS(Attempt.select(Attempt.id).where(blocked)) & ~has_a_verdict()


VERDICTS = {"permanent": "order_refused", "failure": "service_failed", "timeout": "timeout"}


def has_a_verdict() -> Any:
    """In the present life of the row the service said no to one of its orders; free refusals are no verdict."""
    verdicts = Attempt.select(Attempt.id).where(
        Attempt.submission == Submission.session_id, Attempt.number > Submission.former_attempts,
        Attempt.ended_as.in_(list(VERDICTS)),
    )
    return fn.EXISTS(verdicts)


def verdict_of(row: Any) -> str:
    """The reason to fail a row with whose last unknown order is too old."""
    ended = Attempt.select(Attempt.ended_as).where(
        Attempt.submission == row.session_id, Attempt.number > row.former_attempts, Attempt.ended_as.in_(list(VERDICTS))
    ).order_by(Attempt.number.desc()).first()
    return VERDICTS[ended.ended_as] if ended else "no_answer"


def unknown_orders_are_one() -> Any:
    """In the present life of the row; all those of former lives together count as one."""
    unknown = (
        (Attempt.submission == Submission.session_id) & Attempt.call_started_at.is_null(False)
        & Attempt.task_id.is_null() & Attempt.ended_at.is_null()
    )
    present = Attempt.select(fn.COUNT(Attempt.id)).where(unknown, Attempt.number > Submission.former_attempts)
    former = fn.EXISTS(Attempt.select(Attempt.id).where(unknown, Attempt.number <= Submission.former_attempts))
    return ((present == 1) & ~former) | ((present == 0) & former)


def _claim_row(settings: Settings, row: Any, moment: datetime) -> bool:
    """Under the slots' lock: an attempt for the row, flagged where an earlier one may have been accepted."""
    claim = take(row.session_id, Stage(row.stage), 60, due_only=False)
    if claim is None:
        return False
    flagged = claim.stage == Stage.SENDING
    if flagged:
        _mark_unknown(claim.session_id)
        number = _add_attempt(settings, claim.session_id, flagged, moment)
        release(claim, check_in=0, tries=0, reason="ordered_again", detail=f"attempt {number}")
    else:
        number = _add_attempt(settings, claim.session_id, flagged, moment)
        advance(claim, Stage.SENDING, reason="claimed", attempt=number)
    return True


def _mark_unknown(session_id: str) -> None:
    Attempt.update(outcome="unknown").where(
        Attempt.submission == session_id, Attempt.call_started_at.is_null(False), Attempt.outcome.is_null(),
        Attempt.ended_at.is_null(),
    ).execute()


def _add_attempt(settings: Settings, session_id: str, flagged: bool, moment: datetime) -> int:
    last = Attempt.select(fn.MAX(Attempt.number)).where(Attempt.submission == session_id).scalar()
    number: int = (last or 0) + 1
    Attempt.insert(
        submission=session_id, number=number, token=webhook_token(settings, session_id, number), flagged=flagged,
        claimed_at=moment,
    ).execute()
    return number


# ---- the call

def begin_call(claim: Claim) -> Any:
    """Mark the row's uncalled attempt as called and commit; that attempt, or None where there is none. Raises ClaimLost.

    None too while a hint of the row is unanswered: an earlier order may have been accepted after all.
    """
    with db.atomic():
        hold(claim)
        if runs_with_hint(claim.session_id):
            release(claim, check_in=0, tries=0)
            return None
        marked = list(
            Attempt.update(call_started_at=database.now())
            .where(
                Attempt.submission == claim.session_id, Attempt.call_started_at.is_null(), Attempt.ended_at.is_null(),
            ).returning(Attempt)
        )
        if not marked:
            release(claim, check_in=due_in_sending(claim.session_id), tries=0)
            return None
        return marked[0]


def void_call(claim: Claim, attempt: Any) -> None:
    """The call was marked, but our lease ended before the POST began: nothing was sent. Raises ClaimLost."""
    with db.atomic():
        hold(claim)
        _end(attempt, "void", "void", "the lease ended before the call")
        _back_to_waiting(claim, attempt, "lease_over", check_in=0)


def record_answer(settings: Settings, claim: Claim, attempt: Any, answer: Answer) -> None:
    """Outcome and stage in one transaction. Where the claim was lost, a task id is kept as a hint, and ClaimLost raised."""
    try:
        with db.atomic():
            hold(claim)
            RECORDERS[answer.meaning](settings, claim, attempt, answer)
    except ClaimLost:
        if answer.task_id:
            _keep_hint(attempt, answer.task_id)
        raise
    except IntegrityError:  # the service named a task that another order has: nobody can tell whose song it is
        odd = Answer(Meaning.UNKNOWN, None, answer.http_status, f"task id {answer.task_id} is another order's")
        with db.atomic():
            hold(claim)
            _unknown(settings, claim, attempt, odd)


def _keep_hint(attempt: Any, task_id: str) -> None:
    with db.atomic():
        moment = database.now()
        Submission.update(next_check_at=moment).where(Submission.session_id == attempt.session_id).execute()
        Attempt.update(task_hint=task_id, hint_at=moment).where(
            Attempt.id == attempt.id, Attempt.task_id.is_null()
        ).execute()


def _end(attempt: Any, outcome: str, ended_as: str, detail: str) -> None:
    Attempt.update(
        outcome=outcome, ended_at=database.now(), ended_as=ended_as, outcome_detail=clean(detail)[:2000]
    ).where(Attempt.id == attempt.id, Attempt.ended_at.is_null()).execute()


def _accepted(settings: Settings, claim: Claim, attempt: Any, answer: Answer) -> None:
    moment = database.now()
    Attempt.update(outcome="accepted", task_id=answer.task_id, task_hint=None).where(Attempt.id == attempt.id).execute()
    hinted = Attempt.select().where(Attempt.id == attempt.id, Attempt.hint_at.is_null(False)).exists()
    advance(
        claim, Stage.GENERATING, reason="accepted", attempt=attempt.number,
        check_in=0 if hinted else settings.poll_interval, sent_to_llm=moment, llm_task_id=answer.task_id,
        retry_count=0, refused_since=None,
    )
    breaker.reset()


def _permanent(settings: Settings, claim: Claim, attempt: Any, answer: Answer) -> None:
    _end(attempt, "permanent", "permanent", answer.detail)
    breaker.reset()
    if may_still_bring_a_song(settings, claim.session_id):
        due = due_in_sending(claim.session_id)
        release(claim, check_in=due, tries=0, reason="order_refused", detail=answer.detail)
    else:
        fail(claim, "order_refused", detail=answer.detail, attempt=attempt.number)


def _tags_refused(settings: Settings, claim: Claim, attempt: Any, answer: Answer) -> None:
    row = Submission.select(Submission.prompt_alone).where(owned(claim)).get()
    if row.prompt_alone:
        _permanent(settings, claim, attempt, answer)
        return
    _end(attempt, "refused", "refused", answer.detail)
    breaker.reset()
    write(claim, prompt_alone=True)
    _back_to_waiting(claim, attempt, "tags_refused", check_in=0, detail=answer.detail)


def _refused_everyone(settings: Settings, claim: Claim, attempt: Any, answer: Answer) -> None:
    _end(attempt, "refused", "refused", answer.detail)
    breaker.trip(settings, answer.detail or str(answer.http_status))
    _back_to_waiting(claim, attempt, "service_unavailable", check_in=0, detail=answer.detail)


def _refused_row(settings: Settings, claim: Claim, attempt: Any, answer: Answer) -> None:
    """A 5xx. While everybody is refused it counts against nobody; a row that alone is refused again and again fails."""
    moment = database.now()
    general = breaker.is_tripped() or _another_row_refused_since_last_acceptance(claim.session_id)
    _end(attempt, "refused", "refused_5xx", answer.detail)
    if general:
        breaker.trip(settings, answer.detail or str(answer.http_status))
        # Behind the others: the next probe is somebody else's, in case it is this row that the service can't bear.
        pause = 2 * max(settings.retry_backoff)
        _back_to_waiting(claim, attempt, "service_unavailable", check_in=pause, detail=answer.detail)
        return
    write(
        claim, retry_count=Submission.retry_count + 1,
        refused_since=fn.COALESCE(Submission.refused_since, Submission.refused_since.to_value(moment)),
    )
    row = Submission.select(Submission.retry_count, Submission.refused_since).where(owned(claim)).get()
    alone = _accepted_since(row.refused_since)
    if row.retry_count >= settings.max_retries and alone and not may_still_bring_a_song(settings, claim.session_id):
        fail(claim, "service_refused", detail=answer.detail, attempt=attempt.number)
        return
    pause = settings.backoff(row.retry_count)
    _back_to_waiting(claim, attempt, "refused", check_in=pause, detail=answer.detail)


def _unknown(settings: Settings, claim: Claim, attempt: Any, answer: Answer) -> None:
    Attempt.update(outcome="unknown", outcome_detail=clean(answer.detail)[:2000]).where(Attempt.id == attempt.id).execute()
    # Whatever swallowed this answer may swallow the next ones: fewer unknown attempts, fewer songs ordered twice.
    breaker.trip(settings, answer.detail or "no answer")
    release(claim, check_in=due_in_sending(claim.session_id), tries=0, reason="no_answer", detail=answer.detail)


def runs_with_hint(session_id: str) -> bool:
    """Whether a task that the service has not confirmed yet was named for an attempt of the row."""
    return bool(
        Attempt.select().where(
            Attempt.submission == session_id, Attempt.task_hint.is_null(False), Attempt.task_id.is_null(),
            Attempt.ended_at.is_null(),
        ).exists()
    )


def has_uncalled_attempt(session_id: str) -> bool:
    return bool(
        Attempt.select().where(
            Attempt.submission == session_id, Attempt.call_started_at.is_null(), Attempt.ended_at.is_null()
        ).exists()
    )


def due_in_sending(session_id: str) -> float | None:
    """When a row in `sending` is due, in seconds: at once where there is a call or a question to make, else never by itself."""
    return 0 if runs_with_hint(session_id) or has_uncalled_attempt(session_id) else None


RECORDERS = {
    Meaning.ACCEPTED: _accepted,
    Meaning.PERMANENT: _permanent,
    Meaning.TAGS_REFUSED: _tags_refused,
    Meaning.FREE_EVERYONE: _refused_everyone,
    Meaning.FREE_ROW: _refused_row,
    Meaning.UNKNOWN: _unknown,
}


# ---- what stays open

def may_still_bring_a_song(settings: Settings, session_id: str) -> bool:
    """Whether an attempt of the row is uncalled, runs at the service, or is unknown and young or hinted."""
    young = Attempt.call_started_at > later(database.now(), -settings.song_max_minutes * 60)
    hopeful = (
        Attempt.call_started_at.is_null() | Attempt.task_id.is_null(False) | Attempt.task_hint.is_null(False) | young
    )
    return bool(Attempt.select().where(Attempt.submission == session_id, Attempt.ended_at.is_null(), hopeful).exists())


def _back_to_waiting(claim: Claim, attempt: Any, reason: str, *, check_in: float, detail: str = "") -> None:
    """After a free refusal: to the queue, or where an earlier attempt may have been accepted, on in `sending` for that."""
    unknown = Attempt.select().where(
        Attempt.submission == claim.session_id, Attempt.ended_at.is_null(), Attempt.call_started_at.is_null(False)
    ).exists()
    if unknown:
        hinted = runs_with_hint(claim.session_id)
        release(claim, check_in=0 if hinted else check_in, tries=0, reason=reason, detail=detail)
    else:
        advance(claim, Stage.QUEUED, reason=reason, detail=detail, attempt=attempt.number, check_in=check_in)


def _another_row_refused_since_last_acceptance(session_id: str) -> bool:
    accepted_at = Submission.select(fn.MAX(Submission.sent_to_llm)).scalar()
    refused = (Attempt.ended_as == "refused_5xx") & (Attempt.submission != session_id)
    if accepted_at is not None:
        refused &= Attempt.ended_at > accepted_at
    return bool(Attempt.select().where(refused).exists())


def _accepted_since(moment: datetime) -> bool:
    return bool(Submission.select().where(Submission.sent_to_llm > moment).exists())
