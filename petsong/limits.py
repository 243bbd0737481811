"""How much anybody may have: posts per visitor and address, songs by the credits left, waiting time."""
import ipaddress
import logging
import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flask import request
from flask_limiter import Limiter
from limits.storage import MemoryStorage, RedisStorage
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from petsong import database, spending, switch
from petsong.campaigns.loader import Campaign
from petsong.lifecycle import breaker
from petsong.lifecycle.claims import later
from petsong.lifecycle.sending import occupies_slot
from petsong.lifecycle.stages import ENDS, Stage
from petsong.models import Attempt, CreditReading, Event, Submission
from petsong.queues import SKIP_SECONDS
from petsong.settings import Settings

log = logging.getLogger(__name__)
READING_STALE_SECONDS = 900
SENDING_SECONDS = 30.0
GENERATION_GUESS_SECONDS = 90.0
PRODUCTION_SECONDS = 15.0
RENDER_SECONDS = 4.0  # of each that waits for its video
TOO_LONG = 6  # times the usual: from there on nobody can tell how much longer
SOLD_OUT = "Sorry, we're all sold out!"


# ---- addresses

def client_key() -> str:
    """The visitor's address; of IPv6 the /64, which is one household's."""
    try:
        address = ipaddress.ip_address(request.remote_addr or "")
    except ValueError:
        return "unknown"
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped:  # how a socket for both kinds names IPv4: all of them lie in one /64
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((int(address), 64), strict=False).network_address)
    return str(address)


class WindowStore(RedisStorage):
    """Moving windows in Redis, and in this process's memory while Redis is away, frozen or full. Never raises for that.

    Flask-Limiter's own fallback does not cover deductions after the answer, nor a full Redis, which can still be read. So
    after a failure this store reads memory alone until a write to Redis, tried every few seconds, succeeds.
    """

    STORAGE_SCHEME = ["petsong"]

    def __init__(self, _uri: str, url: str, **options: Any) -> None:
        super().__init__(url, **options)
        self._memory = MemoryStorage()
        self._away = False
        self._try_again_at = 0.0

    def get_moving_window(self, key: str, limit: int, expiry: int) -> tuple[float, int]:
        if not self._away:
            try:
                return super().get_moving_window(key, limit, expiry)
            except RedisError as error:
                self._lose(error)
        return self._memory.get_moving_window(key, limit, expiry)

    def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        if not self._away or time.monotonic() >= self._try_again_at:
            try:
                acquired = super().acquire_entry(key, limit, expiry, amount)
                self._away = False
                return acquired
            except RedisError as error:
                self._lose(error)
        return self._memory.acquire_entry(key, limit, expiry, amount)

    def _lose(self, error: RedisError) -> None:
        self._away = True
        self._try_again_at = time.monotonic() + SKIP_SECONDS
        log.warning("rate limits in memory", extra={"error": type(error).__name__})


def make_limiter(settings: Settings) -> Limiter:
    options: dict[str, Any] = {
        "url": settings.redis_url, "socket_timeout": 0.4, "socket_connect_timeout": 0.4, "retry": Retry(NoBackoff(), 0),
    }
    return Limiter(
        client_key, storage_uri="petsong://", storage_options=options, strategy="moving-window", key_prefix="petsong",
    )


# ---- credits

@dataclass(frozen=True)
class Credits:
    usable: int | None  # None: never read, or not to be had
    read_at: datetime | None
    fresh: bool


def last_credits(moment: datetime) -> Credits:
    reading = CreditReading.select().where(CreditReading.usable.is_null(False)).order_by(CreditReading.at.desc()).first()
    if reading is None:
        return Credits(None, None, False)
    return Credits(reading.usable, reading.at, reading.at > later(moment, -READING_STALE_SECONDS))


