"""Who may write a row: claims, leases, moves.

A claim is one UPDATE … WHERE id, stage, lease expired or none, which raises claim_no. Every later write names id, stage and
claim_no and must change exactly one row; a worker that was frozen and replaced changes none, and stops. The event is
written in the same transaction as its move.
"""
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from petsong import database, outbox
from petsong.database import db
from petsong.lifecycle.stages import ENDS, ENTRY_STATUS, MOVES, Stage
from petsong.models import Attempt, Event, Submission
from petsong.schemas import iso

MAX_DETAIL = 65_536


class ClaimLost(Exception):
    """Somebody else owns the row by now, or it has moved on. Whoever sees this must write nothing more."""


@dataclass(frozen=True)
class Claim:
    session_id: str
    stage: Stage
    number: int  # claim_no
    tries: int  # takings of this stage, this one included
    ends: float  # time.monotonic() at which the lease is over, by the worker's own clock

    def seconds_left(self) -> float:
        return self.ends - time.monotonic()


def later(moment: datetime, seconds: float) -> datetime:
    return moment + timedelta(seconds=seconds)


def lease_is_free(moment: datetime) -> Any:
    return Submission.lease_until.is_null() | (Submission.lease_until < moment)


def take(
    session_id: str, stage: Stage, lease_seconds: float, *, holder: str | None = None, due_only: bool = True
) -> Claim | None:
    """The row for `lease_seconds`, or None when it is elsewhere, somebody's, or not due. `holder` names the process.

    Due is next_check_at in the past: a message that comes twice, or early, does not use up a try.
    """
    began = time.monotonic()
    with db.atomic():
        moment = database.now()
        due = Submission.next_check_at <= moment if due_only else True
        rows = list(
            Submission.update(
                claim_no=Submission.claim_no + 1, tries=Submission.tries + 1,
                lease_until=later(moment, lease_seconds), lease_holder=holder,
            )
            .where(Submission.session_id == session_id, Submission.stage == stage, lease_is_free(moment), due)
            .returning(Submission.claim_no, Submission.tries)
        )
    if len(rows) != 1:
        return None
    return Claim(session_id, stage, rows[0].claim_no, rows[0].tries, began + lease_seconds)


def owned(claim: Claim) -> Any:
    """The WHERE of every write under a claim."""
    return (
        (Submission.session_id == claim.session_id)
        & (Submission.stage == claim.stage)
        & (Submission.claim_no == claim.number)
    )


def write(claim: Claim, **columns: Any) -> None:
    """Change columns under a claim and keep the lease. Raises ClaimLost."""
    if Submission.update(**columns).where(owned(claim)).execute() != 1:
        raise ClaimLost(f"{claim.session_id} in {claim.stage} is no longer held by claim {claim.number}")


def hold(claim: Claim) -> None:
    """Lock the row until the transaction ends and make sure that it is still ours. Raises ClaimLost."""
    write(claim, claim_no=claim.number)


def advance(
    claim: Claim, to: Stage, *, reason: str = "", detail: str = "", attempt: int | None = None,
    check_in: float | None = 0, **columns: Any,
) -> None:
    """Move the row on and end the claim; the new stage is due in `check_in` seconds (None: never by itself).

    Raises ClaimLost; ValueError for a move that no stage allows.
    """
    if to not in MOVES[claim.stage]:
        raise ValueError(f"no move leads from {claim.stage} to {to}")
    with db.atomic():
        moment = database.now()
        if to in ENDS:
            # Attempts may still run at the service; the row stays due until they are known to have ended.
            check_in = 0 if runs_at_service(claim.session_id) else None
        due = None if check_in is None else later(moment, check_in)
        if claim.stage == Stage.SENDING:
            void_uncalled(claim.session_id, moment)
        write(
            claim, stage=to, entry_status=ENTRY_STATUS[to], stage_since=moment, tries=0, lease_until=None,
            lease_holder=None, next_check_at=due, **columns,
        )
        record_event(claim, to, moment, reason=reason, detail=detail, attempt=attempt)
        if to in ENDS:
            _tell_agency(claim, to, moment, reason)


def _tell_agency(claim: Claim, to: Stage, moment: datetime, reason: str) -> None:
    """In the move's own transaction: no end goes untold, and none is told that did not happen."""
    row = Submission.select(Submission.campaign, Submission.created_at).where(
        Submission.session_id == claim.session_id
    ).get()
    outbox.event("submission.succeeded" if to == Stage.DONE else "submission.failed", claim.session_id, {
        "status": ENTRY_STATUS[to], "reason": reason if to == Stage.FAILED else None, "campaign": row.campaign,
        "created_at": iso(row.created_at), "ended_at": iso(moment),
    })


def record_event(
    claim: Claim, to: Stage, moment: datetime, *, reason: str, detail: str = "", attempt: int | None = None
) -> None:
    Event.insert(
        submission=claim.session_id, at=moment, from_stage=claim.stage, to_stage=to, claim_no=claim.number,
        attempt=attempt, reason=reason, detail=clean(detail)[:MAX_DETAIL],
    ).execute()


def clean(text: str) -> str:
    return text.replace("\x00", "")  # PostgreSQL refuses NUL in text


def release(claim: Claim, *, check_in: float | None, tries: int | None = None, reason: str = "", detail: str = "",
            **columns: Any) -> None:
    """Give the row back in the same stage, due in `check_in` seconds. `tries` overrides the count. Raises ClaimLost."""
    with db.atomic():
        moment = database.now()
        if tries is not None:
            columns["tries"] = tries
        due = None if check_in is None else later(moment, check_in)
        write(claim, lease_until=None, lease_holder=None, next_check_at=due, **columns)
        if reason:
            record_event(claim, claim.stage, moment, reason=reason, detail=detail)


def fail(claim: Claim, reason: str, *, detail: str = "", attempt: int | None = None, **columns: Any) -> None:
    """End the row as failed. Raises ClaimLost."""
    if claim.stage == Stage.RENDERING:
        columns.setdefault("video_creation_end", database.now())
    advance(claim, Stage.FAILED, reason=reason, detail=detail, attempt=attempt, fail_reason=reason, **columns)


def void_uncalled(session_id: str, moment: datetime) -> None:
    """An attempt that was never called holds its slot until it is; when its row goes elsewhere it never will be."""
    Attempt.update(outcome="void", ended_as="void", ended_at=moment).where(
        Attempt.submission == session_id, Attempt.call_started_at.is_null(), Attempt.ended_at.is_null()
    ).execute()


def runs_at_service(session_id: str) -> bool:
    """Whether an attempt of the row has a task id, confirmed or not, and is not known to have ended."""
    named = Attempt.task_id.is_null(False) | Attempt.task_hint.is_null(False)
    return bool(Attempt.select().where(Attempt.submission == session_id, Attempt.ended_at.is_null(), named).exists())
