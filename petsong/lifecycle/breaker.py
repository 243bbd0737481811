"""What pauses all sending.

The sending breaker: a refusal that concerns everyone pauses it for 10, 30, then 60 s (RETRY_BACKOFF); after each pause one
order goes out as a probe, until the service accepts again. An outage thereby fails nobody and costs nothing.

The spend breaker: no order goes out beyond SPEND_LIMIT_PER_HOUR and SPEND_LIMIT_PER_DAY (petsong/spending.py counts); the row
only remembers since when, so that it is told once.
"""
import logging
from datetime import datetime
from typing import Any

from petsong import database, outbox, spending
from petsong.lifecycle.claims import clean, later
from petsong.lifecycle.stages import Stage
from petsong.models import Breaker, Submission
from petsong.settings import Settings

log = logging.getLogger(__name__)
NAME = "sending"
SPENDING = "spending"


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


# ---- spending

def spend_allowance(settings: Settings, free: int, moment: datetime) -> int:
    """How many of `free` slots the limits allow to be filled now. Call under the slots' lock."""
    left = spending.songs_left(settings, moment)
    if left is None or left >= 1:
        _spending_goes_on()
    else:
        _spending_stops(spending.spending(settings, moment), moment)
    return free if left is None else min(free, left)


def spending_stopped() -> Any:
    """The row while the limits stop sending, or None. It tells since when; whether it is still so, petsong.spending knows."""
    return Breaker.get_or_none(Breaker.name == SPENDING)


def _spending_stops(state: spending.Spending, moment: datetime) -> None:
    values = {"retry_at": state.reopens_at or later(moment, spending.HOUR), "reason": state.reason}
    if spending_stopped() is not None:
        Breaker.update(**values).where(Breaker.name == SPENDING).execute()
        return
    Breaker.insert(name=SPENDING, failures=0, since=moment, **values).on_conflict_ignore().execute()
    log.warning("spending limit reached", extra={"reason": state.reason})
    text = f"Sending stops: {state.reason}. It goes on by itself once that is over, or when an operator lifts the limits."
    outbox.alert("spend_breaker", text, dedupe="spend_breaker", severity="critical")


def _spending_goes_on() -> None:
    if Breaker.delete().where(Breaker.name == SPENDING).execute():
        log.warning("spending goes on")
        outbox.resolve("spend_breaker", "Sending goes on: the spending limits allow songs again.")
