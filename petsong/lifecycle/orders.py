"""A row and its orders at the service: it fails only when none of them can still bring a song."""
from typing import Any

from petsong import database
from petsong.database import db
from petsong.lifecycle.claims import Claim, advance, fail, hold, later, owned, release, void_uncalled, write
from petsong.lifecycle.stages import Stage
from petsong.models import Attempt, Submission
from petsong.settings import Settings

NO_SONG: dict[str, Any] = {"llm_response": None, "llm_status": None}


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


def may_still_bring_a_song(settings: Settings, session_id: str) -> bool:
    """Whether an attempt of the row is uncalled, runs at the service, or is unknown and young or hinted."""
    young = Attempt.call_started_at > later(database.now(), -settings.song_max_minutes * 60)
    hopeful = (
        Attempt.call_started_at.is_null() | Attempt.task_id.is_null(False) | Attempt.task_hint.is_null(False) | young
    )
    return bool(Attempt.select().where(Attempt.submission == session_id, Attempt.ended_at.is_null(), hopeful).exists())


def end_without_song(
    settings: Settings, claim: Claim, reason: str, *, detail: str = "", attempt: int | None = None,
    llm_status: str | None = None,
) -> Stage | None:
    """This order brought no song, or the row may stay no longer: on to its other order where there is one, else failed.

    The stage the row moved to, or None where it stays and waits. Raises ClaimLost.
    """
    with db.atomic():
        hold(claim)
        if claim.stage == Stage.RENDERING:  # it has its song
            fail(claim, reason, detail=detail)
            return Stage.FAILED
        if claim.stage == Stage.SENDING:
            void_uncalled(claim.session_id, database.now())
        running = _running_order(claim.session_id)
        if running is not None:
            return _follow(settings, claim, running)
        if may_still_bring_a_song(settings, claim.session_id):
            return _wait_in_sending(claim, detail, attempt)
        return _end(claim, reason, detail, attempt, llm_status)


def _running_order(session_id: str) -> Any:
    return Attempt.select().where(
        Attempt.submission == session_id, Attempt.ended_at.is_null(), Attempt.task_id.is_null(False)
    ).order_by(Attempt.number).first()


def _follow(settings: Settings, claim: Claim, order: Any) -> Stage | None:
    if claim.stage == Stage.GENERATING:
        write(claim, llm_task_id=order.task_id)
        return None
    advance(
        claim, Stage.GENERATING, reason="waits_for_other", attempt=order.number, check_in=settings.poll_interval,
        llm_task_id=order.task_id, **NO_SONG,
    )
    return Stage.GENERATING


def _wait_in_sending(claim: Claim, detail: str, attempt: int | None) -> Stage | None:
    due = due_in_sending(claim.session_id)
    if claim.stage == Stage.SENDING:
        release(claim, check_in=due, tries=0, reason="waits_for_other", detail=detail)
        return None
    if claim.stage == Stage.QUEUED:  # waits for its turn, not for an order
        fail(claim, "queue_timeout", detail=detail)
        return Stage.FAILED
    advance(
        claim, Stage.SENDING, reason="waits_for_other", detail=detail, attempt=attempt, check_in=due, llm_task_id=None,
        **NO_SONG,
    )
    return Stage.SENDING


def _end(claim: Claim, reason: str, detail: str, attempt: int | None, llm_status: str | None) -> Stage:
    row = Submission.select(Submission.former_attempts).where(owned(claim)).get()
    if attempt is not None and attempt <= row.former_attempts and claim.stage == Stage.GENERATING:
        # An operator's retry asked about an old order first; that is over, so a new one may be bought.
        advance(claim, Stage.QUEUED, reason="old_task_is_over", detail=detail, attempt=attempt, llm_task_id=None)
        return Stage.QUEUED
    columns = {} if llm_status is None else {"llm_status": llm_status, "received_from_llm": database.now()}
    fail(claim, reason, detail=detail, attempt=attempt, **columns)
    return Stage.FAILED
