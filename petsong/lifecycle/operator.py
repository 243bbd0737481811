"""What an operator may do to a row, recorded like every other move."""
from typing import Any

from petsong import database
from petsong.database import db
from petsong.lifecycle.claims import ClaimLost
from petsong.lifecycle.stages import DELETED, ENDS, ENTRY_STATUS, REVIVALS, Stage
from petsong.models import Attempt, Event, Submission


class ImpossibleMove(Exception):
    """A sentence for the operator: why not, and what would be possible."""


def retry(session_id: str, *, who: str, has_song: bool) -> Stage:
    """A new life for a failed row at its first missing artefact; old tasks are asked about before anything is paid.

    `has_song`: whether the file behind generated_song_path exists. Returns the stage it resumes in.
    Raises ImpossibleMove.
    """
    with database.lock("slots"), db.atomic():
        # Held before anything is read: an answer that arrives now has ended an attempt before, or finds the new life.
        Submission.update(tries=Submission.tries).where(Submission.session_id == session_id).execute()
        row = Submission.get_or_none(Submission.session_id == session_id)
        if row is None:
            raise ImpossibleMove(f"There is no submission {session_id}.")
        if row.stage != Stage.FAILED or row.files_removed_at is not None:
            raise ImpossibleMove(f"{session_id} is {row.stage}; only failed submissions whose files exist can be retried.")
        if row.fail_reason == DELETED:
            raise ImpossibleMove(f"{session_id} is to be deleted; delete it again, for its files could not be removed.")
        attempts = list(Attempt.select().where(Attempt.submission == session_id).order_by(Attempt.number))
        stage = resume_in(row, attempts, has_song)
        _revive(row, stage, attempts, who)
    return stage


def goes_on_since_retry(session_id: str) -> Stage | None:
    """The stage of a row that was retried and is on its way since; None for every other row."""
    row = Submission.get_or_none(Submission.session_id == session_id)
    if row is None or row.stage in ENDS or row.life_since <= row.created_at:
        return None
    return Stage(row.stage)


def resume_in(row: Any, attempts: list[Any], has_song: bool) -> Stage:
    """Where a failed row would go on: at its first missing artefact. QUEUED means that a new song is paid."""
    if has_song and row.generated_song_path:
        return Stage.RENDERING
    others = [a for a in attempts if a.task_id and a.task_id != row.llm_task_id and a.ended_as != "failure"]
    if row.llm_status == "success" and not others:
        return Stage.DOWNLOADING
    if others or any(a.task_id and a.ended_as != "failure" for a in attempts):
        return Stage.GENERATING
    if any(a.call_started_at and a.ended_at is None for a in attempts):
        return Stage.SENDING
    return Stage.QUEUED


def _revive(row: Any, stage: Stage, attempts: list[Any], who: str) -> None:
    if stage not in REVIVALS:
        raise ImpossibleMove(f"{row.session_id} can't resume in {stage}.")
    moment = database.now()
    if stage == Stage.GENERATING:
        # With its song known to be lost, only the row's other orders are asked about.
        lost = row.llm_task_id if row.llm_status == "success" else ""
        Attempt.update(ended_at=None, ended_as=None).where(
            Attempt.submission == row.session_id, Attempt.task_id.is_null(False), Attempt.task_id != lost,
            Attempt.ended_as.in_(["timeout", "success"]),
        ).execute()
    changed = Submission.update(
        stage=stage, entry_status=ENTRY_STATUS[stage], stage_since=moment, life_since=moment, tries=0, lease_until=None,
        lease_holder=None, next_check_at=moment, fail_reason=None, retry_count=0, refused_since=None,
        former_attempts=len(attempts), claim_no=Submission.claim_no + 1, llm_status=_status_in(stage, row),
    ).where(
        Submission.session_id == row.session_id, Submission.stage == Stage.FAILED, Submission.claim_no == row.claim_no,
        Submission.files_removed_at.is_null(),
    ).execute()
    if changed != 1:
        raise ClaimLost(row.session_id)
    Event.insert(
        submission=row.session_id, at=moment, from_stage=Stage.FAILED, to_stage=stage, claim_no=row.claim_no + 1,
        reason="retried", detail=f"by {who}",
    ).execute()


def _status_in(stage: Stage, row: Any) -> str | None:
    return row.llm_status if stage in (Stage.RENDERING, Stage.DOWNLOADING) else None
