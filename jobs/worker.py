"""A pool of worker processes, one queue each: `python -m jobs.worker [QUEUE …]`, counts by WORKERS.

One queue a process, because a worker on several pops without an intermediate list and loses a job for good when killed at
that moment. The parent forks the workers, restarts the dead, writes its sign of life into the database (RQ's own list is
lost with Redis), and sweeps when nobody else has done it lately.
"""
import ctypes
import logging
import os
import secrets
import signal
import socket
import sys
import time
from dataclasses import asdict, dataclass, field, replace
from types import FrameType
from typing import Any

from rq.job import Job
from rq.serializers import JSONSerializer
from rq.worker import HerokuWorker

from jobs import collect, deliver, dispatch, produce, renditions, upkeep
from jobs.lost_holders import LostHolders
from jobs.tools import Tools, tools
from jobs.wrapper import holder, name_pool
from petsong import alerts, database
from petsong.disk import used_percent
from petsong.migrate import MigrationsPending
from petsong.models import Heartbeat
from petsong.queues import JOBS, Queues, impatient_client, patient_client
from petsong.settings import QUEUE_NAMES, SettingsError
from render.features import features
from render.spec import RenderError

log = logging.getLogger(__name__)
PRELOADED = (collect, deliver, dispatch, produce, renditions, upkeep)  # imported here, jobs start in milliseconds
HEARTBEAT_SECONDS = 5.0
FACTS_AFTER_SECONDS = 3.0
SWEEP_LOOK_SECONDS = 5.0
TIDY_SECONDS = 600.0
STOP_SECONDS = 20.0
QUICK_DEATH_SECONDS = 5.0
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36


@dataclass
class Place:
    """One worker's place in the pool; its process may change."""

    queue: str
    pid: int = 0
    started: float = 0.0
    quick_deaths: int = 0
    not_before: float = 0.0


@dataclass
class Pool:
    tools: Tools
    places: list[Place]
    name: str = field(default_factory=lambda: f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}")
    stopping: bool = False
    ffmpeg: dict[str, Any] | None = None  # its features, where songs or videos are made
    quick: Tools = field(init=False)  # for the parent, which a frozen Redis must not keep from restarting workers

    def __post_init__(self) -> None:
        self.quick = replace(self.tools, queues=Queues(impatient_client(self.tools.settings.redis_url)))

    def run(self) -> None:
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, self._stop)
        name_pool(self.name)
        _prctl(PR_SET_CHILD_SUBREAPER, 1)  # the jobs of a killed worker become ours to bury
        lost_holders = LostHolders(self.name)
        started_at, beat, look, tidy, facts_at = None, 0.0, 0.0, 0.0, time.monotonic() + FACTS_AFTER_SECONDS
        while not self.stopping:
            self._reap()
            self._fill()
            now = time.monotonic()
            if now >= beat:
                beat = now + HEARTBEAT_SECONDS
                started_at = self._safely(lambda since=started_at: self._heartbeat(since)) or started_at
                self._safely(lambda: self._bury_lost(lost_holders))
                self._safely(lambda: alerts.pass_on(self.quick.queues))
            if now >= facts_at:
                facts_at = float("inf")
                self._look_at_ffmpeg()
            if now >= look:
                look = now + min(SWEEP_LOOK_SECONDS, self.tools.settings.sweep_interval)
                self._safely(lambda: upkeep.sweep_if_late(self.quick))
            if now >= tidy:
                tidy = now + TIDY_SECONDS
                self._safely(lambda: upkeep.clear_scratch(self.tools.settings.turn_cache))  # its own machine's, so no tick
            time.sleep(0.2)
        self._end()

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self.stopping = True

    def _safely(self, duty: Any) -> Any:
        """The pool goes on whatever the database does; no connection stays open where processes fork."""
        try:
            with database.connection():
                return duty()
        except (database.DatabaseLost, *database.CONNECTION_ERRORS) as error:
            log.warning("the database is away", extra={"error": type(error).__name__})
        except Exception:
            log.exception("a duty of the pool failed")
        return None

    def _heartbeat(self, started_at: Any) -> Any:
        moment = database.now()
        started_at = started_at or moment
        counts: dict[str, int] = {}
        for place in self.places:
            counts[place.queue] = counts.get(place.queue, 0) + bool(place.pid)
        facts = {"ffmpeg": self.ffmpeg, "disk_percent": used_percent(self.tools.settings.video_storage)}
        Heartbeat.insert(name=self.name, at=moment, started_at=started_at, queues=counts, facts=facts).on_conflict(
            conflict_target=[Heartbeat.name],
            update={Heartbeat.at: moment, Heartbeat.queues: counts, Heartbeat.facts: facts},
        ).execute()
        return started_at

    def _look_at_ffmpeg(self) -> None:
        """What this machine's ffmpeg can do, for `doctor`. Once, and not before the first jobs; some tenths of a second."""
        if any(place.queue in ("downloads", "renders") for place in self.places):
            self.ffmpeg = asdict(features(self.tools.ffmpeg))
            if self.ffmpeg["missing"]:
                log.error("ffmpeg lacks what videos need", extra={"missing": ", ".join(self.ffmpeg["missing"])})

    def _bury_lost(self, lost_holders: LostHolders) -> None:
        for dead in lost_holders.look(time.monotonic()):
            log.warning("a dead process holds a song", extra={"holder": dead})
            upkeep.bury(self.quick, dead)

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            mine = [place for place in self.places if place.pid == pid]
            for place in mine:
                self._buried(place, status)
            if not mine and status:
                self._safely(lambda dead=pid: upkeep.bury(self.quick, holder(dead)))

    def _buried(self, place: Place, status: int) -> None:
        lived = time.monotonic() - place.started
        place.quick_deaths = place.quick_deaths + 1 if lived < QUICK_DEATH_SECONDS else 0
        pause = min(10.0, 0.5 * 2 ** min(place.quick_deaths, 6)) if place.quick_deaths else 0.0
        place.pid, place.not_before = 0, time.monotonic() + pause
        if not self.stopping:
            log.warning("worker ended", extra={"queue": place.queue, "status": status, "restart_in": pause})

    def _fill(self) -> None:
        for place in self.places:
            if not place.pid and time.monotonic() >= place.not_before:
                place.pid, place.started = self._fork(place.queue), time.monotonic()

    def _fork(self, queue: str) -> int:
        parent = os.getpid()
        pid = os.fork()
        if pid:
            return pid
        code = 1
        try:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            _prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
            if os.getppid() == parent:
                code = work(self.tools, queue)
        except Exception:
            log.exception("worker broke off", extra={"queue": queue})
        finally:
            os._exit(code)

    def _end(self) -> None:
        """Warm first: workers finish or give back what they hold."""
        for place in self.places:
            if place.pid:
                os.kill(place.pid, signal.SIGTERM)
        ends = time.monotonic() + STOP_SECONDS
        while any(place.pid for place in self.places) and time.monotonic() < ends:
            self._reap()
            time.sleep(0.05)
        for place in self.places:
            if place.pid:
                os.kill(place.pid, signal.SIGKILL)
        self._safely(lambda: Heartbeat.delete().where(Heartbeat.name == self.name).execute())


