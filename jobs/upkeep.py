"""The periodic jobs: balance, limits, the sweep, retention. Each is guarded by a tick, so that overlap does it once."""
import logging
import shutil
import tempfile
import time
from pathlib import Path

from redis.exceptions import RedisError

from jobs.renditions import send_for_next
from jobs.tools import Tools, tools
from jobs.wrapper import job, without_database
from petsong import credits, database, outbox, retention
from petsong.disk import warn_when_full
from petsong.lifecycle.claims import later
from petsong.lifecycle.readback import overdue_news
from petsong.lifecycle.recovery import (
    apply_limits,
    begin_tick,
    due_jobs,
    due_jobs_of,
    expire_leases,
    free_rows_of_the_dead,
)
from petsong.lifecycle.stages import Stage
from petsong.models import Submission, Tick
from petsong.pools import mark
from render.files import ROOM_PREFIX

log = logging.getLogger(__name__)
SCRATCH_SECONDS = 3600
CHECK_ALERTS_SECONDS = 60
CLEANUP_SECONDS = 60
DAY = 86_400


# ---- balance

@job
def check_credits() -> None:
    t = tools()
    asked_at = database.now()
    with without_database():
        usable = t.service.balance()
    credits.record_reading(t.settings, usable, asked_at)
    mark("check_credits")
    if usable is None:
        log.error("balance not to be had")
    elif usable < t.settings.song_price_credits:
        log.critical("credits exhausted", extra={"usable": usable})
    elif usable < t.settings.min_available_credits:
        log.warning("credits low", extra={"usable": usable})
    if usable:
        t.queues.enqueue("process_pending_queue")


# ---- limits

@job
def check_timeouts() -> None:
    t = tools()
    mark("check_timeouts")
    for session_id in apply_limits(t.settings):
        log.error("submission failed", extra={"session_id": session_id})
    for row in overdue_news(t.settings, database.now()):
        log.warning("no news", extra={"session_id": row.session_id})
    warn_when_full(t.settings.video_storage, log)


# ---- the sweep

@job
def sweep() -> None:
    t = tools()
    if begin_tick("sweep", t.settings.sweep_interval / 2):
        run_sweep(t)


def sweep_if_late(t: Tools) -> None:
    """For worker pools: the same, when nobody else has done it lately."""
    if begin_tick("sweep", t.settings.sweep_interval):
        run_sweep(t)


def bury(t: Tools, dead: str) -> None:
    """What a killed process held goes to the next one at once."""
    for session_id in free_rows_of_the_dead(t.settings, dead):
        wanted = due_jobs_of(session_id)
        if wanted:
            t.queues.enqueue(wanted, session_id, front=True)


def run_sweep(t: Tools) -> None:
    expire_leases(t.settings)
    try:
        waiting = t.queues.waiting("sonauto", "downloads", "renders")
        for name, session_id in due_jobs():
            if (name, session_id) not in waiting:
                t.queues.enqueue(name, session_id, front=name == "create_video")
        send_for_next(t)
        if not t.queues.queue("sonauto").count:  # a side job stands in nobody's way
            for row in _timing_due():
                t.queues.enqueue("fetch_word_timing", row.session_id)
    except RedisError as error:
        log.warning("the queues can't be read", extra={"error": type(error).__name__})
    if Submission.select().where(Submission.stage.in_([Stage.QUEUED, Stage.SENDING])).exists():
        t.queues.enqueue("process_pending_queue")
    if outbox.due():
        t.queues.enqueue("deliver_outbox")
    _catch_up(t)
    if begin_tick("orphans", SCRATCH_SECONDS):
        t.queues.enqueue("remove_orphans")


def _timing_due() -> list[Submission]:
    return list(Submission.select(Submission.session_id).where(Submission.timing_check_at <= database.now()).limit(20))


def _catch_up(t: Tools) -> None:
    """Where the scheduler is dead, its other duties are done all the same, if later."""
    s = t.settings
    for name, interval in (
        ("check_credits", s.credits_check_interval), ("check_timeouts", s.timeout_check_interval),
        ("check_alerts", CHECK_ALERTS_SECONDS), ("cleanup_old_files", DAY),
    ):
        tick = Tick.get_or_none(Tick.name == name)
        if tick is None or tick.last_at < later(database.now(), -2 * interval):
            mark(name)
            t.queues.enqueue(name)


@job
def remove_orphans() -> None:
    """A look at every file: too long for whoever sweeps."""
    clear_orphans(tools())


def clear_orphans(t: Tools) -> None:
    """Files without a row, and parts of files that dead processes left in the storage, older than an hour."""
    for key in retention.orphans(t.storage):
        log.warning("file without a row removed", extra={"key": key})
        t.storage.delete(key)
    for leftover in t.storage.list_leftovers(SCRATCH_SECONDS):
        leftover.unlink(missing_ok=True)


def clear_scratch(turn_cache: Path) -> None:
    """What jobs left on this machine, older than an hour: folders of dead ones, and turns, which show the photo."""
    oldest = time.time() - SCRATCH_SECONDS
    rooms = Path(tempfile.gettempdir())
    for path in (*rooms.glob("petsong-job-*"), *rooms.glob(f"{ROOM_PREFIX}*"), *turn_cache.glob("*")):
        _remove_old(path, oldest)


def _remove_old(path: Path, oldest: float) -> None:
    try:
        if path.stat().st_mtime < oldest:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    except OSError as error:
        log.info("could not remove", extra={"path": path.name, "error": type(error).__name__})


# ---- retention

@job
def cleanup_old_files() -> None:
    t = tools()
    mark("cleanup_old_files")
    removed, finished = retention.remove_expired(t.settings, t.storage, seconds=CLEANUP_SECONDS)
    log.info("cleanup", extra={"removed": removed})
    if removed and not finished:  # behind the other periodic jobs, which can't wait for thousands of files
        t.queues.enqueue("cleanup_old_files")
