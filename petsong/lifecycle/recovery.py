"""The net below the events: leases of the dead, rows whose job is nowhere, limits of each stage.

Every pass handles a bounded number of rows, and one row's trouble never stops the others'.
"""
import logging
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from typing import Any

from peewee import fn

from petsong import database
from petsong.database import db
from petsong.lifecycle import rerendering
from petsong.lifecycle.claims import (
    Claim,
    ClaimLost,
    advance,
    fail,
    hold,
    later,
    lease_is_free,
    owned,
    record_event,
    release,
    take,
)
from petsong.lifecycle.orders import (
    due_in_sending,
    end_without_song,
    has_uncalled_attempt,
    may_still_bring_a_song,
    runs_with_hint,
)
from petsong.lifecycle.sending import has_a_verdict, unknown_orders_are_one, verdict_of
from petsong.lifecycle.stages import ENDS, MAX_TRIES, Stage
from petsong.models import Attempt, Submission, Tick
from petsong.settings import Settings

log = logging.getLogger(__name__)
ROWS_PER_PASS = 500
PRODUCTION_MAX_SECONDS = 24 * 3600
KILLER_PAUSE_SECONDS = 600


# ---- leases of the dead

def expire_leases(settings: Settings) -> int:
    """Give rows back whose worker did not come back in time; end those that kill every worker. The number of rows."""
    moment = database.now()
    return len(_free(settings, Submission.lease_until < moment, "lease_expired"))


def free_rows_of_the_dead(settings: Settings, holder: str) -> list[str]:
    """The same at once, for a process that is known to be dead; the session ids."""
    return _free(settings, Submission.lease_until.is_null(False) & (Submission.lease_holder == holder), "worker_died")


def _free(settings: Settings, lost: Any, reason: str) -> list[str]:
    rows = list(
        Submission.select(Submission.session_id, Submission.stage, Submission.claim_no, Submission.tries)
        .where(lost).order_by(Submission.lease_until).limit(ROWS_PER_PASS)
    )
    return [row.session_id for row in rows if _free_row(settings, row, lost, reason)]


def _free_row(settings: Settings, row: Any, lost: Any, reason: str) -> bool:
    stage = Stage(row.stage)
    claim = Claim(row.session_id, stage, row.claim_no, row.tries, 0)
    with db.atomic():
        moment = database.now()
        # The number is raised with the lease's end, not only by the next taker: a worker that wakes up has lost its claim.
        freed = Submission.update(lease_until=None, lease_holder=None, claim_no=Submission.claim_no + 1)
        if freed.where(owned(claim), lost).execute() != 1:
            return False  # it came back after all, or somebody else was quicker
        # Decided while we hold the row, so that a hint comes before, or after and makes it due itself.
        due = _due_after_loss(row, stage, moment)
        Submission.update(next_check_at=due).where(Submission.session_id == row.session_id).execute()
        record_event(claim, stage, moment, reason=reason, detail=f"try {row.tries}")
    log.warning("lease ended", extra={"session_id": row.session_id, "stage": stage, "tries": row.tries, "reason": reason})
    if row.tries >= MAX_TRIES[stage]:
        _end_killer(settings, row.session_id, stage)
    return True


def _due_after_loss(row: Any, stage: Stage, moment: datetime) -> datetime | None:
    """An order that may have been accepted is not due again by itself: its webhook or a second attempt makes it so."""
    return moment if stage != Stage.SENDING or due_in_sending(row.session_id) == 0 else None


def _end_killer(settings: Settings, session_id: str, stage: Stage) -> None:
    """A row that killed every worker of its tries ends, unless the service may still bring it a song."""
    claim = take(session_id, stage, 60, due_only=False)
    if claim is None:
        return
    try:
        with db.atomic():
            hold(claim)
            reason, detail = f"{stage}_crashed", f"{claim.tries - 1} workers died with it"
            if stage != Stage.GENERATING:
                end_without_song(settings, claim, reason, detail=detail)
            elif _life_is_over(settings, session_id):
                fail(claim, reason, detail=detail)
            else:
                release(claim, check_in=KILLER_PAUSE_SECONDS, tries=0, reason="crashed", detail=detail)
    except ClaimLost:
        return


def _life_is_over(settings: Settings, session_id: str) -> bool:
    too_old = later(database.now(), -settings.queue_max_hours * 3600)
    return bool(Submission.select().where(Submission.session_id == session_id, Submission.life_since < too_old).exists())


# ---- rows whose job is nowhere

def due_jobs() -> Iterator[tuple[str, str]]:
    """(job, session id) for rows that are due and that nobody holds. Queued rows are the dispatcher's.

    So many rows of each stage: a backlog of one, whose messages wait, hides no other.
    """
    for stages in ([Stage.SENDING], [Stage.GENERATING], [Stage.DOWNLOADING], [Stage.RENDERING], list(ENDS)):
        yield from _due_jobs_in(stages)
    yield from (("rerender_video", session_id) for session_id in rerendering.due())


def _due_jobs_in(stages: list[Stage]) -> Iterator[tuple[str, str]]:
    moment = database.now()
    rows = (
        Submission.select(Submission.session_id, Submission.stage)
        .where(Submission.next_check_at <= moment, lease_is_free(moment), Submission.stage.in_(stages))
        .order_by(Submission.next_check_at).limit(ROWS_PER_PASS)
    )
    for row in list(rows):
        job = job_for(row.session_id, Stage(row.stage))
        if job:
            yield job, row.session_id
        elif row.stage == Stage.SENDING:
            _rest(row.session_id, moment)


