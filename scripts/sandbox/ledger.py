"""The record that judges trust: settings in force, accepted orders, what was refused, what is left of the credits."""

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from scripts.sandbox import settings, tasks
from scripts.sandbox.settings import Settings
from scripts.sandbox.store import Store
from scripts.sandbox.tasks import Task

_COLUMNS = ("number", "task_id", "accepted_at", "ends_at", "outcome", "credits")


class Ledger:
    """All reads are of the store: nothing here is lost by a kill."""

    def __init__(self, store: Store) -> None:
        self.store = store

    # Settings: the command line's over the defaults, and what was configured since over both.

    def command_line(self, given: Mapping[str, object]) -> None:
        """Takes the settings of this start; one that differs from the last start's ends what was configured for it."""
        values: dict[str, object] = {name: settings.checked(name, value) for name, value in given.items()}
        with self.store.transaction():
            last = self.store.read_setting("command_line")
            configured = self.store.read_setting("configured")
            changed = {name for name in values if name not in last or last[name] != values[name]}
            kept = {name: value for name, value in configured.items() if name not in changed}
            self.store.write_setting("command_line", values)
            self.store.write_setting("configured", kept)

    def configure(self, given: Mapping[str, object]) -> None:
        """Changes settings from now on; `credits` is what is left to spend of the granted ones. Raises SettingError."""
        values: dict[str, object] = {name: settings.checked(name, value) for name, value in given.items()}
        with self.store.transaction():
            if isinstance(values.get("credits"), int):
                values["credits"] = int(str(values["credits"])) + self.spent(time.time())
            self.store.write_setting("configured", {**self.store.read_setting("configured"), **values})

    def settings(self) -> Settings:
        values: dict[str, Any] = {**self.store.read_setting("command_line"), **self.store.read_setting("configured")}
        return Settings(**{name: value for name, value in values.items() if hasattr(Settings, name)})

    # Orders

    def add(self, task: Task) -> Task:
        """Writes an accepted order; returns it with its number."""
        body = {name: value for name, value in asdict(task).items() if name not in _COLUMNS}
        number = self.store.change(
            "INSERT INTO tasks (task_id, accepted_at, ends_at, outcome, credits, body) VALUES (?, ?, ?, ?, ?, ?)",
            *(task.task_id, task.accepted_at, task.ends_at, task.outcome, task.credits, json.dumps(body)),
        )
        return replace(task, number=number)

    def next_number(self) -> int:
        return int(self.store.number("SELECT seq FROM sqlite_sequence WHERE name = 'tasks'")) + 1

    def task(self, task_id: str) -> Task | None:
        found = self.store.rows("SELECT * FROM tasks WHERE task_id = ?", task_id)
        return _task(dict(found[0])) if found else None

    def unfinished(self, now: float) -> int:
        return int(self.store.number("SELECT count(*) FROM tasks WHERE ends_at > ?", now))

    def end_now(self, task_id: str | None, outcome: str | None, now: float) -> int:
        """Ends one unfinished task, or all of them, with the given outcome or their own; returns how many."""
        with self.store.transaction():
            which = "ends_at > ? AND (? IS NULL OR task_id = ?)"
            rows = self.store.rows(f"SELECT task_id, ends_at FROM tasks WHERE {which}", now, task_id, task_id)  # noqa: S608
            for row in rows:
                self.store.change(
                    "UPDATE tasks SET ends_at = ?, outcome = coalesce(?, outcome) WHERE task_id = ?",
                    *(now, outcome, row["task_id"]),
                )
                # What was to come a time after the end comes that time after the new one.
                due = "UPDATE deliveries SET due_at = max(?, due_at - ?) WHERE task_id = ? AND done = 0"
                self.store.change(due, now, row["ends_at"] - now, row["task_id"])
            return len(rows)

    # Credits

    def spent(self, now: float) -> int:
        """Charged at acceptance; a FAILURE gives it back when it ends."""
        query = "SELECT sum(credits) FROM tasks WHERE outcome = 'SUCCESS' OR ends_at > ?"
        return int(self.store.number(query, now))

    def balance(self, now: float) -> dict[str, int]:
        """What is left: granted credits go first, then pay-as-you-go ones."""
        current, spent = self.settings(), self.spent(now)
        over = max(0, spent - current.credits)
        left = {"num_credits": current.credits - spent, "num_credits_payg": current.credits_payg - over}
        return {name: max(0, value) for name, value in left.items()}

    # Refusals and the whole record

    def refuse(self, status: int, reason: str, prompt: str, faults: Sequence[str] = ()) -> None:
        """Notes a submit that was not accepted; status 0 is a connection closed without an answer."""
        self.store.change(
            "INSERT INTO refusals (at, status, reason, prompt, faults) VALUES (?, ?, ?, ?, ?)",
            *(time.time(), status, reason, prompt, json.dumps(list(faults))),
        )

    def record(self, now: float) -> dict[str, object]:
        """What GET /ledger answers."""
        calls: dict[str, list[dict[str, object]]] = {}
        for row in self.store.rows("SELECT * FROM calls ORDER BY at"):
            status = int(row["status"]) if row["status"].isdigit() else row["status"]
            call = {"at": round(row["at"], 3), "status": status, "said": row["said"]}
            calls.setdefault(row["task_id"], []).append(call)
        orders = [_task(dict(row)) for row in self.store.rows("SELECT * FROM tasks ORDER BY number")]
        refusals = [
            {**dict(row), "faults": json.loads(row["faults"] or "[]")}
            for row in self.store.rows("SELECT * FROM refusals ORDER BY at")
        ]
        strikes = [dict(row) for row in self.store.rows("SELECT * FROM strikes ORDER BY at")]
        hit: dict[str, dict[str, None]] = {}
        for strike in strikes:
            hit.setdefault(str(strike["task_id"]), {})[str(strike["fault"])] = None
        refused: dict[str, int] = {}
        for refusal in refusals:
            refused[str(refusal["status"])] = refused.get(str(refusal["status"]), 0) + 1
        summary = {
            "accepted": len(orders),
            "refused": refused,
            "max_concurrent": max((order.peak_concurrent for order in orders), default=0),
            "credits_left": sum(self.balance(now).values()),
        }
        lines = [_line(order, now, calls.get(order.task_id, []), hit.get(order.task_id, {})) for order in orders]
        trespasses = [dict(row) for row in self.store.rows("SELECT * FROM trespasses ORDER BY at")]
        return {"orders": lines, "refusals": refusals, "strikes": strikes, "trespasses": trespasses, "summary": summary}


def _task(row: dict[str, Any]) -> Task:
    return Task(**{name: row[name] for name in _COLUMNS}, **json.loads(row["body"]))


def _line(task: Task, now: float, calls: list[dict[str, object]], hit: Iterable[str]) -> dict[str, object]:
    over = tasks.ended(task, now)
    return {
        "task_id": task.task_id,
        "accepted_at": round(task.accepted_at, 3),
        "ended_at": round(task.ends_at, 3) if over else None,
        "ended_as": task.outcome if over else None,
        "prompt": task.request.get("prompt"),
        "tags": task.request.get("tags") or [],
        "webhook_url": task.request.get("webhook_url"),
        "credits": 0 if over and task.outcome == "FAILURE" else task.credits,
        "vibe": task.vibe,
        "tone_hz": task.tone_hz,
        "peak_concurrent": task.peak_concurrent,
        "faults": list(dict.fromkeys([*task.faults, *hit])),
        "webhook_deliveries": calls,
    }
