"""When a fault strikes: their list in the store, with counts, shares and schedules."""

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from scripts.sandbox.faults import ENDING, FAULTS, WITHOUT_MATCH, Answer, Drop, Effect, Redirect, Slots
from scripts.sandbox.store import Store


class FaultError(ValueError):
    """A fault's description is wrong; the message names what and what is right."""


@dataclass(frozen=True)
class Request:
    """What a fault may strike: for the ledger. `task_id` is empty where no order is known."""

    method: str
    path: str
    task_id: str = ""


@dataclass(frozen=True)
class Struck:
    """A fault that strikes now; `seconds` and `number` are None unless they were given."""

    name: str
    effect: Effect
    seconds: float | None
    number: int | None

    @property
    def status(self) -> int | None:
        """What the request is answered with by the fault's doing; 0: nothing; None: as without it."""
        if isinstance(self.effect, Answer | Redirect):
            return self.effect.status
        return 0 if isinstance(self.effect, Drop) else 429 if isinstance(self.effect, Slots) else None


def _optional(given: dict[str, object], name: str, most: float = 1e9) -> float | None:
    value = given.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
        raise FaultError(f"{name} is {value!r}: must be a number from 0 to {most:g}")
    return float(value)


def _number(given: dict[str, object]) -> int | None:
    value = _optional(given, "number", 1000)
    return None if value is None else int(value)


def add(store: Store, given: dict[str, object], now: float) -> int:
    """Adds a fault as POST /sandbox/faults describes it; returns its id. Raises FaultError."""
    unknown = given.keys() - {"fault", "match", "count", "share", "from_seconds", "for_seconds", "seconds", "number"}
    if unknown:
        raise FaultError(f"no such option of a fault: {', '.join(sorted(unknown))}")
    name, match = given.get("fault"), given.get("match") or ""
    if not isinstance(name, str) or name not in FAULTS:
        raise FaultError(f"no fault {name!r}: there are {', '.join(FAULTS)}")
    if not isinstance(match, str) or (match and FAULTS[name].point in WITHOUT_MATCH):
        raise FaultError(f"match is {match!r}: must be a part of a prompt, and {name} must concern orders")
    starts_at = now + (_optional(given, "from_seconds") or 0.0)
    lasts = _optional(given, "for_seconds")
    return store.change(
        "INSERT INTO faults (fault, match, count, share, starts_at, ends_at, seconds, number)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        *(name, match, _optional(given, "count"), _optional(given, "share", 1)),
        *(starts_at, None if lasts is None else starts_at + lasts, _optional(given, "seconds"), _number(given)),
    )


def listed(store: Store) -> list[dict[str, object]]:
    """Every fault with its options, its chances so far (`seen`) and how many it took (`hits`)."""
    return [dict(row) for row in store.rows("SELECT * FROM faults ORDER BY id")]


def clear(store: Store) -> None:
    store.change("DELETE FROM faults")


def strike(
    store: Store, point: str, text: str, seed: int, request: Request, bites: Callable[[Struck], bool] = lambda struck: True
) -> list[Struck]:
    """The faults that strike at this point now, counted and in the ledger.

    `text` is what their `match` is looked for in; a fault that does not bite has no chance here.
    """
    now = time.time()
    found: list[Struck] = []
    with store.transaction():
        query = "SELECT * FROM faults WHERE starts_at <= ? AND (ends_at IS NULL OR ends_at > ?) ORDER BY id"
        for row in store.rows(query, now, now):
            struck = Struck(row["fault"], FAULTS[row["fault"]].effect, row["seconds"], row["number"])
            if FAULTS[row["fault"]].point != point or row["match"] not in text or not bites(struck):
                continue
            hit = _takes_its_chance(dict(row), seed)
            store.change("UPDATE faults SET seen = seen + 1, hits = hits + ? WHERE id = ?", int(hit), row["id"])
            if hit:
                found.append(struck)
                note(store, struck.name, request, struck.status, row["id"])
            if hit and isinstance(struck.effect, ENDING):
                break
    return found


def note(store: Store, fault: str, request: Request, status: int | None, fault_id: int | None = None) -> None:
    """One strike for the ledger."""
    store.change(
        "INSERT INTO strikes (at, fault, fault_id, method, path, task_id, status) VALUES (?, ?, ?, ?, ?, ?, ?)",
        *(time.time(), fault, fault_id, request.method, request.path, request.task_id, status),
    )


def _takes_its_chance(row: dict[str, Any], seed: int) -> bool:
    if row["count"] is not None and row["hits"] >= row["count"]:
        return False
    if row["share"] is None:
        return True
    drawn = hashlib.sha256(f"{seed} {row['id']} {row['seen']}".encode()).digest()
    return int.from_bytes(drawn[:8]) / 2**64 < float(row["share"])
