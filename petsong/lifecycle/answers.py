"""What the service's answer to an order means: outcome and stage in one transaction, by one table (RECORDERS)."""
from datetime import datetime
from typing import Any

from peewee import IntegrityError, fn

from petsong import database
from petsong.database import db
from petsong.lifecycle import breaker
from petsong.lifecycle.claims import Claim, ClaimLost, advance, clean, fail, hold, owned, release, write
from petsong.lifecycle.orders import due_in_sending, may_still_bring_a_song, runs_with_hint
from petsong.lifecycle.stages import Stage
from petsong.models import Attempt, Submission
from petsong.settings import Settings
from petsong.sonauto import Answer, Meaning


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
    breaker.trip(settings, _in_short(answer))
    _back_to_waiting(claim, attempt, "service_unavailable", check_in=0, detail=answer.detail)


def _refused_row(settings: Settings, claim: Claim, attempt: Any, answer: Answer) -> None:
    """A 5xx. While everybody is refused it counts against nobody; a row that alone is refused again and again fails."""
    moment = database.now()
    general = breaker.is_tripped() or _another_row_refused_since_last_acceptance(claim.session_id)
    _end(attempt, "refused", "refused_5xx", answer.detail)
    if general:
        breaker.trip(settings, _in_short(answer))
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
    breaker.trip(settings, _in_short(answer))
    release(claim, check_in=due_in_sending(claim.session_id), tries=0, reason="no_answer", detail=answer.detail)


def _in_short(answer: Answer) -> str:
    """Without the service's own words: they may repeat the order with its names, and stand with the attempt alone."""
    if answer.http_status is None:
        return answer.detail
    return f"the service answered HTTP {answer.http_status} ({answer.meaning})"


def void_call(claim: Claim, attempt: Any) -> None:
    """The call was marked, but our lease ended before the POST began: nothing was sent. Raises ClaimLost."""
    with db.atomic():
        hold(claim)
        _end(attempt, "void", "void", "the lease ended before the call")
        _back_to_waiting(claim, attempt, "lease_over", check_in=0)


RECORDERS = {
    Meaning.ACCEPTED: _accepted,
    Meaning.PERMANENT: _permanent,
    Meaning.TAGS_REFUSED: _tags_refused,
    Meaning.FREE_EVERYONE: _refused_everyone,
    Meaning.FREE_ROW: _refused_row,
    Meaning.UNKNOWN: _unknown,
}


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
