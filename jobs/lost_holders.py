"""Processes that died with a row in their hands, where nobody else has noticed: found long before their leases end.

Of one's own pool those that no longer live: a worker may have missed its job's death, because Redis was emptied meanwhile,
or could not tell it, because the database was away.

Of other pools those that died with all their workers: a pool is lost when its sign of life stayed the same for LOST_SECONDS
by our own clock, while we looked all the time. After a gap in our looking (the database was away, we were frozen) we begin
anew, because then nobody could give a sign. Being wrong costs work done twice, never more: a claim that was taken over
writes nothing.
"""
import os
from dataclasses import dataclass, field
from typing import Any

from petsong.models import Heartbeat, Submission

LOST_SECONDS = 20.0  # four signs of life missed
LONGEST_GAP_SECONDS = 12.0  # between two looks that belong together


@dataclass
class LostHolders:
    """What one pool knows of whoever holds a row."""

    name: str  # of the pool that looks
    _seen: dict[str, tuple[Any, float]] = field(default_factory=dict)  # by pool: its last sign, and since when we know it
    _last: float = float("-inf")

    def look(self, now: float) -> list[str]:
        """Holders of leases (POOL:PID) who are dead, or whose pool is lost; `now` is time.monotonic(). Every few seconds."""
        if now - self._last > LONGEST_GAP_SECONDS:
            self._seen.clear()
        self._last = now
        holders: dict[str, list[str]] = {}
        for row in Submission.select(Submission.lease_holder).where(Submission.lease_until.is_null(False)).distinct():
            holder = row.lease_holder or ""
            pool = holder.rpartition(":")[0]
            if pool:
                holders.setdefault(pool, []).append(holder)
        dead = [holder for holder in holders.pop(self.name, []) if not _lives(holder)]
        self._remember(list(holders), now)
        lost = [pool for pool in holders if now - self._seen[pool][1] > LOST_SECONDS]
        return dead + [holder for pool in lost for holder in holders[pool]]

    def _remember(self, pools: list[str], now: float) -> None:
        signs = {beat.name: beat.at for beat in Heartbeat.select().where(Heartbeat.name.in_(pools))} if pools else {}
        known = {pool: self._seen.get(pool) for pool in pools}
        self._seen = {
            pool: seen if (seen := known[pool]) is not None and seen[0] == signs.get(pool) else (signs.get(pool), now)
            for pool in pools
        }


def _lives(holder: str) -> bool:
    """A number that the system gave to another process meanwhile counts as alive: then the lease ends by itself."""
    try:
        os.kill(int(holder.rpartition(":")[2]), 0)
    except ProcessLookupError:
        return False
    except (PermissionError, ValueError):
        pass
    return True
