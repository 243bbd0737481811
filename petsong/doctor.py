"""What operators get wrong, looked at from where the site runs: each check says how it is and what to do about it.

A check asks the world (database, Redis, the song service, our own address) and never changes it.
"""
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import requests
from redis.exceptions import RedisError
from urllib3.exceptions import HTTPError

from petsong import database, migrate, outbox
from petsong.database import db
from petsong.disk import FULL_PERCENT, used_percent
from petsong.models import OutboxMessage, Tick
from petsong.pools import live_pools, live_workers, seconds_since
from petsong.queues import Queues
from petsong.settings import QUEUE_NAMES, Settings
from petsong.sonauto import SongService
from petsong.transport import guarded_session, is_public

# The service was renamed; an account may be reached at either address.
BASE_ADDRESSES = ("https://api.treblo.com/v1", "https://api.sonauto.ai/v1")
PROXY_NOTE = "untrusted_proxy"  # the tick that the site writes when forwarding headers arrive
ASK_SECONDS = 5.0
State = Literal["ok", "warning", "problem"]


@dataclass(frozen=True)
class Finding:
    check: str
    state: State
    text: str
    advice: str = ""


def ok(check: str, text: str) -> Finding:
    return Finding(check, "ok", text)


def warning(check: str, text: str, advice: str = "") -> Finding:
    return Finding(check, "warning", text, advice)


def problem(check: str, text: str, advice: str = "") -> Finding:
    return Finding(check, "problem", text, advice)


def examine(settings: Settings, queues: Queues) -> list[Finding]:
    """Every check in order; needs an open database connection."""
    return [finding for check in CHECKS for finding in check(settings, queues)]


# ---- the database and the clocks

def check_database(_: Settings, __: Queues) -> Iterator[Finding]:
    if not database.is_postgres():
        yield ok("database", "SQLite answers; it is for one machine")
        return
    version = int(db.execute_sql("SHOW server_version_num").fetchone()[0]) // 10_000
    if version < 15:
        yield warning("database", f"PostgreSQL {version} answers", "petsong is tested with PostgreSQL 15 and newer.")
    else:
        yield ok("database", f"PostgreSQL {version} answers")


def check_migrations(_: Settings, __: Queues) -> Iterator[Finding]:
    names = migrate.pending(db.obj)
    if names:
        yield problem("migrations", f"pending: {', '.join(names)}", "Run: python -m petsong.migrate")
    else:
        yield ok("migrations", "none pending")


def check_clock(settings: Settings, _: Queues) -> Iterator[Finding]:
    yield _drift("database", (database.now().timestamp() - time.time()))
    date = _date_of(settings.external_api_url)
    if date is None:
        yield warning("clock", "the song service told no time", "See the check of the service.")
    else:
        yield _drift("song service", date.timestamp() - time.time(), spare=1.5)  # its header has whole seconds


def _drift(whose: str, seconds: float, spare: float = 0.5) -> Finding:
    text = f"the {whose}'s clock differs by {abs(seconds):.1f} s" if abs(seconds) > spare else f"agrees with the {whose}'s"
    if abs(seconds) <= 5:
        return ok("clock", text)
    advice = "Let NTP set the clocks (timedatectl): receivers refuse signatures of another time."
    return (problem if abs(seconds) > 60 else warning)("clock", text, advice)


# ---- the song service

def check_service(settings: Settings, _: Queues) -> Iterator[Finding]:
    service = SongService(settings.external_api_url, settings.sonauto_api_key, settings.api_request_timeout_seconds)
    usable = service.balance()
    if usable is None:
        yield problem("service", "the key brought no balance", unreachable(settings))
    elif usable < settings.song_price_credits:
        yield problem("service", f"{usable} credits, not enough for one song", "Buy credits.")
    elif usable < settings.min_available_credits:
        yield warning("service", f"{usable} credits, under MIN_AVAILABLE_CREDITS", "Buy credits soon.")
    else:
        yield ok("service", f"{settings.external_api_url} knows the key: {usable} credits")


def unreachable(settings: Settings) -> str:
    others = [address for address in BASE_ADDRESSES if address != settings.external_api_url]
    key = "SONAUTO_API_KEY is empty" if not settings.sonauto_api_key else "SONAUTO_API_KEY may be wrong"
    return (
        f"{settings.external_api_url}/credits/balance does not name a balance (the log says what it answered). "
        f"{key}, or the service is elsewhere: try EXTERNAL_API_URL={' or '.join(others)}"
    )