def work(t: Tools, queue: str) -> int:
    """One worker on one queue, until it is told to stop."""
    client = patient_client(t.settings.redis_url)
    # Numbers by trial: a worker and its horse killed together, the job comes back after 94 s instead of 814 s; the sweep of
    # leases is quicker still.
    worker = HerokuWorker(
        [queue], connection=client, serializer=JSONSerializer, worker_ttl=45, maintenance_interval=20,
        job_monitoring_interval=10, log_job_description=False, work_horse_killed_handler=_horse_killed,
    )
    worker.work(logging_level=t.settings.log_level, with_scheduler=False)
    return 0


def _horse_killed(job: Job, pid: int, status: int, _usage: Any) -> None:
    """This job's process is dead for certain: its row need not wait for the lease to end."""
    log.warning("job killed", extra={"message_id": job.id, "status": status})
    try:
        with database.connection():
            upkeep.bury(tools(), holder(pid))
            alerts.pass_on(tools().queues)
    except (database.DatabaseLost, *database.CONNECTION_ERRORS):
        log.warning("the lease ends by itself", extra={"message_id": job.id})


def _prctl(option: int, value: int) -> None:
    ctypes.CDLL(None).prctl(option, value)


def places(t: Tools, queues: list[str]) -> list[Place]:
    return [Place(queue) for queue in queues for _ in range(t.settings.workers.get(queue, 1))]


def main(arguments: list[str]) -> int:
    unknown = [name for name in arguments if name not in QUEUE_NAMES]
    if unknown:
        print(f"There is no queue {unknown[0]}; the queues are {', '.join(QUEUE_NAMES)}.", file=sys.stderr)
        return 2
    try:
        t = tools()
    except (SettingsError, MigrationsPending, RenderError) as error:
        print(error, file=sys.stderr)
        return 2
    log.info("pool starts", extra={"jobs": len(JOBS)})
    Pool(t, places(t, arguments or list(QUEUE_NAMES))).run()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
