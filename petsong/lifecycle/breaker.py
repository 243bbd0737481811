"""The sending breaker: a refusal that concerns everyone pauses all sending for 10, 30, then 60 s (RETRY_BACKOFF); after each
pause one order goes out as a probe, until the service accepts again. An outage thereby fails nobody and costs nothing.
"""
import logging
from datetime import datetime
from typing import Any

from petsong import database
from petsong.lifecycle.claims import clean, later
from petsong.lifecycle.stages import Stage
from petsong.models import Breaker, Submission
from petsong.settings import Settings

log = logging.getLogger(__name__)
NAME = "sending"


def state() -> Any:
    """The row while sending pauses, or None."""
    return Breaker.get_or_none(Breaker.name == NAME)


def is_tripped() -> bool:
    return state() is not None


def allowance(free: int, moment: datetime) -> int:
    """How many of `free` slots may be filled now; while tripped one probe a pause. Call under the slots' lock."""
    tripped = state()
    if tripped is None or free <= 0:
        return free
    return 0 if tripped.retry_at > moment else 1


def probe_goes_out(settings: Settings, moment: datetime) -> None:
    """While tripped: the next probe waits for its own, longer pause."""
    tripped = state()
    if tripped is not None:
        failures = tripped.failures + 1
        Breaker.update(failures=failures, retry_at=later(moment, settings.backoff(failures))).where(
            Breaker.name == NAME
        ).execute()


def trip(settings: Settings, reason: str) -> None:
    """Pause, unless sending pauses already: then the probe has set the time of the next one."""
    if is_tripped():
        return
    moment = database.now()
    Breaker.insert(
        name=NAME, failures=1, since=moment, retry_at=later(moment, settings.backoff(1)), reason=clean(reason)[:200]
    ).on_conflict_ignore().execute()
    log.warning("sending pauses", extra={"reason": reason[:200]})


def reset() -> None:
    """The service answered an order: sending goes on, also for those that were put back meanwhile."""
    if Breaker.delete().where(Breaker.name == NAME).execute():
        moment = database.now()
        Submission.update(next_check_at=moment).where(
            Submission.stage == Stage.QUEUED, Submission.retry_count == 0, Submission.next_check_at > moment
        ).execute()
        log.warning("sending resumes")