# ---- our own address

def check_address(settings: Settings, _: Queues) -> Iterator[Finding]:
    if not settings.webhook_base_url:
        text = "WEBHOOK_BASE_URL is empty: songs are found by asking every POLL_INTERVAL, links have no host"
        yield warning("webhooks", text, "Set it to the site's public address, such as https://songs.example.com")
    else:
        yield _reached("webhooks", "WEBHOOK_BASE_URL", settings.webhook_base_url, _is_local(settings.external_api_url))
    if settings.public_base_url and settings.public_base_url != settings.webhook_base_url:
        yield _reached("address", "PUBLIC_BASE_URL", settings.public_base_url, _is_local(settings.external_api_url))


def _reached(check: str, name: str, url: str, at_home: bool) -> Finding:
    """`at_home`: the song service is on this machine or network, as in a demo, so that our address may be, too."""
    if not at_home and _is_local(url):
        text = f"{name} is an address of this machine or network, which the song service can't reach"
        return problem(check, text, "Set it to an address that the internet can reach.")
    if not at_home and not url.startswith("https:"):
        return problem(check, f"{name} is not https", "Put TLS in front: webhooks carry a token, visitors a photo.")
    status, body = _ask(f"{url}/api/health/live")
    if status == 200 and '"alive"' in body:
        return ok(check, f"{url} is this site")
    said = "another site answers" if status == 200 else f"it answers HTTP {status}" if status else "nothing answers"
    advice = "Check DNS, the proxy and the port: /api/health/live must answer 200 there."
    return problem(check, f"{name}: {said} at {url}, as seen from here", advice)


