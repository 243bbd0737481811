"""Figures for Prometheus, computed from the database when asked for: nothing is kept in processes, which fork and restart.

So these are gauges: what is so now, or was within the last hour. No names, no ids of songs. Bounded queries on indexes, so
that a scrape stays cheap in a big table.
"""
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from peewee import SQL, fn
from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from petsong import database, limits, outbox, spending
from petsong.disk import used_percent
from petsong.lifecycle import breaker
from petsong.lifecycle.sending import slots_in_use
from petsong.lifecycle.stages import ENDS, Stage
from petsong.models import Delivery, Event, Heartbeat, Submission, WebhookReceipt
from petsong.pools import live_workers, seconds_since
from petsong.queues import Queues
from petsong.settings import QUEUE_NAMES, Settings

HOUR = timedelta(hours=1)
MOVES_LOOKED_AT = 3000  # the newest of the last hour
QUANTILES = (0.5, 0.95, 1.0)
Labelled = dict[tuple[str, ...], float | None]


class Figures(Collector):
    """One scrape. `collect` needs an open database connection."""

    def __init__(self, settings: Settings, queues: Queues) -> None:
        self._settings, self._queues = settings, queues

    def registry(self) -> CollectorRegistry:
        made = CollectorRegistry(auto_describe=False)
        made.register(self)
        return made

    def describe(self) -> list[Metric]:
        return []  # or registering would ask the database

    def collect(self) -> Iterator[Metric]:
        moment = database.now()
        yield from _songs(moment)
        yield from _ended(moment)
        yield from _money(self._settings, moment)
        yield from _webhooks(moment)
        yield from _pauses(self._settings, moment)
        yield from _processes(self._queues, moment)
        yield _one("disk_used_percent", "Of the file system with the videos", used_percent(self._settings.video_storage))
        yield _one("alerts_open", "Conditions that the operator was told of and that are not over", len(outbox.open_alerts()))


def _gauge(name: str, meaning: str, labels: tuple[str, ...], values: Labelled) -> Metric:
    """What is not known is left out."""
    made = GaugeMetricFamily(f"petsong_{name}", meaning, labels=labels)
    for key, value in sorted(values.items()):
        if value is not None:
            made.add_metric(list(key), value)
    return made


def _one(name: str, meaning: str, value: float | None) -> Metric:
    return _gauge(name, meaning, (), {(): value})


# ---- songs

