"""Where orders are taken: slots, credits, what becomes of the order, all in one transaction."""

import random
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from scripts.sandbox import lyrics, strikes, tasks
from scripts.sandbox.compose import lyrics as composed_lyrics
from scripts.sandbox.faults import Change, Slots
from scripts.sandbox.ledger import Ledger
from scripts.sandbox.orders import Order, Refused
from scripts.sandbox.settings import Settings
from scripts.sandbox.strikes import Request, Struck
from scripts.sandbox.studio import Commission, Studio
from scripts.sandbox.tasks import Task, Timing
from scripts.sandbox.tunes import TuneError, Tunes, tone_hz, vibe_of
from scripts.sandbox.webhooks import Webhooks

SUBMIT_PATH = "/v1/generations/v3"
UNHURRIED_SECONDS, NICE = 5.0, 10  # a song that nobody can ask for so soon leaves the processor to others


@dataclass(frozen=True)
class Plan:
    """What becomes of an order, fixed when it is accepted: what faults of the point "order" change."""

    generate_seconds: float
    outcome: str = "SUCCESS"
    alignment: str = "SUCCESS"
    align_seconds: float = 0.0
    other_keys: bool = False
    paths: str = "full"
    statuses: tuple[str, ...] = tasks.STATUSES
    forgets: bool = False  # from half of its time on, for so long; None: for ever
    forgotten_seconds: float | None = None
    webhooks: int = 1  # deliveries at the end
    early: bool = False  # one of them before the submit is answered
    apart: float = 0.0  # seconds between them
    late: float = 0.0  # seconds by which all of them come late
    per_status: bool = False  # deliveries before the end too, one a status
    shuffled: bool = False  # each at another one's time


class Desk:
    def __init__(self, ledger: Ledger, webhooks: Webhooks, tunes: Tunes) -> None:
        self._ledger, self._webhooks, self._tunes = ledger, webhooks, tunes
        self._studio = Studio(tunes.folder)
        self._maker = ThreadPoolExecutor(1, "songs")
        self._begun: set[str] = set()  # tasks whose song was begun by this process

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
            fewer = self._too_many(order, current, unfinished)
            if not fewer:
                task, plan, answers = self._take(order, current, now, unfinished)
        if fewer:  # only now: what is raised inside would take the strike out of the ledger
            raise Refused(429, "Too many concurrent generations", tuple(struck.name for struck in fewer))
        if plan.early and order.get("webhook_url"):
            self._webhooks.deliver(task)
        self._webhooks.wake()
        self._begin(task)
        return task, answers

    def _begin(self, task: Task) -> None:
        """Makes the song in the background, so that it is there when somebody asks for it."""
        if task.task_id not in self._begun and not (task.composed and task.outcome == "FAILURE"):
            self._begun.add(task.task_id)
            self._maker.submit(self.song, task)

    def _too_many(self, order: Order, current: Settings, unfinished: int) -> list[Struck]:
        def bites(struck: Struck) -> bool:
            granted = struck.effect.number if isinstance(struck.effect, Slots) else 0
            return unfinished >= (granted if struck.number is None else struck.number)

        asked = Request("POST", SUBMIT_PATH)
        return strikes.strike(self._ledger.store, "slots", str(order.get("prompt") or ""), current.seed, asked, bites)

    def _take(self, order: Order, current: Settings, now: float, unfinished: int) -> tuple[Task, Plan, list[Struck]]:
        task_id, prompt = str(uuid.uuid4()), str(order.get("prompt") or "")
        asked = Request("POST", SUBMIT_PATH, task_id)
        changes, answers = (
            strikes.strike(self._ledger.store, point, prompt, current.seed, asked) for point in ("order", "answer")
        )
        plan = _planned(current, changes)
        task = _new_task(order, current, plan, now, self._ledger.next_number())
        names = [struck.name for struck in (*changes, *answers)]
        task = self._ledger.add(replace(task, task_id=task_id, faults=names, peak_concurrent=unfinished + 1))
        self._webhooks.plan(task, _tellings(task, plan))
        return task, plan, answers

    def song(self, task: Task) -> Path:
        """The path of the task's song, made if it is not there. Raises TuneError."""
        file_format = task.file_name.rpartition(".")[2]
        if task.composed:
            with suppress(TuneError):  # said by the studio; the vibe's premade song does as well
                unhurried = task.ends_at - time.time() > UNHURRIED_SECONDS
                return self._studio.song(_commission(task), file_format, NICE if unhurried else 0)
        return self._tunes.song(task.vibe, task.tone_hz, task.song_seconds, file_format)

    def timing(self, task: Task) -> tuple[Timing | None, bool]:
        """When the song's words are heard (None: evenly), and whether that is known by now."""
        if not task.composed:
            return None, True
        try:
            timing = self._studio.timing(_commission(task))
        except TuneError:
            return None, True
        if timing is None:
            self._begin(task)  # the process that was to make it may be gone
        return timing, timing is not None

    def prewarm(self, vibe: str) -> None:
        """Makes a vibe's song in the length of the settings, so that the first order need not wait for it."""
        self._tunes.song(vibe, None, self._ledger.settings().song_seconds, "mp3")


