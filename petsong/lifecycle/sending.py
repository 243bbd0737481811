"""Buying a song: slots, attempts, the mark before the call. No song is paid twice, whatever dies when.

1. `claim_rows` gives queued rows an attempt each, as many as there are free slots, under one lock.
2. `begin_call` marks the attempt as called, just before the POST. From here on it may have been paid.
3. `answers.record_answer` writes what the service said, and the row's next stage, in one transaction.
A worker that dies between 1 and 2 costs nothing: the attempt is called by the next. One that dies between 2 and 3 leaves
an attempt that nobody knows about (unknown): it is never sent again; its webhook may name its task; after
UNKNOWN_AFTER_MINUTES one more attempt is claimed, flagged.
"""
import hmac
from collections.abc import Callable
from datetime import datetime
from hashlib import sha256
from typing import Any

from peewee import fn

from petsong import database
from petsong.database import db
from petsong.lifecycle import breaker
from petsong.lifecycle.claims import (
    Claim,
    advance,
    hold,
    later,
    lease_is_free,
    release,
    take,
)
from petsong.lifecycle.orders import due_in_sending, runs_with_hint
from petsong.lifecycle.stages import Stage
from petsong.models import Attempt, Submission
from petsong.settings import Settings

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
        free = breaker.spend_allowance(settings, free if songs is None else min(free, songs), moment)
        free = breaker.allowance(free, moment)
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
