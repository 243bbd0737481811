"""A song's moves, orders and webhooks as one list, oldest first."""
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

BAD = ("failed", "crashed", "expired", "died", "refused", "given_up", "no_answer", "unavailable", "timeout")


@dataclass(frozen=True)
class Entry:
    at: str
    kind: str  # move, order, webhook
    title: str
    note: str = ""
    detail: str = ""  # an error in its own words
    bad: bool = False


def timeline(told: dict[str, Any]) -> list[Entry]:
    """Of a story."""
    entries = [*_moves(told["events"]), *_orders(told["attempts"]), *_webhooks(told["webhook_receipts"])]
    return sorted(entries, key=lambda entry: entry.at)  # in the order above where the second is the same


def _moves(events: list[dict[str, Any]]) -> Iterator[Entry]:
    for e in events:
        title = e["to"] if e["from"] == e["to"] else f"{e['from']} → {e['to']}"
        attempt = f", order {e['attempt']}" if e["attempt"] else ""
        bad = e["to"] == "failed" or any(word in e["reason"] for word in BAD)
        yield Entry(e["at"], "move", title, f"{e['reason'].replace('_', ' ')}{attempt}", e["detail"], bad)


def _orders(attempts: list[dict[str, Any]]) -> Iterator[Entry]:
    for a in attempts:
        flagged = "an earlier one may have been accepted" if a["flagged"] else ""
        if a["call_started_at"]:
            yield Entry(a["call_started_at"], "order", f"order {a['number']} sent", flagged)
        if a["ended_at"]:
            note = f"{a['ended_as'].replace('_', ' ')}, {a['credits']} credits"
            bad = a["ended_as"] not in ("success", "void")
            yield Entry(a["ended_at"], "order", f"order {a['number']} ended", note, a["detail"], bad)


def _webhooks(receipts: list[dict[str, Any]]) -> Iterator[Entry]:
    for r in receipts:
        late = "after its end" if r["outcome"] == "late" else ""
        yield Entry(r["at"], "webhook", f"webhook for order {r['attempt']}", late)