def affordable_songs(settings: Settings) -> int | None:
    """How many more orders the credits allow; None when unknown, which is not 0."""
    moment = database.now()
    credits_ = last_credits(moment)
    if credits_.usable is None or credits_.read_at is None or not credits_.fresh or not settings.song_price_credits:
        return None
    ordered = _ordered_since(settings, credits_.read_at, moment)
    return max(0, credits_.usable // settings.song_price_credits - ordered)


def _ordered_since(settings: Settings, reading: datetime, moment: datetime) -> int:
    """Orders that the reading may not show yet."""
    charged = (Attempt.ended_as == "success") & (Attempt.ended_at > reading)
    count: int = Attempt.select().where(occupies_slot(settings, moment) | charged).count()
    return count


def sold_out(settings: Settings) -> bool:
    """Whether credits or spending limits, less the price of all queued and uncharged songs, fall under one song's price."""
    limits = [affordable_songs(settings), spending.songs_left(settings, database.now())]
    affordable = min((songs for songs in limits if songs is not None), default=None)
    if affordable is None:
        return False
    return affordable - Submission.select().where(Submission.stage == Stage.QUEUED).count() < 1


def closing_reason(settings: Settings, campaign: Campaign) -> tuple[str, str] | None:
    """Why no songs are taken at the moment (code, message for the visitor), or None."""
    now = switch.standing(campaign, database.now())
    if not now.is_open:
        return "sold_out", now.message
    if now.opening.cap is not None and campaign_count(campaign.name) >= now.opening.cap:
        return "sold_out", SOLD_OUT
    if sold_out(settings):
        return "sold_out", SOLD_OUT
    if expected_wait(settings) > settings.max_wait_minutes * 60:
        return "busy", "So many songs are being made right now. Please come back a little later."
    return None


# ---- visitors

def attempts_used(cookie_id: str) -> int:
    count: int = Submission.select().where(Submission.cookie_id == cookie_id).count()
    return count


# ---- waiting

def queue_position(row: Any) -> int | None:
    """1 is next; None once a slot was found."""
    if row.stage != Stage.QUEUED:
        return None
    ahead: int = Submission.select().where(
        Submission.stage == Stage.QUEUED,
        (Submission.created_at < row.created_at)
        | ((Submission.created_at == row.created_at) & (Submission.session_id < row.session_id)),
    ).count()
    return ahead + 1


def typical_generation(before: datetime | None = None) -> float:
    """Seconds between order and song, the median of the last 20 songs, or of the last 20 `before` a moment."""
    ended = Attempt.ended_at <= before if before else True
    last = Attempt.select(Attempt.call_started_at, Attempt.ended_at).where(
        Attempt.ended_as == "success", Attempt.call_started_at.is_null(False), ended
    ).order_by(Attempt.ended_at.desc()).limit(20)
    took = sorted((a.ended_at - a.call_started_at).total_seconds() for a in last)
    return took[len(took) // 2] if took else GENERATION_GUESS_SECONDS


def wait_for_position(settings: Settings, position: int, generation: float) -> float:
    """Seconds until a row at this place of the queue has its video."""
    rounds = (position - 1) // settings.max_concurrent_requests
    return (rounds + 1) * generation + PRODUCTION_SECONDS


def expected_wait(settings: Settings) -> float:
    """Seconds for somebody who comes now."""
    ahead = Submission.select().where(Submission.stage.in_([Stage.QUEUED, Stage.SENDING, Stage.GENERATING])).count()
    behind = Submission.select().where(Submission.stage.in_([Stage.DOWNLOADING, Stage.RENDERING])).count()
    return wait_for_position(settings, ahead + 1, typical_generation()) + behind * RENDER_SECONDS


def seconds_remaining(settings: Settings, row: Any, moment: datetime) -> tuple[int, int] | None:
    """An honest range for a row on its way: what took long may well take as long again.

    None when it is over, or nobody can tell.
    """
    if row.stage in ENDS:
        return None
    if row.stage == Stage.QUEUED:
        if breaker.is_tripped() or breaker.spending_stopped():
            return None  # the queue stands still
        return _range(wait_for_position(settings, queue_position(row) or 1, typical_generation()))
    spent = _spent(row, moment)
    if row.stage in (Stage.SENDING, Stage.GENERATING):
        usual, least, behind = typical_generation(), 5.0, PRODUCTION_SECONDS
    else:
        usual, least, behind = PRODUCTION_SECONDS, 3.0, _renders_before(row, moment) * RENDER_SECONDS
    if spent > TOO_LONG * (usual + behind):
        return None
    return _range(max(usual - spent, least) + behind, spent)


def _range(left: float, spent: float = 0) -> tuple[int, int]:
    return max(1, round(left * 0.7)), max(2, round(left * 1.8), round(spent))


def _spent(row: Any, moment: datetime) -> float:
    """Seconds in its stage; those before a render began went to the ones ahead of it."""
    begun = row.video_creation_start if row.stage == Stage.RENDERING else None
    return float((moment - max(row.stage_since, begun or row.stage_since)).total_seconds())


def _renders_before(row: Any, moment: datetime) -> int:
    """Rows whose video is made before this one's: renders go by how long they wait."""
    since = row.stage_since if row.stage == Stage.RENDERING else moment
    count: int = Submission.select().where(Submission.stage == Stage.RENDERING, Submission.stage_since < since).count()
    return count


# ---- progress: where each stage begins, and what it comes close to
SPANS = {
    Stage.QUEUED: (1, 10), Stage.SENDING: (10, 15), Stage.GENERATING: (15, 80), Stage.DOWNLOADING: (85, 92),
    Stage.RENDERING: (92, 99),
}


def progress(settings: Settings, row: Any, moment: datetime) -> int:
    """0-100, and 100 only at the end. It creeps by each stage's usual time, and never turns back within a life."""
    if row.stage in ENDS:
        return 100
    stage = Stage(row.stage)
    share = _queue_share(settings, row, moment) if stage == Stage.QUEUED else _share(row, stage, row.stage_since, moment)
    return max(_within(stage, share), _reached(row, stage))


def _within(stage: Stage, share: float) -> int:
    begin, end = SPANS[stage]
    return begin + round((end - begin) * share)


def _queue_share(settings: Settings, row: Any, moment: datetime) -> float:
    """Waited, of the whole wait. Of songs that set out before this one there are never more as time goes by."""
    before = Submission.select().where(Submission.stage.in_(list(SPANS)), Submission.life_since < row.life_since).count()
    wait = wait_for_position(settings, before + 1, typical_generation(row.life_since))
    waited = max(0.0, (moment - row.life_since).total_seconds())
    return waited / (waited + wait)


def _share(row: Any, stage: Stage, since: datetime, until: datetime) -> float:
    """Three quarters at the usual time, as it was when the stage began, and ever more slowly beyond."""
    usual = {Stage.SENDING: SENDING_SECONDS, Stage.DOWNLOADING: PRODUCTION_SECONDS}.get(stage)
    if stage == Stage.GENERATING:
        usual = typical_generation(since)
    elif stage == Stage.RENDERING:
        usual = PRODUCTION_SECONDS + _renders_before(row, until) * RENDER_SECONDS
    spent = max(0.0, (until - since).total_seconds()) / (usual or 1)
    return spent / (spent + 0.35)


def _reached(row: Any, stage: Stage) -> int:
    """How far the row had come in this life where it was sent back to this stage, as after a refusal."""
    moves = Event.select(Event.from_stage, Event.at).where(
        Event.submission == row.session_id, Event.at > row.life_since, Event.from_stage != Event.to_stage
    ).order_by(Event.id)
    lowest = max(SPANS[stage], SPANS[Stage.SENDING])  # no wait in the queue reaches beyond where sending begins
    furthest, since = 0, row.life_since
    for move in moves:
        left = Stage(move.from_stage)
        if SPANS.get(left, (0, 0)) >= lowest:
            furthest = max(furthest, _within(left, _share(row, left, since, move.at)))
        since = move.at
    return furthest


def campaign_count(name: str) -> int:
    """Submissions of a campaign that count towards its cap: all but the failed ones."""
    count: int = Submission.select().where(Submission.campaign == name, Submission.stage != Stage.FAILED).count()
    return count
