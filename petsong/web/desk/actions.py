"""What an operator may do to songs, for pages, API and commands alike.

Each is idempotent: what has happened already is answered as done. Where it makes no sense ImpossibleMove says why. Who did
it stands in the song's timeline. Redis may be away: the sweep enqueues what is due.
"""
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from petsong.erasure import Receipt, erase
from petsong.lifecycle import cancelling, operator, rerendering
from petsong.lifecycle.claims import ClaimLost
from petsong.lifecycle.operator import ImpossibleMove
from petsong.lifecycle.recovery import due_jobs_of
from petsong.lifecycle.stages import DELETED, ENDS, Stage
from petsong.models import Attempt, Submission, find_submission
from petsong.web.desk.story import size_of
from petsong.web.extension import parts

AT_ONCE = 500  # rows of one retry of many


@dataclass(frozen=True)
class Outcome:
    session_id: str
    changed: bool  # False: it had happened before
    stage: str
    message: str
    job: str | None = None  # what it wants next
    enqueued: bool = True  # False: Redis does not answer


# ---- one song

def retry(session_id: str, who: str) -> Outcome:
    """Raises ImpossibleMove, ClaimLost."""
    row = _find(session_id)
    try:
        stage = operator.retry(session_id, who=who, has_song=_song_is_there(row))
    except (ImpossibleMove, ClaimLost):
        stage_now = operator.goes_on_since_retry(session_id)
        if stage_now is None:
            raise
        return Outcome(session_id, False, stage_now, f"It goes on already, in {stage_now}.")
    job, enqueued = _enqueue_next(session_id)
    return Outcome(session_id, True, stage, f"It goes on in {stage}.", job, enqueued)


def cancel(session_id: str, who: str) -> Outcome:
    """Raises ImpossibleMove."""
    _find(session_id)
    changed = cancelling.cancel(session_id, who=who)
    if changed:
        _enqueue_next(session_id)
        parts().queues.enqueue("process_pending_queue")  # its slot may be free
    return Outcome(session_id, changed, Stage.FAILED, "It was cancelled." if changed else "It was cancelled before.")


def rerender(session_id: str, who: str) -> Outcome:
    """Raises ImpossibleMove."""
    _find(session_id)
    changed = rerendering.order(session_id, who=who)
    enqueued = parts().queues.enqueue("rerender_video", session_id) if changed else True
    message = "Its video is made anew; until then the old one is shown." if changed else "Its video is being made anew already."
    return Outcome(session_id, changed, Stage.DONE, message, "rerender_video", enqueued)


def delete(session_id: str, who: str) -> Receipt:
    """Raises ImpossibleMove for an unknown id, OSError where a file cannot be removed."""
    shared = parts()
    receipt = erase(shared.settings, shared.storage, shared.queues, session_id, who=who)
    if receipt is None:
        raise ImpossibleMove(f"There is no submission {session_id}.")
    shared.queues.enqueue("process_pending_queue")
    return receipt


ON_THE_ROW: dict[str, Callable[[str, str], Outcome]] = {"retry": retry, "cancel": cancel, "rerender": rerender}


def possible(row: Any) -> set[str]:
    """Names of the actions that make sense now."""
    if row.files_removed_at is not None:
        return set()
    if row.stage not in ENDS:
        return {"cancel", "delete"}
    if row.stage == Stage.FAILED:
        return {"delete"} if row.fail_reason == DELETED else {"retry", "delete"}
    return {"delete"} if row.rerender_at else {"rerender", "delete"}


def _find(session_id: str) -> Any:
    row = find_submission(session_id)
    if row is None:
        raise ImpossibleMove(f"There is no submission {session_id}.")
    return row


def _song_is_there(row: Any) -> bool:
    return bool(row.generated_song_path) and size_of(row.generated_song_path) is not None


def _enqueue_next(session_id: str) -> tuple[str | None, bool]:
    queues, job = parts().queues, due_jobs_of(session_id)
    return job or None, queues.enqueue(job, session_id) if job else queues.enqueue("process_pending_queue")


# ---- all that failed for one reason

@dataclass(frozen=True)
class Estimate:
    """What it may cost to retry some songs."""

    session_ids: tuple[str, ...]
    pays: int  # order a new song
    may_pay: int  # ask the service about an old order first, and order a new song where that brings none
    price: int

    @property
    def free(self) -> int:
        return len(self.session_ids) - self.pays - self.may_pay

    @property
    def least_credits(self) -> int:
        return self.pays * self.price

    @property
    def most_credits(self) -> int:
        return (self.pays + self.may_pay) * self.price


def estimate(reason: str) -> Estimate:
    """For all failed songs of this reason that can still be retried, oldest first."""
    return _estimate(_failed(Submission.fail_reason == reason))


def estimate_one(row: Any) -> Estimate:
    return _estimate([row])


def _estimate(rows: list[Any]) -> Estimate:
    stages = dict(_resumptions(rows))
    pays = sum(stage == Stage.QUEUED for stage in stages.values())
    may_pay = sum(stage in (Stage.SENDING, Stage.GENERATING) for stage in stages.values())
    return Estimate(tuple(stages), pays, may_pay, parts().settings.song_price_credits)


def retry_all(reason: str, who: str, most_credits: int) -> tuple[int, int]:
    """(retried, left), at most AT_ONCE of them; as many as may cost `most_credits`, or none.

    Raises ImpossibleMove where they may cost more than that by now.
    """
    now = estimate(reason)
    if now.most_credits > most_credits:
        raise ImpossibleMove(
            f"By now this may cost {now.most_credits} credits, and you agreed to {most_credits}. Look again before you agree."
        )
    done = sum(_retried(session_id, who) for session_id in now.session_ids[:AT_ONCE])
    return done, len(now.session_ids[AT_ONCE:])


def _retried(session_id: str, who: str) -> bool:
    """One that cannot be retried any more does not keep the others."""
    try:
        return retry(session_id, who).changed
    except (ImpossibleMove, ClaimLost):
        return False


def _failed(condition: Any) -> list[Any]:
    columns = (
        Submission.session_id, Submission.generated_song_path, Submission.llm_task_id, Submission.llm_status,
    )
    retryable = (
        (Submission.stage == Stage.FAILED) & (Submission.fail_reason != DELETED) & Submission.files_removed_at.is_null()
    )
    return list(Submission.select(*columns).where(retryable, condition).order_by(Submission.created_at))


def _resumptions(rows: list[Any]) -> Iterator[tuple[str, Stage]]:
    """(session id, the stage that a retry would resume in), with few queries for many rows."""
    for start in range(0, len(rows), AT_ONCE):
        some = rows[start:start + AT_ONCE]
        attempts: dict[str, list[Any]] = {row.session_id: [] for row in some}
        found: Any = Attempt.select().where(Attempt.submission.in_(list(attempts))).order_by(Attempt.number)
        for attempt in found:
            attempts[attempt.session_id].append(attempt)
        for row in some:
            yield row.session_id, operator.resume_in(row, attempts[row.session_id], _song_is_there(row))