def due_jobs_of(session_id: str) -> str:
    """The job that this row wants at once, or an empty string."""
    moment = database.now()
    row = Submission.get_or_none(
        (Submission.session_id == session_id) & (Submission.next_check_at <= moment) & lease_is_free(moment)
    )
    return job_for(session_id, Stage(row.stage)) if row else ""


def longest_waiting(stage: Stage) -> str | None:
    """The row that is due in this stage, and nobody's, for the longest time."""
    moment = database.now()
    row = Submission.select(Submission.session_id).where(
        Submission.stage == stage, Submission.next_check_at <= moment, lease_is_free(moment)
    ).order_by(Submission.stage_since).first()
    return str(row.session_id) if row else None


def job_for(session_id: str, stage: Stage) -> str:
    """What a due row wants; empty where only time or a webhook helps."""
    if stage == Stage.SENDING:
        if runs_with_hint(session_id):
            return "fetch_generation_details"
        return "send_to_sonauto" if has_uncalled_attempt(session_id) else ""
    if stage == Stage.DOWNLOADING:
        return "download_audio"
    if stage == Stage.RENDERING:
        return "create_video"
    return "" if stage == Stage.QUEUED else "fetch_generation_details"


def _rest(session_id: str, moment: datetime) -> None:
    """Nothing to do but wait: out of the list of the due, unless something happened since we looked."""
    Submission.update(next_check_at=None).where(
        Submission.session_id == session_id, Submission.stage == Stage.SENDING, Submission.next_check_at <= moment
    ).execute()


# ---- limits

def apply_limits(settings: Settings) -> list[str]:
    """End what no stage may hold any longer; the session ids that failed."""
    moment = database.now()
    failed = []
    for session_id, stage, reason in list(_overdue(settings, moment)):
        claim = take(session_id, stage, 60, due_only=False)
        if claim is None:
            continue
        try:
            if end_without_song(settings, claim, reason) == Stage.FAILED:
                failed.append(session_id)
        except ClaimLost:
            continue
    _requeue_orderless(moment)
    _wake_forgotten(moment)
    return failed


def _overdue(settings: Settings, moment: datetime) -> Iterator[tuple[str, Stage, str]]:
    too_old = later(moment, -settings.queue_max_hours * 3600)
    queued = (Submission.stage == Stage.QUEUED) & (Submission.life_since < too_old)
    for row in _ids(queued):
        yield row, Stage.QUEUED, "queue_timeout"
    since = Submission.stage_since < later(moment, -PRODUCTION_MAX_SECONDS)
    for stage, reason in ((Stage.DOWNLOADING, "download_unreachable"), (Stage.RENDERING, "render_failed")):
        for row in _ids((Submission.stage == stage) & since & lease_is_free(moment)):
            yield row, stage, reason
    orderless = (Submission.stage == Stage.GENERATING) & lease_is_free(moment) & ~_has_attempts()
    for row in _ids(orderless):  # no known path leads there; but no stage is without an exit
        yield row, Stage.GENERATING, "no_answer"
    hopeless = (Submission.stage == Stage.SENDING) & lease_is_free(moment) & _has_attempts()
    for row in _ids(hopeless & ((Submission.life_since < too_old) | ~unknown_orders_are_one() | has_a_verdict())):
        if not may_still_bring_a_song(settings, row):
            yield row, Stage.SENDING, verdict_of(Submission.get_by_id(row))


def _ids(where: Any) -> list[str]:
    query = Submission.select(Submission.session_id).where(where).order_by(Submission.created_at).limit(ROWS_PER_PASS)
    return [row.session_id for row in query]


def _has_attempts() -> Any:
    opened = Attempt.select(Attempt.id).where(Attempt.submission == Submission.session_id, Attempt.ended_at.is_null())
    return fn.EXISTS(opened)


def _requeue_orderless(moment: datetime) -> None:
    """A row in `sending` without any open attempt has nothing to wait for; no known path leads there."""
    for session_id in _ids((Submission.stage == Stage.SENDING) & lease_is_free(moment) & ~_has_attempts()):
        claim = take(session_id, Stage.SENDING, 60, due_only=False)
        if claim is not None:
            with suppress(ClaimLost):  # cancelled meanwhile
                advance(claim, Stage.QUEUED, reason="no_open_attempt")


def _wake_forgotten(moment: datetime) -> None:
    """A row in `sending` that has something to do is due, whatever overwrote that."""
    wanting = Attempt.select(Attempt.id).where(
        Attempt.submission == Submission.session_id, Attempt.ended_at.is_null(),
        Attempt.call_started_at.is_null() | (Attempt.task_hint.is_null(False) & Attempt.task_id.is_null()),
    )
    Submission.update(next_check_at=moment).where(
        Submission.stage == Stage.SENDING, Submission.next_check_at.is_null(), lease_is_free(moment), fn.EXISTS(wanting)
    ).execute()


# ---- one sweep at a time

def begin_tick(name: str, interval: float) -> bool:
    """Whether this duty is due and ours: a conditional UPDATE, so that of many who try only one begins."""
    with db.atomic():
        moment = database.now()
        Tick.insert(name=name, last_at=later(moment, -interval - 1)).on_conflict_ignore().execute()
        changed: int = (
            Tick.update(last_at=moment).where(Tick.name == name, Tick.last_at <= later(moment, -interval)).execute()
        )
    return changed == 1
