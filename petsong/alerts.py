"""What the operator should hear of: CRITICAL log lines, and conditions that are looked at every minute.

A condition is told once an hour while it lasts and once more when it is over. Texts hold figures and codes, never names.
"""
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from peewee import fn

from petsong import database, limits, logs, outbox
from petsong.disk import FULL_PERCENT, used_percent
from petsong.lifecycle.stages import CANCELLED, DELETED, ENDS, Stage
from petsong.models import Event, Submission
from petsong.outbox import Severity
from petsong.pools import live_pools
from petsong.queues import Queues
from petsong.settings import Settings

FAILURES_AT_LEAST = 5  # of three songs one that failed says nothing
ON_THE_WAY = [stage for stage in Stage if stage not in ENDS]
EXHAUSTED = "credits exhausted"  # the line that check_credits writes


@dataclass(frozen=True)
class Trouble:
    severity: Severity
    text: str


Rule = Callable[[Settings, datetime], Trouble | None]


def evaluate(settings: Settings) -> list[str]:
    """Tell of what is wrong now, and of what no longer is; the names of the rules that found something."""
    moment, found = database.now(), []
    for name, (rule, over) in RULES.items():
        trouble = rule(settings, moment)
        if trouble is None:
            outbox.resolve(name, over)
        else:
            found.append(name)
            outbox.alert(name, trouble.text, dedupe=name, severity=trouble.severity)
    usable = limits.last_credits(moment).usable
    if usable is not None and usable >= settings.song_price_credits:
        outbox.resolve(_key(EXHAUSTED), f"There are {usable} credits again.")
    return found


# ---- what is looked at

def failure_rate(settings: Settings, moment: datetime) -> Trouble | None:
    """Of the songs that ended within the hour. What an operator cancelled is no failure."""
    since = moment - timedelta(hours=1)
    rows: Any = Event.select(Event.reason, fn.COUNT(Event.id)).where(
        Event.at > since, _moved_to(Stage.FAILED), Event.reason.not_in([CANCELLED, DELETED])
    ).group_by(Event.reason).tuples()
    ended: Counter[str] = Counter(dict(rows))
    failed, done = ended.total(), _done_since(since)
    percent = 100 * failed / (failed + done) if failed else 0.0
    if failed < FAILURES_AT_LEAST or percent < settings.alert_failure_percent:
        return None
    reasons = ", ".join(f"{reason} {number}" for reason, number in ended.most_common(3))
    return Trouble("error", f"{failed} of {failed + done} songs failed within the last hour ({percent:.0f} %): {reasons}.")


def _done_since(moment: datetime) -> int:
    count: int = Event.select().where(Event.at > moment, _moved_to(Stage.DONE)).count()
    return count


def _moved_to(stage: Stage) -> Any:
    return (Event.to_stage == stage) & (Event.from_stage != stage)


def silence(settings: Settings, moment: datetime) -> Trouble | None:
    """No success for so long, though somebody has waited all that time."""
    since = moment - timedelta(minutes=settings.alert_silence_minutes)
    waiting = Submission.select().where(Submission.stage.in_(ON_THE_WAY))  # by name: “not in” would read the whole table
    if not waiting.where(Submission.life_since < since).exists() or _done_since(since):
        return None
    minutes = f"{settings.alert_silence_minutes:g} minutes"
    return Trouble("error", f"No song was finished for {minutes}, with {waiting.count()} on the way.")


def waiting(settings: Settings, moment: datetime) -> Trouble | None:
    oldest = Submission.select(fn.MIN(Submission.life_since)).where(Submission.stage == Stage.QUEUED)
    since: Any = Submission.life_since.python_value(oldest.scalar())
    if since is None or moment - since < timedelta(minutes=settings.alert_waiting_minutes):
        return None
    return Trouble("warning", f"A song has waited for its turn for {_minutes(moment - since)} minutes.")


def _minutes(time: timedelta) -> int:
    return round(time.total_seconds() / 60)


def disk(settings: Settings, moment: datetime) -> Trouble | None:
    """The machine that looks, and those of all pools, as they report it."""
    used = {"this machine": used_percent(settings.video_storage)}
    for pool in live_pools(moment):
        used[pool.name.rsplit("-", 2)[0]] = (pool.facts or {}).get("disk_percent")
    full = {name: percent for name, percent in used.items() if percent is not None and percent > FULL_PERCENT}
    if not full:
        return None
    worst = max(full, key=lambda name: full[name] or 0)
    return Trouble("warning", f"The disk for the videos is {full[worst]:.0f} % full ({worst}).")


def credits_low(settings: Settings, moment: datetime) -> Trouble | None:
    reading = limits.last_credits(moment)
    if reading.usable is None or reading.usable >= settings.min_available_credits:
        return None
    least = settings.min_available_credits
    return Trouble("warning", f"{reading.usable} credits are left, fewer than MIN_AVAILABLE_CREDITS ({least}).")


RULES: dict[str, tuple[Rule, str]] = {
    "failure_rate": (failure_rate, "Few songs fail again."),
    "silence": (silence, "Songs are finished again, or none waits."),
    "waiting": (waiting, "No song waits that long any more."),
    "disk": (disk, "There is room on the disk again."),
    "credits_low": (credits_low, "There are enough credits again."),
}


# ---- CRITICAL lines

def pass_on(queues: Queues) -> None:
    """What this process has to tell goes out at once; where Redis is away, with the next periodic run."""
    if not database.db.is_closed():
        write_down_criticals()
    if outbox.take_written():
        queues.enqueue("deliver_outbox")


def write_down_criticals() -> None:
    """What this process logged as CRITICAL becomes alerts. Where the database is away they wait for the next time."""
    while logs.CRITICALS.kept:
        created, message = logs.CRITICALS.kept.popleft()
        at = datetime.fromtimestamp(created, UTC).strftime("%H:%M:%S UTC")
        try:
            outbox.alert("critical", f"{message} (at {at}; the log tells more)", dedupe=_key(message), severity="critical")
        except database.CONNECTION_ERRORS:
            logs.CRITICALS.kept.appendleft((created, message))
            return


def _key(message: str) -> str:
    return f"critical:{message}"[:200]