def _songs(moment: datetime) -> Iterator[Metric]:
    counted: Any = Submission.select(Submission.stage, Submission.fail_reason, fn.COUNT(SQL("1"))).group_by(
        Submission.stage, Submission.fail_reason
    ).tuples()
    songs: Labelled = {(stage.value, ""): 0 for stage in Stage if stage != Stage.FAILED}
    for stage, reason, number in counted:
        key = (stage, (reason or "") if stage == Stage.FAILED else "")
        songs[key] = (songs.get(key) or 0) + number
    yield _gauge("submissions", "Songs by stage; failed ones by reason", ("stage", "reason"), songs)
    oldest: Labelled = {(stage.value,): _age(_oldest(stage), moment) for stage in Stage if stage not in ENDS}
    yield _gauge("stage_oldest_seconds", "How long the oldest song has been in its stage", ("stage",), oldest)
    took = _stage_seconds(moment)
    yield _gauge("stage_seconds", "Time in a stage, of songs that left it within the last hour", ("stage", "quantile"), {
        (stage, f"{part:g}"): seconds[max(0, -(-round(part * 100) * len(seconds) // 100) - 1)]
        for stage, seconds in took.items() for part in QUANTILES
    })
    yield _gauge("stage_left", "Songs that left a stage within the last hour", ("stage",), {
        (stage,): len(seconds) for stage, seconds in took.items()
    })


def _oldest(stage: Stage) -> datetime | None:
    row = Submission.select(Submission.stage_since).where(Submission.stage == stage).order_by(Submission.stage_since).first()
    return row.stage_since if row else None


def _age(since: datetime | None, moment: datetime) -> float | None:
    return None if since is None else max(0.0, round((moment - since).total_seconds(), 1))


def _stage_seconds(moment: datetime) -> dict[str, list[float]]:
    """{stage: seconds in order}. A song entered the stage with the last move before."""
    before = Event.alias()
    entered = before.select(fn.MAX(before.at)).where(
        before.submission == Event.submission, before.id < Event.id,
        (before.from_stage != before.to_stage) | (before.reason == "submitted"),
    )
    moves: Any = Event.select(Event.from_stage, Event.at, entered.alias("entered")).where(
        Event.at > moment - HOUR, Event.from_stage != Event.to_stage, Event.from_stage.not_in(list(ENDS))
    ).order_by(Event.at.desc()).limit(MOVES_LOOKED_AT).tuples()
    found: dict[str, list[float]] = {}
    for stage, left, since in moves:
        if since is not None:
            seconds = (left - Event.at.python_value(since)).total_seconds()
            found.setdefault(stage, []).append(max(0.0, seconds))
    return {stage: sorted(seconds) for stage, seconds in found.items()}


def _ended(moment: datetime) -> Iterator[Metric]:
    rows: Any = Event.select(Event.to_stage, Event.reason, fn.COUNT(SQL("1"))).where(
        Event.at > moment - HOUR, Event.from_stage != Event.to_stage, Event.to_stage.in_(list(ENDS))
    ).group_by(Event.to_stage, Event.reason).tuples()
    values: Labelled = {("done", ""): 0}
    values.update({(stage, reason if stage == Stage.FAILED else ""): number for stage, reason, number in rows})
    meaning = "Songs that ended within the last hour, failed ones by reason"
    yield _gauge("ended_last_hour", meaning, ("outcome", "reason"), values)


# ---- money, webhooks, pauses

def _money(settings: Settings, moment: datetime) -> Iterator[Metric]:
    balance = limits.last_credits(moment)
    yield _one("credits", "Usable credits at the last reading", balance.usable)
    yield _one("credits_age_seconds", "Since that reading", _age(balance.read_at, moment))
    spent: Labelled = {(window.name,): window.spent for window in spending.spending(settings, moment).windows}
    yield _gauge("credits_spent", "Credits of the orders within the last hour or day", ("window",), spent)
    yield _one("slots_used", "Orders that may still run at the service", slots_in_use(settings, moment))
    yield _one("slots", "MAX_CONCURRENT_REQUESTS", settings.max_concurrent_requests)


def _webhooks(moment: datetime) -> Iterator[Metric]:
    received: Any = WebhookReceipt.select(WebhookReceipt.outcome, fn.COUNT(SQL("1"))).where(
        WebhookReceipt.at > moment - HOUR
    ).group_by(WebhookReceipt.outcome).tuples()
    values: Labelled = {("hint",): 0, ("late",): 0, **{(outcome,): number for outcome, number in received}}
    yield _gauge("webhooks_received_last_hour", "The song service's webhooks, by what they were worth", ("outcome",), values)
    sent: Any = Delivery.select(Delivery.destination, Delivery.status, fn.COUNT(SQL("1"))).where(
        Delivery.destination.in_([outbox.ALERT, outbox.EVENT]), Delivery.at > moment - HOUR, Delivery.ms.is_null(False)
    ).group_by(Delivery.destination, Delivery.status).tuples()
    yield _gauge("webhooks_sent_last_hour", "Our own, by HTTP status, or none", ("destination", "status"), {
        (destination, str(status or "none")): number for destination, status, number in sent
    })
    backlog = outbox.backlog()
    names = (outbox.ALERT, outbox.EVENT)
    yield _gauge("outbox_waiting", "Messages not delivered yet", ("destination",), {
        (name,): backlog[name][0] if name in backlog else 0 for name in names
    })
    yield _gauge("outbox_oldest_seconds", "How long the oldest of them has waited", ("destination",), {
        (name,): _age(backlog[name][1], moment) if name in backlog else 0 for name in names
    })


def _pauses(settings: Settings, moment: datetime) -> Iterator[Metric]:
    yield _gauge("paused", "Whether sending pauses: the service refuses everybody, or a spending limit is reached", ("by",), {
        ("service",): int(breaker.is_tripped()), ("spending",): int(spending.spending(settings, moment).stopped),
    })


# ---- processes

def _processes(queues: Queues, moment: datetime) -> Iterator[Metric]:
    alive = live_workers(moment)
    yield _gauge("workers", "Live workers", ("queue",), {(name,): alive.get(name, 0) for name in QUEUE_NAMES})
    signs: Labelled = {(pool.name,): _age(pool.at, moment) for pool in Heartbeat.select()}
    yield _gauge("pool_sign_seconds", "Since a worker pool's last sign of life", ("pool",), signs)
    yield _one("scheduler_sign_seconds", "Since the scheduler's last sign of life", seconds_since("scheduler", moment))
    depths = queues.depths()
    yield _one("redis_up", "Whether Redis answers", int(depths is not None))
    yield _gauge("queue_messages", "Messages that wait in Redis", ("queue",), {(k,): v for k, v in (depths or {}).items()})
