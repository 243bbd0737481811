"""Seeded misfortune. The seed decides what is done, when, and for how long; which process it hits depends on who is there.

It runs in the main thread: servers that it starts again die with the thread that started them.
"""
import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass

import redis

from scripts.chaos_run import proc
from scripts.chaos_run.house import House
from scripts.chaos_run.watch import Recoveries

GAP_SECONDS = (1.5, 5.0)  # between two acts
SEARCH_SECONDS = 3.0  # how long to wait for somebody to kill
# Freezes and outages are scaled like the service's times: 12 s are six minutes.
FREEZE_SECONDS = (1.0, 12.0)
REDIS_SECONDS = (1.0, 8.0)
POSTGRES_SECONDS = (0.5, 6.0)
OUTAGE_SECONDS = (2.0, 8.0)

# All the time: of so many chances each takes its share.
SHARES = {
    "answer_lost": 0.02, "submit_500": 0.03, "submit_503_html": 0.01, "submit_html_200_accepted": 0.01, "failure": 0.02,
    "no_webhook": 0.08, "webhook_twice": 0.08, "webhook_early": 0.05, "song_cut": 0.03, "song_500": 0.03, "song_404": 0.02,
    "fetch_500": 0.04, "fetch_404": 0.02, "alignment_failed": 0.05, "alignment_never": 0.02,
}
SLOW = {"slow": (0.04, 20.0), "answer_slow": (0.04, 3.0), "fetch_slow": (0.03, 3.0), "song_slow": (0.03, 6.0)}
OUTAGES = ("outage", "outage_503", "submit_429", "submit_402", "fetch_503_html", "balance_500")


@dataclass(frozen=True)
class Frozen:
    process: proc.Process
    until: float  # time.monotonic()


