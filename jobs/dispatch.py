"""Into free slots, and to the song service."""
import logging
from typing import Any

from jobs.tools import Tools, tools
from jobs.wrapper import held, job, recorded, without_database
from petsong import limits
from petsong.lifecycle.answers import record_answer, void_call
from petsong.lifecycle.claims import Claim
from petsong.lifecycle.recovery import begin_tick, due_jobs_of
from petsong.lifecycle.sending import begin_call, claim_rows
from petsong.lifecycle.stages import Stage
from petsong.models import Submission
from petsong.sonauto import Meaning

log = logging.getLogger(__name__)
LEASE_SECONDS = 90
STALE_CREDITS_SECONDS = 60


@job
def process_pending_queue() -> None:
    """Only claims and enqueues; never waits for the network."""
    t = tools()
    for session_id in claim_rows(t.settings, lambda: limits.affordable_songs(t.settings)):
        t.queues.enqueue("send_to_sonauto", session_id)
        t.queues.enqueue("prepare_record", session_id)
    if limits.affordable_songs(t.settings) is None and begin_tick("check_credits_on_demand", STALE_CREDITS_SECONDS):
        t.queues.enqueue("check_credits")


@job
def send_to_sonauto(session_id: str) -> None:
    t = tools()
    with held(session_id, Stage.SENDING, LEASE_SECONDS, t.settings) as claim:
        if claim is None:
            return
        row = Submission.get_by_id(session_id)
        order = _order(t, row)
        attempt = begin_call(claim)
        if attempt is None:
            return
        if claim.seconds_left() < t.settings.api_request_timeout_seconds:
            void_call(claim, attempt)
            return
        _call(t, claim, attempt, order)
    _follow_up(t, session_id)


def _order(t: Tools, row: Any) -> Any:
    return t.campaign(row.campaign).song_order(
        owner_name=row.owner_name, pet_name=row.pet_name, pet_type=row.pet_type, music_vibe=row.music_vibe,
        owner_name_said=row.owner_name_said, pet_name_said=row.pet_name_said, prompt_alone=row.prompt_alone,
    )


def _call(t: Tools, claim: Claim, attempt: Any, order: Any) -> None:
    base = t.settings.webhook_base_url
    webhook_url = f"{base}/api/webhook/{attempt.token}" if base else None
    with without_database():
        answer = t.service.submit(order, webhook_url, send_within=claim.seconds_left())
    level = logging.INFO if answer.meaning == Meaning.ACCEPTED else logging.WARNING
    log.log(level, "order answered", extra={"meaning": answer.meaning, "status": answer.http_status, "attempt": attempt.number})
    if answer.meaning == Meaning.FREE_EVERYONE and claim.seconds_left() <= 0:
        recorded(lambda: void_call(claim, attempt))  # it was we who were too late: that is no refusal
    else:
        recorded(lambda: record_answer(t.settings, claim, attempt, answer))


def _follow_up(t: Tools, session_id: str) -> None:
    """The next message: a read-back where a hint came already; else the slot may be free again."""
    wanted = due_jobs_of(session_id)
    t.queues.enqueue(wanted, session_id) if wanted else t.queues.enqueue("process_pending_queue")
