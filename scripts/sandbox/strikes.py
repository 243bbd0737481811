"""When a fault strikes: their list in the store, with counts, shares and schedules."""

import hashlib
import time
from dataclasses import dataclass
from typing import Any

from scripts.sandbox.faults import FAULTS, WITHOUT_MATCH, Effect
from scripts.sandbox.store import Store


class FaultError(ValueError):
    """A fault's description is wrong; the message names what and what is right."""


@dataclass(frozen=True)
class Struck:
    """A fault that strikes now; `seconds` is None unless it was given."""

    name: str
    effect: Effect
    seconds: float | None


def _optional(given: dict[str, object], name: str, most: float = 1e9) -> float | None:
    value = given.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
        raise FaultError(f"{name} is {value!r}: must be a number from 0 to {most:g}")
    return float(value)


def add(store: Store, given: dict[str, object], now: float) -> int:
    """Adds a fault as POST /sandbox/faults describes it; returns its id. Raises FaultError."""
    unknown = given.keys() - {"fault", "match", "count", "share", "from_seconds", "for_seconds", "seconds"}
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
        "INSERT INTO faults (fault, match, count, share, starts_at, ends_at, seconds) VALUES (?, ?, ?, ?, ?, ?, ?)",
        *(name, match, _optional(given, "count"), _optional(given, "share", 1)),
        *(starts_at, None if lasts is None else starts_at + lasts, _optional(given, "seconds")),
    )


def listed(store: Store) -> list[dict[str, object]]:
    """Every fault with its options, its chances so far (`seen`) and how many it took (`hits`)."""
    return [dict(row) for row in store.rows("SELECT * FROM faults ORDER BY id")]


def clear(store: Store) -> None:
    store.change("DELETE FROM faults")


def strike(store: Store, point: str, text: str, seed: int) -> list[Struck]:
    """The faults that strike at this point now, counted; text is what their `match` is looked for in."""
    now = time.time()
    found = []
    with store.transaction():
        query = "SELECT * FROM faults WHERE starts_at <= ? AND (ends_at IS NULL OR ends_at > ?) ORDER BY id"
        for row in store.rows(query, now, now):
            if FAULTS[row["fault"]].point != point or row["match"] not in text:
                continue
            hit = _takes_its_chance(dict(row), seed)
            store.change("UPDATE faults SET seen = seen + 1, hits = hits + ? WHERE id = ?", int(hit), row["id"])
            if hit:
                found.append(Struck(row["fault"], FAULTS[row["fault"]].effect, row["seconds"]))
    return found


def _takes_its_chance(row: dict[str, Any], seed: int) -> bool:
    if row["count"] is not None and row["hits"] >= row["count"]:
        return False
    if row["share"] is None:
        return True
    drawn = hashlib.sha256(f"{seed} {row['id']} {row['seen']}".encode()).digest()
    return int.from_bytes(drawn[:8]) / 2**64 < float(row["share"])