def _is_local(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return not is_public(host)
    except ValueError:
        return host == "localhost" or host.endswith((".localhost", ".local", ".internal")) or "." not in host


def _ask(url: str) -> tuple[int | None, str]:
    """Status and the beginning of the body; None where nothing answers."""
    with guarded_session(ASK_SECONDS) as (session, _):
        try:
            with session.get(url, timeout=ASK_SECONDS, stream=True, allow_redirects=False) as answer:
                return answer.status_code, next(answer.iter_content(1000), b"").decode(errors="replace")
        except (requests.RequestException, HTTPError, OSError, ValueError):
            return None, ""


def _date_of(url: str) -> datetime | None:
    with guarded_session(ASK_SECONDS) as (session, _):
        try:
            with session.get(url, timeout=ASK_SECONDS, stream=True, allow_redirects=False) as answer:
                return parsedate_to_datetime(answer.headers.get("Date", ""))
        except (requests.RequestException, HTTPError, OSError, ValueError):
            return None


def check_proxy(settings: Settings, _: Queues) -> Iterator[Finding]:
    if settings.trusted_proxies:
        yield ok("proxy", f"TRUSTED_PROXIES is {settings.trusted_proxies}")
        return
    note = Tick.get_or_none(Tick.name == PROXY_NOTE, Tick.last_at > database.now() - timedelta(days=30))
    advice = (
        "All visitors count as the proxy's address and share one limit. Set TRUSTED_PROXIES to the number of proxies in "
        "front, usually 1."
    )
    if note is not None:
        at = f"{note.last_at:%Y-%m-%d %H:%M} UTC"
        yield warning("proxy", f"forwarding headers came ({at}), but TRUSTED_PROXIES is 0", advice)
    elif settings.site_url.startswith("https:"):
        yield warning("proxy", "https means a proxy in front, but TRUSTED_PROXIES is 0", advice)
    else:
        yield ok("proxy", "none in front, by all signs")


# ---- Redis

def check_redis(_: Settings, queues: Queues) -> Iterator[Finding]:
    try:
        facts: Any = queues.client.info()
    except RedisError as error:
        text = f"Redis does not answer ({type(error).__name__})"
        yield problem("redis", text, "Forms are accepted, but no song is made. Check REDIS_URL and the server.")
        return
    yield ok("redis", f"Redis {facts.get('redis_version')} answers")
    if facts.get("aof_enabled"):
        yield ok("redis", "messages are kept over a restart (appendonly)")
    else:
        text = "appendonly is off: a restart loses the messages, which costs a sweep"
        yield warning("redis", text, "In redis.conf: appendonly yes")
    policy, limit = facts.get("maxmemory_policy", "noeviction"), int(facts.get("maxmemory", 0))
    if policy != "noeviction":
        text = f"maxmemory-policy is {policy}: messages are thrown away when memory is short"
        yield (problem if limit else warning)("redis", text, "In redis.conf: maxmemory-policy noeviction")


# ---- workers and places

def check_workers(_: Settings, __: Queues) -> Iterator[Finding]:
    moment = database.now()
    workers = live_workers(moment)
    idle = [name for name in QUEUE_NAMES if not workers.get(name)]
    if idle:
        advice = f"Start: python -m jobs.worker {' '.join(idle)} (WORKERS must give each at least 1)"
        yield problem("workers", f"no worker for {', '.join(idle)}", advice)
    else:
        yield ok("workers", ", ".join(f"{name} {workers[name]}" for name in QUEUE_NAMES))
    age = seconds_since("scheduler", moment)
    if age is None or age > 60:
        text = "the scheduler never gave a sign of life" if age is None else f"the scheduler's last sign is {age:.0f} s old"
        yield warning("scheduler", text, "Start: python -m jobs.schedule (until then the pools do its duties, later)")
    else:
        yield ok("scheduler", f"last sign {age:.0f} s ago")


def check_ffmpeg(_: Settings, __: Queues) -> Iterator[Finding]:
    renderers = [pool for pool in live_pools(database.now()) if pool.queues.get("renders")]
    told = [(pool.name, (pool.facts or {}).get("ffmpeg")) for pool in renderers]
    if not told:
        yield warning("ffmpeg", "no renderer runs that could tell of its ffmpeg", "Start: python -m jobs.worker renders")
    for name, facts in told:
        if facts is None:
            yield warning("ffmpeg", f"{name} has not told of its ffmpeg yet", "Ask again in a few seconds.")
        elif facts["missing"]:
            text = f"{facts['path']} of {name} lacks {', '.join(facts['missing'])}"
            yield problem("ffmpeg", text, "Install the system's ffmpeg package, or set FFMPEG to one that has them.")
        else:
            yield ok("ffmpeg", f"{name}: {facts['version']} has all that videos need")


def check_disk(settings: Settings, _: Queues) -> Iterator[Finding]:
    used = {"here": used_percent(settings.video_storage)}
    used.update({pool.name: (pool.facts or {}).get("disk_percent") for pool in live_pools(database.now())})
    for where, percent in used.items():
        if percent is not None and percent > FULL_PERCENT:
            advice = "Make room, or let FILE_RETENTION_DAYS be shorter."
            yield (problem if percent > 95 else warning)("disk", f"{percent:.0f} % full ({where})", advice)
        elif where == "here" and percent is not None:
            yield ok("disk", f"{percent:.0f} % full")


def check_folders(settings: Settings, _: Queues) -> Iterator[Finding]:
    """The site writes photos; videos it reads. Missing folders are made when first written to."""
    for name in ("img_storage", "audio_storage", "video_storage"):
        folder: Path = getattr(settings, name)
        there = next(found for found in (folder.absolute(), *folder.absolute().parents) if found.exists())
        if not os.access(there, os.W_OK | os.X_OK):
            yield problem("storage", f"{there} can't be written to", f"Give this user the right, or change {name.upper()}.")


# ---- what leaves us

def check_outbox(settings: Settings, _: Queues) -> Iterator[Finding]:
    if not settings.alert_webhook_url:
        yield warning("alerts", "nobody is told of trouble", "Set ALERT_WEBHOOK_URL, such as a chat's incoming webhook.")
    lost = OutboxMessage.select().where(
        OutboxMessage.created_at > database.now() - timedelta(days=7), OutboxMessage.state == outbox.GIVEN_UP
    ).count()
    if lost:
        text = f"{lost} messages of the last week were given up"
        yield warning("outbox", text, "See /admin/outbox; each can be sent again there.")
    for name, (number, oldest) in outbox.backlog().items():
        if database.now() - oldest > timedelta(hours=1):
            text = f"{number} {name} messages wait, the oldest since {oldest:%Y-%m-%d %H:%M} UTC"
            yield warning("outbox", text, f"See on /admin/outbox what {name.upper()}_WEBHOOK_URL answers.")
    if settings.alert_webhook_url and not lost:
        yield ok("outbox", "alerts have an address")


Check = Callable[[Settings, Queues], Iterator[Finding]]
CHECKS: tuple[Check, ...] = (
    check_database, check_migrations, check_clock, check_redis, check_service, check_address, check_proxy, check_workers,
    check_ffmpeg, check_disk, check_folders, check_outbox,
)
