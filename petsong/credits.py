"""The ledger: readings of the balance, what orders cost between them, and drops for which there is no order."""
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from peewee import fn

from petsong import database, outbox
from petsong.lifecycle.claims import later
from petsong.models import Attempt, CreditReading
from petsong.settings import Settings
from petsong.spending import DAY, HOUR

# The service may charge at the order or at the song's end, and its balance may lag: so long after an order's end a drop may
# still be its own.
SETTLE_SECONDS = 900
LOOK_BACK_SECONDS = 6 * HOUR
MAY_COST = ("success", "failure", "timeout")  # and orders still open; a failure may be charged first and refunded


# ---- readings

def record_reading(settings: Settings, usable: int | None, asked_at: datetime | None = None) -> CreditReading:
    """Store what the service said of the balance (None: nothing); a drop that no order explains is told to the operator.

    `asked_at` puts answers that overtook each other into the order of their questions.
    """
    with database.lock("credit_readings"):  # with its alert, one after the other: each drop is told once
        moment = asked_at or database.now()
        gone = None if usable is None else unexplained_drop(settings, usable, moment)
        made = CreditReading.insert(at=moment, usable=usable, unexplained=gone).execute()
        reading: CreditReading = CreditReading.get_by_id(made)
        if gone:
            text = (
                f"{gone} credits are gone for which there is no order of ours: now {usable}. Does somebody else use this key, "
                f"or does a song no longer cost {settings.song_price_credits} credits (SONG_PRICE_CREDITS)?"
            )
            outbox.alert("credits_unexplained", text, dedupe=f"credits_unexplained:{reading.id}", data={"credits": gone})
    return reading


def unexplained_drop(settings: Settings, usable: int, moment: datetime) -> int | None:
    """Credits gone since the last reading that no order can have cost; None without an earlier reading."""
    known = CreditReading.select().where(CreditReading.usable.is_null(False), CreditReading.at <= moment)
    last = known.order_by(CreditReading.at.desc()).first()
    if last is None or not settings.song_price_credits:
        return None
    begin = later(last.at, -LOOK_BACK_SECONDS)
    recent: Any = known.where(CreditReading.at >= begin).order_by(CreditReading.at)
    readings = [(reading.at, reading.usable) for reading in recent]
    return unexplained([*readings, (moment, usable)], list(_charges(settings, begin, moment)))[-1]


@dataclass
class Charge:
    """What an order may have cost, and when its drop of the balance may be seen."""

    begins: datetime
    ends: datetime
    credits: int


def _charges(settings: Settings, begin: datetime, moment: datetime) -> Iterable[Charge]:
    open_or_paid = Attempt.ended_at.is_null() | Attempt.ended_as.in_(MAY_COST)
    seen = Attempt.ended_at.is_null() | (Attempt.ended_at > later(begin, -SETTLE_SECONDS))
    for order in Attempt.select().where(Attempt.call_started_at.is_null(False), open_or_paid, seen):
        price = order.credits if order.ended_as == "success" else settings.song_price_credits
        # Of an order without an answer nobody may ever hear again: it costs something as long as a song may last.
        ended = order.ended_at or min(moment, later(order.call_started_at, settings.song_max_minutes * 60))
        yield Charge(order.call_started_at, later(ended, SETTLE_SECONDS), price)


def unexplained(readings: Sequence[tuple[datetime, int]], charges: list[Charge]) -> list[int]:
    """For each reading but the first: the part of its drop for which no charge is left.

    Each charge explains its credits once, whichever reading shows them: that of those that could, which ends soonest.
    Rises are top-ups and explain nothing.
    """
    left = sorted((Charge(**vars(charge)) for charge in charges), key=lambda charge: charge.ends)
    found = []
    for (since, before), (until, after) in zip(readings, readings[1:], strict=False):
        drop = max(0, before - after)
        for charge in left:
            if drop and charge.begins < until and charge.ends > since:
                used = min(drop, charge.credits)
                charge.credits -= used
                drop -= used
        found.append(drop)
    return found