def _commission(task: Task) -> Commission:
    tags = task.request.get("tags")
    named = tuple(str(tag) for tag in tags) if isinstance(tags, list) else ()
    return Commission(task.prompt, named, task.vibe, task.lyrics, bool(task.request.get("instrumental")))


def _planned(current: Settings, changes: list[Struck]) -> Plan:
    values: dict[str, Any] = {"generate_seconds": current.generate_seconds, "align_seconds": current.align_seconds}
    for struck in changes:
        if isinstance(struck.effect, Change):
            values |= struck.effect.plan
            if struck.effect.slow and struck.seconds is not None:
                values[struck.effect.slow] = struck.seconds
            if struck.effect.many and struck.number is not None:
                values[struck.effect.many] = struck.number
    return Plan(**values)


def _tellings(task: Task, plan: Plan) -> list[tuple[str, float]]:
    """What webhooks say, and when: by the plan."""
    ends = [(task.outcome, task.ends_at + number * plan.apart) for number in range(plan.webhooks - plan.early)]
    told = [*tasks.begins(task), *ends] if plan.per_status and ends else ends
    said, due = [name for name, _at in told], [at + plan.late for _name, at in told]
    if plan.shuffled:
        said.reverse()  # the end comes first, whatever chance brings
        said[1:] = random.Random(task.task_id).sample(said[1:], len(said) - 1)
    return list(zip(said, due, strict=True))


def _new_task(order: Order, current: Settings, plan: Plan, now: float, number: int) -> Task:
    prompt, asked = str(order.get("prompt") or ""), order.get("tags")
    tags = [str(tag) for tag in asked] if isinstance(asked, list) else []
    vibe, composed = vibe_of(prompt, tags), current.tune == "compose"
    written = composed_lyrics.write(prompt, tags, vibe) if composed else lyrics.write(prompt)
    return Task(
        task_id=str(uuid.uuid4()),
        accepted_at=now,
        ends_at=now + plan.generate_seconds,
        outcome=plan.outcome,
        credits=current.price,
        request=order,
        lyrics=str(order.get("lyrics") or written),
        vibe=vibe,
        composed=composed,
        song_seconds=current.song_seconds,
        peak_concurrent=0,
        tone_hz=tone_hz(number) if current.tune == "tone" else None,
        align_seconds=plan.align_seconds,
        alignment=plan.alignment,
        other_keys=plan.other_keys,
        paths=plan.paths,
        statuses=list(plan.statuses),
        **_forgetting(plan, now),
    )


def _forgetting(plan: Plan, now: float) -> dict[str, Any]:
    if not plan.forgets:
        return {}
    begins, lasts = now + plan.generate_seconds / 2, plan.forgotten_seconds
    return {"forgotten_from": begins, "forgotten_until": None if lasts is None else begins + lasts}
