"""How much anybody may have: posts per visitor and address, songs by the credits left and the campaign's cap."""
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
from petsong.estimates import expected_wait
from petsong.lifecycle.claims import later
from petsong.lifecycle.sending import occupies_slot
from petsong.lifecycle.stages import Stage
from petsong.models import Attempt, CreditReading, Submission
from petsong.queues import SKIP_SECONDS
from petsong.settings import Settings

log = logging.getLogger(__name__)
READING_STALE_SECONDS = 900
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


# ---- counts

def attempts_used(cookie_id: str) -> int:
    count: int = Submission.select().where(Submission.cookie_id == cookie_id).count()
    return count


def campaign_count(name: str) -> int:
    """Submissions of a campaign that count towards its cap: all but the failed ones."""
    count: int = Submission.select().where(Submission.campaign == name, Submission.stage != Stage.FAILED).count()
    return count