class Nemesis:
    def __init__(self, house: House, recoveries: Recoveries, seed: int, say: Callable[[str], None]) -> None:
        self._house, self._recoveries, self._say = house, recoveries, say
        self._chance = random.Random(f"nemesis {seed}")
        self._began = time.monotonic()
        self._frozen: list[Frozen] = []
        self._redis_back: float | None = None  # when to start or to wake it
        self._postgres_back: float | None = None
        self._redis_paused = False
        self.acts: dict[str, int] = {}
        self._weights: dict[Callable[[], str], float] = {
            self.kill_job: 5, self.kill_worker: 2, self.kill_worker_and_job: 3, self.kill_pool: 2, self.kill_web_worker: 2,
            self.kill_web: 1.5, self.kill_scheduler: 1, self.freeze_job: 2, self.freeze_worker: 1, self.freeze_pool: 0.5,
            self.freeze_web: 1, self.pause_redis: 1.5, self.kill_redis: 1.5, self.empty_redis: 1.5, self.kill_postgres: 1.5,
            self.break_service: 3, self.change_pace: 2,
        }

    def run(self, seconds: float) -> None:
        """Act for so long."""
        self._began = time.monotonic()
        self._spoil_the_service()
        acts, weights = list(self._weights), list(self._weights.values())
        while time.monotonic() - self._began < seconds:
            self._wait(self._chance.uniform(*GAP_SECONDS))
            [act] = self._chance.choices(acts, weights)
            said = act()
            self.acts[act.__name__] = self.acts.get(act.__name__, 0) + bool(said)
            self._say(f"{time.monotonic() - self._began:6.1f} {act.__name__} {said or '(nobody there)'}")

    def heal(self) -> None:
        """All that was taken away comes back; from here on nothing excuses anything."""
        self._house.sandbox.clear_faults()
        self._mend(time.monotonic() + 1e9)
        self._house.sandbox.configure(generate_seconds=2.0)

    # ---- between the acts

    def _wait(self, seconds: float) -> None:
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            self._mend(time.monotonic())
            time.sleep(0.05)

    def _mend(self, now: float) -> None:
        """Wake and start again what has waited long enough."""
        for one in [one for one in self._frozen if one.until <= now]:
            one.process.send(signal.SIGCONT)
            self._frozen.remove(one)
        if self._redis_back is not None and self._redis_back <= now:
            self._redis_back = None
            self._wake_redis()
        if self._postgres_back is not None and self._postgres_back <= now:
            self._postgres_back = None
            self._house.postgres.start()

    def _wake_redis(self) -> None:
        if self._redis_paused:
            _signal(self._house.redis.pid, signal.SIGCONT)
            self._redis_paused = False
        else:
            self._house.redis.start()

    def _spoil_the_service(self) -> None:
        for fault, share in SHARES.items():
            self._house.sandbox.add_fault(fault, share=share)
        for fault, (share, seconds) in SLOW.items():
            self._house.sandbox.add_fault(fault, share=share, seconds=seconds)

    # ---- who is there

    def _some(self, find: Callable[[], list[proc.Process]]) -> list[proc.Process]:
        """One of them, once there is any; those who hold a row first."""
        ends, lot = time.monotonic() + SEARCH_SECONDS, self._chance.random()
        while True:
            found = find()
            if found:
                return [found[int(lot * len(found))]]
            if time.monotonic() > ends:
                return []
            time.sleep(0.01)

    def _jobs(self) -> list[proc.Process]:
        return self._house.horses()

    def _holders(self) -> list[proc.Process]:
        """Jobs that hold a row; every job where none does."""
        horses = self._jobs()
        holding = [horse for horse in horses if self._recoveries.held_by([horse.pid])]
        return holding or horses

    def _kill(self, kind: str, victims: list[proc.Process]) -> str:
        """All at once: frozen first, so that what they hold is known at the moment of their death."""
        stopped = [one for one in victims if one.send(signal.SIGSTOP)]
        held = self._recoveries.held_by([one.pid for one in stopped])
        names = ", ".join(str(one.pid) for one in stopped)
        for one in stopped:
            one.send(signal.SIGKILL)
        self._recoveries.killed(kind, held)
        rows = ", ".join(f"{one.session_id} in {one.stage}{' (unknown)' if one.unknown else ''}" for one in held)
        return names and f"{names} {rows}".strip()

    def _head(self, name: str) -> list[proc.Process]:
        pid = self._house.supervisor.pids().get(name)
        found = proc.find(pid) if pid else None
        return [found] if found else []

    # ---- kill -9

    def kill_job(self) -> str:
        return self._kill("kill_job", self._some(self._holders))

    def kill_worker(self) -> str:
        """Its job lives on, as a child of the pool."""
        victims = self._some(self._house.workers)
        for one in victims:
            one.send(signal.SIGKILL)
        return ", ".join(str(one.pid) for one in victims)

    def kill_worker_and_job(self) -> str:
        """Nobody is left to notice but the pool."""
        horses = self._some(self._holders)
        parents = [worker for worker in self._house.workers() if set(proc.children(worker.pid)) & set(horses)]
        return self._kill("kill_worker_and_job", parents + horses)

    def kill_pool(self) -> str:
        """With everything below it, as a machine or a container goes."""
        heads = self._some(lambda: [head for name in ("worker", "renderer") for head in self._head(name)])
        return self._kill("kill_pool", [one for head in heads for one in proc.family(head.pid)])

    def kill_web_worker(self) -> str:
        return self._kill("kill_web_worker", self._some(self._house.web_workers))

    def kill_web(self) -> str:
        """The master alone; its workers notice."""
        heads = self._head("web")
        for head in heads:
            self._recoveries.site_killed(head.pid)
        return self._kill("kill_web", heads)

    def kill_scheduler(self) -> str:
        return self._kill("kill_scheduler", self._head("scheduler"))

    # ---- SIGSTOP, and on

    def _freeze(self, victims: list[proc.Process]) -> str:
        seconds = self._chance.uniform(*FREEZE_SECONDS)
        frozen = [one for one in victims if one.send(signal.SIGSTOP)]
        self._frozen += [Frozen(one, time.monotonic() + seconds) for one in frozen]
        return ", ".join(f"{one.pid} for {seconds:.1f} s" for one in frozen)

    def freeze_job(self) -> str:
        return self._freeze(self._some(self._holders))

    def freeze_worker(self) -> str:
        return self._freeze(self._some(self._house.workers))

    def freeze_pool(self) -> str:
        """The parent alone."""
        return self._freeze(self._some(lambda: self._head("worker") + self._head("renderer")))

    def freeze_web(self) -> str:
        return self._freeze(self._some(self._house.web_workers))

    # ---- what they stand on

    def pause_redis(self) -> str:
        if self._redis_back is not None:
            return ""
        seconds = self._chance.uniform(*REDIS_SECONDS)
        _signal(self._house.redis.pid, signal.SIGSTOP)
        self._redis_paused, self._redis_back = True, time.monotonic() + seconds
        return f"for {seconds:.1f} s"

    def kill_redis(self) -> str:
        if self._redis_back is not None:
            return ""
        seconds = self._chance.uniform(*REDIS_SECONDS)
        self._house.redis.stop(signal.SIGKILL)
        self._redis_back = time.monotonic() + seconds
        return f"for {seconds:.1f} s"

    def empty_redis(self) -> str:
        if self._redis_back is not None:
            return ""
        client = redis.Redis.from_url(self._house.redis.url, socket_timeout=2)
        try:
            client.flushall()
        finally:
            client.close()
        return "emptied"

    def kill_postgres(self) -> str:
        """Immediate: every connection is cut, the log is replayed at the next start."""
        if self._postgres_back is not None:
            return ""
        seconds = self._chance.uniform(*POSTGRES_SECONDS)
        self._house.postgres.stop(signal.SIGQUIT)
        self._postgres_back = time.monotonic() + seconds
        return f"for {seconds:.1f} s"

    # ---- the service

    def break_service(self) -> str:
        fault, seconds = self._chance.choice(OUTAGES), self._chance.uniform(*OUTAGE_SECONDS)
        self._house.sandbox.add_fault(fault, for_seconds=seconds)
        return f"{fault} for {seconds:.1f} s"

    def change_pace(self) -> str:
        seconds = self._chance.uniform(1.0, 8.0)
        self._house.sandbox.configure(generate_seconds=round(seconds, 2))
        return f"songs take {seconds:.1f} s"


def _signal(pid: int, number: signal.Signals) -> None:
    found = proc.find(pid)
    if found is not None:
        found.send(number)
