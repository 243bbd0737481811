"""Redis carries, the row decides: messages hold ids only, may be lost, doubled or late.

Jobs are named by dotted strings, so that the web never imports what workers run. A failed enqueue is no error: the sweep
finds every row whose job is nowhere. After a failure enqueueing is skipped for a few seconds, so that a dead or frozen Redis
costs a visitor little.
"""
import logging
import secrets
import time
from dataclasses import dataclass

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry
from rq import Queue
from rq.serializers import JSONSerializer

from petsong.settings import QUEUE_NAMES

log = logging.getLogger(__name__)
SKIP_SECONDS = 5.0
DAY = 86_400


@dataclass(frozen=True)
class JobKind:
    function: str  # dotted string
    queue: str
    timeout: int  # seconds until RQ kills it


JOBS = {
    "process_pending_queue": JobKind("jobs.dispatch.process_pending_queue", "dispatch", 30),
    "send_to_sonauto": JobKind("jobs.dispatch.send_to_sonauto", "sonauto", 170),
    "fetch_generation_details": JobKind("jobs.collect.fetch_generation_details", "sonauto", 200),
    "fetch_word_timing": JobKind("jobs.collect.fetch_word_timing", "sonauto", 120),
    "download_audio": JobKind("jobs.collect.download_audio", "downloads", 170),
    "prepare_record": JobKind("jobs.produce.prepare_record", "renders", 150),
    "create_video": JobKind("jobs.produce.create_video", "renders", 290),
    "rerender_video": JobKind("jobs.rerender.rerender_video", "renders", 290),
    "create_rendition": JobKind("jobs.renditions.create_rendition", "renders", 290),
    "check_credits": JobKind("jobs.upkeep.check_credits", "periodic", 120),
    "check_timeouts": JobKind("jobs.upkeep.check_timeouts", "periodic", 120),
    "sweep": JobKind("jobs.upkeep.sweep", "periodic", 120),
    "deliver_outbox": JobKind("jobs.deliver.deliver_outbox", "periodic", 120),
    "check_alerts": JobKind("jobs.deliver.check_alerts", "periodic", 75),
    "remove_orphans": JobKind("jobs.upkeep.remove_orphans", "periodic", 3600),
    "cleanup_old_files": JobKind("jobs.upkeep.cleanup_old_files", "periodic", 600),
}


def impatient_client(url: str) -> Redis:
    """For requests: half a second, no waiting; one retry where a restarted Redis closed the connection."""
    retry = Retry(NoBackoff(), 1, supported_errors=(ConnectionResetError, BrokenPipeError))
    return Redis.from_url(url, socket_timeout=0.5, socket_connect_timeout=0.5, retry=retry)


def patient_client(url: str) -> Redis:
    """For jobs and schedulers."""
    return Redis.from_url(url, socket_timeout=10, socket_connect_timeout=3)


class Queues:
    """The queues behind one Redis. `enqueue` never raises for Redis being away."""

    def __init__(self, client: Redis) -> None:
        self.client = client
        self._skip_until = 0.0

    def queue(self, name: str) -> Queue:
        return Queue(name, connection=self.client, serializer=JSONSerializer)

    def enqueue(self, job: str, *ids: str, front: bool = False) -> bool:
        """Whether the message is in Redis. Commit first: a quick worker reads the row at once."""
        if time.monotonic() < self._skip_until:
            return False
        kind = JOBS[job]
        try:
            queue = self.queue(kind.queue)
            if self._waits(queue, job, ids, front):
                return True
            queue.enqueue_call(
                kind.function, args=ids, timeout=kind.timeout, result_ttl=3600, failure_ttl=DAY, ttl=DAY,
                job_id=message_id(job, *ids), description=job, at_front=front,
            )
            return True
        except RedisError as error:
            self._skip_until = time.monotonic() + SKIP_SECONDS
            log.warning("enqueueing skipped", extra={"job": job, "error": type(error).__name__})
            return False

    def _waits(self, queue: Queue, job: str, ids: tuple[str, ...], front: bool) -> bool:
        """Whether a message that waits will see what was committed before now, so that bursts and floods leave one.

        Of those for the front only the first hundred are looked at: a repeat stands there, or may.
        """
        if job == "process_pending_queue":
            return bool(queue.count)
        if not front and job not in ("create_rendition", "deliver_outbox"):
            return False
        prefix = "-".join([job, *ids, ""])
        return any(job_id.startswith(prefix) for job_id in queue.get_job_ids(0, 100 if front else -1))

    def waiting(self, *names: str) -> set[tuple[str, str]]:
        """(job, session id) of every message that waits in these queues. Raises RedisError."""
        found = set()
        for name in names:
            for job_id in self.queue(name).get_job_ids():
                job, _, rest = job_id.partition("-")
                found.add((job, rest.rpartition("-")[0]))
        return found

    def depths(self) -> dict[str, int] | None:
        """{queue: messages that wait}, in one question, so that a frozen Redis is waited for once; None: no answer."""
        pipe = self.client.pipeline(transaction=False)
        for name in QUEUE_NAMES:
            pipe.llen(self.queue(name).key)
        try:
            return dict(zip(QUEUE_NAMES, pipe.execute(), strict=True))
        except RedisError:
            return None


def message_id(job: str, *ids: str) -> str:
    """Tells in RQ's dashboard, and to the sweep, what the message is about; unique, so that no message hides another."""
    return "-".join([job, *(ids or ("all",)), secrets.token_hex(4)])
