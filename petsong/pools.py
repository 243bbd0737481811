"""Signs of life in the database: of worker pools, and of duties."""
from datetime import datetime, timedelta
from typing import Any

from petsong import database
from petsong.models import Heartbeat, Tick

ALIVE_SECONDS = 45  # pools give a sign every 5 s


def live_pools(moment: datetime) -> list[Any]:
    """Those that gave a sign lately."""
    return list(Heartbeat.select().where(Heartbeat.at > moment - timedelta(seconds=ALIVE_SECONDS)).order_by(Heartbeat.name))


def live_workers(moment: datetime) -> dict[str, int]:
    """{queue: workers} of all of them."""
    counts: dict[str, int] = {}
    for pool in live_pools(moment):
        for queue, number in pool.queues.items():
            counts[queue] = counts.get(queue, 0) + number
    return counts


def seconds_since(name: str, moment: datetime) -> float | None:
    """How long ago a duty was done; None where it never was."""
    tick = Tick.get_or_none(Tick.name == name)
    return max(0.0, round((moment - tick.last_at).total_seconds(), 1)) if tick else None


def mark(name: str) -> None:
    """Remember that a duty was done just now."""
    moment = database.now()
    Tick.insert(name=name, last_at=moment).on_conflict(
        conflict_target=[Tick.name], update={Tick.last_at: moment}
    ).execute()
