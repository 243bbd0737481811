"""What orders cost lately, and the limits per hour and day beyond which nothing more is sent.

An order counts from the moment of its call, at its price until it is known to have cost nothing: so the limits hold also
for songs still in the making, and for orders of which nobody knows whether they were paid. Nothing is stored: sending goes on
by itself once the oldest orders are an hour, or a day, ago. An operator may lift the limits until a time.
"""
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from peewee import Case, fn

from petsong import audit, database
from petsong.lifecycle.claims import later
from petsong.models import Attempt, Switch
from petsong.moments import MomentError
from petsong.schemas import iso
from petsong.settings import Settings

HOUR, DAY = 3600, 86_400
WINDOWS = (("hour", HOUR), ("day", DAY))
FREE_ENDS = ("failure", "refused", "refused_5xx", "permanent", "void")
SWITCH = "spending"
LONGEST_LIFT = 7 * DAY


@dataclass(frozen=True)
class Window:
    name: str  # hour, day
    limit: int  # credits; 0: none
    spent: int  # credits, of orders still open at their full price
    songs_left: int | None  # None: any number
    reopens_at: datetime | None  # when there is room for a song again; None where there is, or where only time can tell


@dataclass(frozen=True)
class Spending:
    windows: tuple[Window, ...]
    lifted_until: datetime | None  # by an operator
    songs_left: int | None  # of all windows; None: any number

    @property
    def stopped(self) -> bool:
        return self.songs_left is not None and self.songs_left < 1

    @property
    def reason(self) -> str:
        """One line about the window that stops sending; "" where none does."""
        full = next((w for w in self.windows if self.stopped and w.songs_left is not None and w.songs_left < 1), None)
        return f"{full.spent} of {full.limit} credits were spent within the last {full.name}" if full else ""

    @property
    def reopens_at(self) -> datetime | None:
        moments = [window.reopens_at for window in self.windows if window.reopens_at] if self.stopped else []
        return max(moments, default=None)


def spending(settings: Settings, moment: datetime) -> Spending:
    """Of both windows, also where they have no limit."""
    windows = tuple(_window(settings, name, seconds, moment) for name, seconds in WINDOWS)
    lifted = lifted_until(moment)
    left = [window.songs_left for window in windows if window.songs_left is not None]
    return Spending(windows, lifted, min(left, default=None) if lifted is None else None)


def songs_left(settings: Settings, moment: datetime) -> int | None:
    """How many more orders the limits allow now; None: any number."""
    limited = [(name, seconds) for name, seconds in WINDOWS if _limit(settings, name)]
    if not settings.song_price_credits or not limited or lifted_until(moment) is not None:
        return None
    return min(_room(settings, name, _spent(settings, seconds, moment)) for name, seconds in limited)


def _limit(settings: Settings, name: str) -> int:
    return settings.spend_limit_per_hour if name == "hour" else settings.spend_limit_per_day


def _room(settings: Settings, name: str, spent: int) -> int:
    return max(0, _limit(settings, name) - spent) // settings.song_price_credits


def _window(settings: Settings, name: str, seconds: int, moment: datetime) -> Window:
    limit, price, spent = _limit(settings, name), settings.song_price_credits, _spent(settings, seconds, moment)
    if not limit or not price:
        return Window(name, limit, spent, None, None)
    left = _room(settings, name, spent)
    return Window(name, limit, spent, left, None if left else _reopens(settings, seconds, moment, spent + price - limit))


def _cost(settings: Settings) -> Any:
    """Credits of an order, in SQL."""
    return Case(None, [
        (Attempt.ended_as == "success", Attempt.credits), (Attempt.ended_as.in_(FREE_ENDS), 0)
    ], settings.song_price_credits)


def _since(moment: datetime, seconds: int) -> Any:
    return Attempt.call_started_at > later(moment, -seconds)


def _spent(settings: Settings, seconds: int, moment: datetime) -> int:
    # In this order: an order that is called between the two is counted twice for a moment, never left out.
    uncalled = Attempt.select().where(Attempt.call_started_at.is_null(), Attempt.ended_at.is_null()).count()
    called = Attempt.select(fn.COALESCE(fn.SUM(_cost(settings)), 0)).where(_since(moment, seconds)).scalar()
    return int(called) + uncalled * settings.song_price_credits


def _reopens(settings: Settings, seconds: int, moment: datetime, excess: int) -> datetime | None:
    """When orders of `excess` credits will have left the window, if that is for certain."""
    gone = fn.SUM(_cost(settings)).over(order_by=[Attempt.call_started_at, Attempt.id])
    sums = Attempt.select(Attempt.call_started_at, gone.alias("gone")).where(_since(moment, seconds)).alias("sums")
    enough: Any = Attempt.select(sums.c.call_started_at).from_(sums).where(sums.c.gone >= excess)
    called: datetime | None = Attempt.call_started_at.python_value(enough.order_by(sums.c.call_started_at).limit(1).scalar())
    return later(called, seconds) if called else None


# ---- by hand

def lifted_until(moment: datetime) -> datetime | None:
    """Until when an operator has lifted the limits; None where they hold."""
    switch = Switch.get_or_none(Switch.name == SWITCH)
    until = datetime.fromisoformat(switch.value["lifted_until"]) if switch else None
    return until if until is not None and until > moment else None


def lift(until: datetime, *, who: str) -> bool:
    """Let orders go out beyond the limits until then; False where that is so already. Raises MomentError."""
    with database.lock("switch:spending"):
        moment = database.now()
        if not moment < until <= later(moment, LONGEST_LIFT):
            raise MomentError("The limits can be lifted until a time within the next seven days.")
        if lifted_until(moment) == until:
            return False
        value = {"lifted_until": until.isoformat()}
        Switch.insert(name=SWITCH, value=value).on_conflict(
            conflict_target=[Switch.name], update={Switch.value: value}
        ).execute()
        audit.record(who, "spending_lifted", subject=SWITCH, detail=f"until {iso(until)}")
    return True


def restore(*, who: str) -> bool:
    """The limits hold again; False where they did already."""
    with database.lock("switch:spending"):
        if lifted_until(database.now()) is None:
            return False
        Switch.delete().where(Switch.name == SWITCH).execute()
        audit.record(who, "spending_restored", subject=SWITCH)
    return True