# ---- pace

@dataclass(frozen=True)
class Pace:
    last_hour: int  # credits of songs that were paid
    last_day: int
    per_hour: float  # by the last hour, or where nothing was paid in it, by the last day
    runs_out_at: datetime | None  # at this pace; None where nothing is spent, or nobody knows the balance


def pace(usable: int | None, moment: datetime) -> Pace:
    hour, day = (_paid(moment, seconds) for seconds in (HOUR, DAY))
    per_hour = float(hour) if hour else day / 24
    runs_out = None
    if usable is not None and per_hour:
        runs_out = later(moment, min(usable / per_hour, 24 * 3650) * HOUR)
    return Pace(hour, day, per_hour, runs_out)


def _paid(moment: datetime, seconds: int) -> int:
    paid = Attempt.select(fn.COALESCE(fn.SUM(Attempt.credits), 0)).where(Attempt.ended_at > later(moment, -seconds)).scalar()
    return int(paid)


# ---- the ledger

@dataclass(frozen=True)
class Entry:
    """A reading, and what happened since the one before."""

    at: datetime
    usable: int | None
    change: int | None  # since the last known balance
    songs: int  # orders that ended as songs in between
    paid: int  # their credits
    others: int  # orders that ended otherwise
    unexplained: int | None
    since: datetime | None


def ledger(page: int, page_size: int) -> tuple[list[Entry], int]:
    """Entries, newest first, and how many readings there are in all."""
    readings = list(
        CreditReading.select().order_by(CreditReading.at.desc(), CreditReading.id.desc())
        .offset((page - 1) * page_size).limit(page_size + 1)
    )
    orders = _ended_between(readings[-1].at, readings[0].at) if len(readings) > 1 else []
    entries = [_entry(reading, readings[place + 1:], orders) for place, reading in enumerate(readings)]
    return entries[:page_size], CreditReading.select().count()


def _ended_between(since: datetime, until: datetime) -> list[Any]:
    return list(
        Attempt.select(Attempt.ended_at, Attempt.ended_as, Attempt.credits)
        .where(Attempt.ended_at > since, Attempt.ended_at <= until, Attempt.call_started_at.is_null(False))
        .order_by(Attempt.ended_at.desc()).tuples()
    )


def _entry(reading: Any, earlier: Sequence[Any], orders: list[Any]) -> Entry:
    """`orders`: newest first; those of this entry are taken off its front."""
    before = earlier[0] if earlier else None
    known = next((other.usable for other in earlier if other.usable is not None), None)
    change = reading.usable - known if reading.usable is not None and known is not None else None
    mine: list[Any] = []
    while before is not None and orders and orders[0][0] > before.at:
        mine.append(orders.pop(0))
    songs = [order for order in mine if order[1] == "success"]
    return Entry(
        reading.at, reading.usable, change, len(songs), sum(order[2] for order in songs), len(mine) - len(songs),
        reading.unexplained, before.at if before is not None else None,
    )


def orders_between(since: datetime, until: datetime, number: int = 200) -> list[Any]:
    """Orders that ended in between, newest first: what an entry of the ledger stands for."""
    return list(
        Attempt.select().where(
            Attempt.ended_at > since, Attempt.ended_at <= until, Attempt.call_started_at.is_null(False)
        ).order_by(Attempt.ended_at.desc()).limit(number)
    )


def balances(moment: datetime, seconds: int = 7 * DAY, points: int = 84) -> list[tuple[datetime, int]]:
    """The balance over time, oldest first: the last reading of each of so many equal parts."""
    begin, step = later(moment, -seconds), seconds / points
    last: dict[int, tuple[datetime, int]] = {}
    known: Any = CreditReading.select(CreditReading.at, CreditReading.usable).where(
        CreditReading.at > begin, CreditReading.usable.is_null(False)
    ).order_by(CreditReading.at).tuples()
    for at, usable in known:
        last[int((at - begin).total_seconds() / step)] = (at, usable)
    return list(last.values())
