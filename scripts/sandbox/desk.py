"""Where orders are taken: slots, credits, what becomes of the order, all in one transaction."""

import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from scripts.sandbox import lyrics, strikes, tasks
from scripts.sandbox.faults import Change
from scripts.sandbox.ledger import Ledger
from scripts.sandbox.orders import Order, Refused
from scripts.sandbox.settings import Settings
from scripts.sandbox.strikes import Struck
from scripts.sandbox.tasks import Task
from scripts.sandbox.tunes import Tunes, tone_hz, vibe_of
from scripts.sandbox.webhooks import Webhooks


@dataclass(frozen=True)
class Plan:
    """What becomes of an order, fixed when it is accepted: what faults of the point "order" change."""

    generate_seconds: float
    outcome: str = "SUCCESS"
    alignment: str = "SUCCESS"
    paths: str = "full"
    statuses: tuple[str, ...] = tasks.STATUSES
    webhooks: int = 1  # deliveries at the end
    early: bool = False  # one of them before the submit is answered


class Desk:
    def __init__(self, ledger: Ledger, webhooks: Webhooks, tunes: Tunes) -> None:
        self._ledger, self._webhooks, self._tunes = ledger, webhooks, tunes
        self._maker = ThreadPoolExecutor(1, "songs")

    def accept(self, order: Order) -> tuple[Task, list[Struck]]:
        """Takes a checked order into the ledger and charges it.

        Returns the task and the faults that strike its answer. Raises Refused with 402 when the credits do not suffice
        and with 429 when all slots are taken.
        """
        with self._ledger.store.transaction():
            now, current = time.time(), self._ledger.settings()
            unfinished = self._ledger.unfinished(now)
            if sum(self._ledger.balance(now).values()) < current.price:
                raise Refused(402, f"Insufficient credits: a song costs {current.price}")
            if unfinished >= current.slots:
                raise Refused(429, f"Too many concurrent generations: at most {current.slots}")
            prompt = str(order.get("prompt") or "")
            changes = strikes.strike(self._ledger.store, "order", prompt, current.seed)
            answers = strikes.strike(self._ledger.store, "answer", prompt, current.seed)
            plan = _planned(current, changes)
            task = _new_task(order, current, plan, now, self._ledger.next_number())
            names = [struck.name for struck in (*changes, *answers)]
            task = self._ledger.add(replace(task, faults=names, peak_concurrent=unfinished + 1))
            self._webhooks.plan(task, plan.webhooks - plan.early)
        if plan.early and order.get("webhook_url"):
            self._webhooks.deliver(task)
        self._webhooks.wake()
        self._maker.submit(self.song, task)  # so that it is there when somebody asks for it
        return task, answers

    def song(self, task: Task) -> Path:
        """The path of the task's song, made if it is not there. Raises TuneError."""
        file_format = task.file_name.rpartition(".")[2]
        return self._tunes.song(task.vibe, task.tone_hz, task.song_seconds, file_format)

    def prewarm(self, vibe: str) -> None:
        """Makes a vibe's song in the length of the settings, so that the first order need not wait for it."""
        self._tunes.song(vibe, None, self._ledger.settings().song_seconds, "mp3")


def _planned(current: Settings, changes: list[Struck]) -> Plan:
    values: dict[str, Any] = {"generate_seconds": current.generate_seconds}
    for struck in changes:
        if isinstance(struck.effect, Change):
            values |= struck.effect.plan
            if struck.effect.slow and struck.seconds is not None:
                values[struck.effect.slow] = struck.seconds
    return Plan(**values)


def _new_task(order: Order, current: Settings, plan: Plan, now: float, number: int) -> Task:
    prompt, tags = str(order.get("prompt") or ""), order.get("tags")
    return Task(
        task_id=str(uuid.uuid4()),
        accepted_at=now,
        ends_at=now + plan.generate_seconds,
        outcome=plan.outcome,
        credits=current.price,
        request=order,
        lyrics=str(order.get("lyrics") or lyrics.write(prompt)),
        vibe=vibe_of(prompt, tags if isinstance(tags, list) else []),
        song_seconds=current.song_seconds,
        peak_concurrent=0,
        tone_hz=tone_hz(number) if current.tune == "tone" else None,
        align_seconds=current.align_seconds,
        alignment=plan.alignment,
        paths=plan.paths,
        statuses=list(plan.statuses),
    )
