"""The periodic jobs as a list of data, and the process that enqueues them: `python -m jobs.schedule`.

rq-scheduler's own loop exits whenever Redis is away, and its re-scheduling loses a job for good when killed at the wrong
moment. So this loop ensures the whole list at every pass, and backs off while Redis is away. Two at once do no harm: passes
are under rq-scheduler's lock, and every duty is guarded by a tick in the database.
"""
import logging
import os
import signal
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from redis import Redis
from redis.exceptions import RedisError
from rq.job import Job
from rq.serializers import JSONSerializer
from rq_scheduler import Scheduler

from jobs.tools import tools
from jobs.upkeep import CHECK_ALERTS_SECONDS
from petsong import alerts, database
from petsong.emergency import tell_of_lost_database
from petsong.migrate import MigrationsPending
from petsong.pools import mark
from petsong.queues import DAY, JOBS, patient_client
from petsong.settings import Settings, SettingsError

log = logging.getLogger(__name__)
MAX_PASS_SECONDS = 10.0
RETRY_SECONDS = 3.0


class JsonJob(Job):
    """rq-scheduler makes and reads jobs by its job class alone; RQ's default would pickle."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs["serializer"] = JSONSerializer
        super().__init__(*args, **kwargs)


@dataclass(frozen=True)
class Periodic:
    job: str
    interval: int | None = None  # seconds
    cron: str | None = None  # UTC

    @property
    def id(self) -> str:
        return f"periodic_{self.job}"


def periodic_jobs(settings: Settings) -> list[Periodic]:
    s = settings
    return [
        Periodic("process_pending_queue", max(1, round(s.queue_processor_interval))),
        Periodic("check_credits", max(1, round(s.credits_check_interval))),
        Periodic("check_timeouts", max(1, round(s.timeout_check_interval))),
        Periodic("sweep", max(1, round(s.sweep_interval))),
        Periodic("deliver_outbox", 10),  # what was written is enqueued at once; this is for the next tries
        Periodic("check_alerts", CHECK_ALERTS_SECONDS),
        Periodic("cleanup_old_files", cron="0 3 * * *"),
    ]


def make_scheduler(client: Redis, interval: float) -> Scheduler:
    return Scheduler(connection=client, job_class=JsonJob, interval=max(1, round(interval)))


def ensure(scheduler: Scheduler, wanted: list[Periodic]) -> None:
    """Schedule what is missing or changed, remove what is not wanted any more."""
    known = {job.id: job for job in scheduler.get_jobs()}
    ids = {periodic.id for periodic in wanted}
    for job_id, job in known.items():
        if job_id.startswith("periodic_") and job_id not in ids:
            scheduler.cancel(job)
    for periodic in wanted:
        job = known.get(periodic.id)
        if job is None or (job.meta.get("interval"), job.meta.get("cron_string")) != (periodic.interval, periodic.cron):
            _schedule(scheduler, periodic)


def _schedule(scheduler: Scheduler, periodic: Periodic) -> None:
    kind = JOBS[periodic.job]
    common: dict[str, Any] = {"id": periodic.id, "queue_name": kind.queue, "timeout": kind.timeout, "description": periodic.job}
    if periodic.cron:
        scheduler.cron(periodic.cron, kind.function, **common)
    else:
        scheduler.schedule(
            datetime.now(UTC).replace(tzinfo=None), kind.function, interval=periodic.interval, result_ttl=2 * DAY, **common
        )


def one_pass(scheduler: Scheduler, wanted: list[Periodic]) -> None:
    """Raises RedisError."""
    if not scheduler.acquire_lock():
        return  # another scheduler's pass
    try:
        ensure(scheduler, wanted)
        scheduler.enqueue_jobs()
    finally:
        scheduler.remove_lock()


def _sign_of_life() -> None:
    try:
        with database.connection():
            mark("scheduler")
            alerts.pass_on(tools().queues)
    except (database.DatabaseLost, *database.CONNECTION_ERRORS) as error:
        log.warning("no sign of life written", extra={"error": type(error).__name__})
        tell_of_lost_database(tools().settings, tools().queues.client)


def run(settings: Settings) -> None:
    os.environ["TZ"] = "UTC"  # rq-scheduler reads cron strings in local time
    time.tzset()
    wanted = periodic_jobs(settings)
    pause = min(MAX_PASS_SECONDS, *(p.interval / 2 for p in wanted if p.interval))
    scheduler = make_scheduler(patient_client(settings.redis_url), pause)
    while True:
        try:
            one_pass(scheduler, wanted)
            _sign_of_life()
            time.sleep(pause)
        except RedisError as error:
            log.warning("Redis is away", extra={"error": type(error).__name__})
            time.sleep(RETRY_SECONDS)


def main() -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        run(tools().settings)
    except (SettingsError, MigrationsPending) as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
