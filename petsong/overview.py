"""Everything an operator wants to see at once, as one dataclass; a few dozen bounded queries, fit for big tables."""
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any

from peewee import SQL, fn

from petsong import credits, database, limits, outbox, spending, switch
from petsong.campaigns.loader import Campaign
from petsong.disk import used_percent
from petsong.lifecycle import breaker
from petsong.lifecycle.claims import later
from petsong.lifecycle.sending import slots_in_use
from petsong.lifecycle.stages import ENDS, Stage
from petsong.models import Event, Heartbeat, Submission
from petsong.pools import ALIVE_SECONDS, seconds_since
from petsong.queues import Queues
from petsong.settings import QUEUE_NAMES, Settings
from petsong.spending import DAY, HOUR

SAMPLE_SONGS = 200  # the newest finished songs, of which medians are made
FAILURES_LOOKED_AT = 500
WORKING = [stage for stage in Stage if stage not in ENDS]
FLOWS = ("arrived", "succeeded", "failed")


@dataclass(frozen=True)
class Period:
    """Arrivals, successes and failures, in equal parts, the last of which ends at `ends`."""

    name: str  # 1 h, 24 h, 7 d
    ends: datetime
    part_seconds: int
    arrived: tuple[int, ...]
    succeeded: tuple[int, ...]
    failed: tuple[int, ...]


@dataclass(frozen=True)
class StageState:
    stage: str
    songs: int
    oldest_since: datetime | None  # of those that are in it; None for the stages that end
    median_seconds: float | None  # of the newest finished songs
    p95_seconds: float | None


@dataclass(frozen=True)
class Pool:
    name: str
    last_sign_seconds: float
    alive: bool
    queues: dict[str, int]  # live workers


@dataclass(frozen=True)
class Failures:
    reason: str
    songs: int
    last_at: datetime
    session_id: str  # the last one


@dataclass(frozen=True)
class Pause:
    """A breaker that stops sending."""

    since: datetime
    until: datetime  # the next try
    reason: str


@dataclass(frozen=True)
class History:
    """What takes longest to count and changes least: songs by the hour of the last week, and how long stages took."""

    taken_at: datetime
    hours: dict[str, tuple[int, ...]]  # by flow, oldest first
    durations: dict[str, list[float]]  # by stage, seconds
    sample_songs: int
    done: int  # songs finished until then; they stay so


@dataclass(frozen=True)
class Overview:
    taken_at: datetime
    history: History
    stages: tuple[StageState, ...]
    periods: tuple[Period, ...]
    slots_used: int
    slots: int
    balance: limits.Credits
    pace: credits.Pace
    spending: spending.Spending
    sending_paused: Pause | None
    spending_paused: Pause | None
    campaign: switch.Standing
    campaign_songs: int | None  # that count towards the cap; None where there is none
    not_for_sale: tuple[str, str] | None  # code and message, as visitors get them
    pools: tuple[Pool, ...]
    scheduler_seconds: float | None  # since its last sign; None: never
    queue_depths: dict[str, int | None]  # None: Redis does not answer
    disk_percent: float | None
    failures: tuple[Failures, ...]
    alerts: tuple[Any, ...]


def gather(settings: Settings, queues: Queues, campaign: Campaign, history: History | None = None) -> Overview:
    """`history`: one that was counted lately, where there is one."""
    moment = database.now()
    history = history or count_history(moment)
    balance, standing = limits.last_credits(moment), switch.standing(campaign, moment)
    spent = spending.spending(settings, moment)
    return Overview(
        taken_at=moment, history=history, stages=tuple(_stages(history)), periods=_periods(moment, history),
        slots_used=slots_in_use(settings, moment), slots=settings.max_concurrent_requests,
        balance=balance, pace=credits.pace(balance.usable, moment), spending=spent,
        sending_paused=_pause(breaker.state()), spending_paused=_spending_pause(spent, moment),
        campaign=standing, campaign_songs=counted_songs(standing, campaign),
        not_for_sale=limits.closing_reason(settings, campaign),
        pools=tuple(_pools(moment)), scheduler_seconds=seconds_since("scheduler", moment),
        queue_depths=dict(queues.depths() or dict.fromkeys(QUEUE_NAMES)), disk_percent=used_percent(settings.video_storage),
        failures=tuple(_failures(moment)), alerts=tuple(outbox.open_alerts()),
    )


def counted_songs(standing: switch.Standing, campaign: Campaign) -> int | None:
    return None if standing.opening.cap is None else limits.campaign_count(campaign.name)


# ---- songs by stage

def _stages(history: History) -> Iterable[StageState]:
    unfinished: Any = Submission.select(Submission.stage, fn.COUNT(SQL("1"))).where(
        Submission.stage.in_([stage for stage in Stage if stage != Stage.DONE])
    ).group_by(Submission.stage).tuples()
    counts: dict[str, int] = dict(unfinished)
    counts[Stage.DONE] = history.done + _finished(Submission.stage_since > history.taken_at)
    for stage in Stage:
        took = sorted(history.durations.get(stage, []))
        yield StageState(
            stage.value, counts.get(stage, 0), _oldest(stage) if stage in WORKING and counts.get(stage) else None,
            percentile(took, 50), percentile(took, 95),
        )


def _finished(when: Any) -> int:
    count: int = Submission.select().where(Submission.stage == Stage.DONE, when).count()
    return count


def _oldest(stage: Stage) -> datetime | None:
    row = Submission.select(Submission.stage_since).where(Submission.stage == stage).order_by(Submission.stage_since).first()
    return row.stage_since if row else None


def _durations() -> tuple[dict[str, list[float]], int]:
    """Seconds that the newest finished songs spent in each stage at a time, and how many songs these are."""
    newest = [row.session_id for row in Submission.select(Submission.session_id).where(Submission.stage == Stage.DONE)
              .order_by(Submission.stage_since.desc()).limit(SAMPLE_SONGS)]
    entered: Any = Event.select(Event.submission, Event.at, Event.to_stage).where(
        Event.submission.in_(newest), (Event.from_stage != Event.to_stage) | (Event.reason == "submitted")
    ).order_by(Event.submission, Event.id).tuples()
    found: dict[str, list[float]] = {}
    for (song, since, stage), (next_song, until, _) in pairwise(entered):
        if song == next_song:
            found.setdefault(stage, []).append((until - since).total_seconds())
    return found, len(newest)


def percentile(ordered: list[float], part: int) -> float | None:
    """The smallest of the values that `part` per cent of all do not exceed."""
    return ordered[max(0, -(-part * len(ordered) // 100) - 1)] if ordered else None


# ---- over time

def count_history(moment: datetime) -> History:
    durations, sample = _durations()
    hours = {flow: _counts(flow, moment, 7 * 24, HOUR) for flow in FLOWS}
    return History(moment, hours, durations, sample, _finished(Submission.stage_since <= moment))


def _periods(moment: datetime, history: History) -> tuple[Period, ...]:
    minutes = {flow: _counts(flow, moment, 12, 300) for flow in FLOWS}
    day = {flow: parts[-24:] for flow, parts in history.hours.items()}
    week = {flow: tuple(sum(parts[at:at + 6]) for at in range(0, len(parts), 6)) for flow, parts in history.hours.items()}
    return (
        Period("1 h", moment, 300, **minutes), Period("24 h", history.taken_at, HOUR, **day),
        Period("7 d", history.taken_at, 6 * HOUR, **week),
    )


def _counts(flow: str, moment: datetime, parts: int, seconds: int) -> tuple[int, ...]:
    """Songs in each of so many parts of so many seconds, oldest first.

    A song that failed and was given a new life since then counts where it stands now.
    """
    field = Submission.created_at if flow == "arrived" else Submission.stage_since
    ended = {"succeeded": Stage.DONE, "failed": Stage.FAILED}.get(flow)
    within = (field > later(moment, -parts * seconds)) & (field <= moment)
    ago = _parts_ago(field, moment, seconds)
    rows = within if ended is None else within & (Submission.stage == ended)
    found: Any = Submission.select(ago, fn.COUNT(SQL("1"))).where(rows).group_by(SQL("1")).tuples()
    counts: dict[int, int] = dict(found)
    return tuple(counts.get(number, 0) for number in reversed(range(parts)))


def _parts_ago(field: Any, moment: datetime, seconds: int) -> Any:
    """How many whole parts lie between, in the words of either database."""
    if database.is_postgres():
        return fn.FLOOR((moment.timestamp() - fn.DATE_PART("epoch", field)) / seconds).cast("INTEGER")
    days = fn.JULIANDAY(moment.isoformat()) - fn.JULIANDAY(field)
    return (days * (DAY / seconds)).cast("INTEGER")


# ---- pauses, processes, places

def _pause(row: Any) -> Pause | None:
    return Pause(row.since, row.retry_at, row.reason) if row else None


def _spending_pause(state: spending.Spending, moment: datetime) -> Pause | None:
    """Also before a dispatch has noticed; the row tells since when."""
    if not state.stopped:
        return None
    noticed = breaker.spending_stopped()
    return Pause(noticed.since if noticed else moment, state.reopens_at or later(moment, DAY), state.reason)


def _pools(moment: datetime) -> Iterable[Pool]:
    for beat in Heartbeat.select().order_by(Heartbeat.name):
        seconds = (moment - beat.at).total_seconds()
        yield Pool(beat.name, round(seconds, 1), seconds < ALIVE_SECONDS, beat.queues)


# ---- failures

def _failures(moment: datetime) -> Iterable[Failures]:
    """The newest of the last seven days by reason, most frequent first."""
    rows = Submission.select(Submission.fail_reason, Submission.stage_since, Submission.session_id).where(
        Submission.stage == Stage.FAILED, Submission.stage_since > later(moment, -7 * DAY)
    ).order_by(Submission.stage_since.desc()).limit(FAILURES_LOOKED_AT)
    groups: dict[str, list[Any]] = {}
    for row in rows:
        groups.setdefault(row.fail_reason or "unknown", []).append(row)
    ordered = sorted(groups.items(), key=lambda group: -len(group[1]))
    return [Failures(reason, len(rows), rows[0].stage_since, rows[0].session_id) for reason, rows in ordered]
