"""The pool of worker processes: one queue each, restarted when they die, gone when it goes."""
import os
import signal
import subprocess
import sys

import pytest
from rq import Worker
from rq.worker import BaseWorker

import kit
from petsong import database
from petsong.models import Heartbeat
from pipeline import FAST, ROOT, Pool, World, wait_until

pytest_plugins = "pipeline_fixtures"
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

COUNT = sum(FAST["workers"].values())


def registered(world: World) -> list[BaseWorker]:
    """The workers that Redis knows and that live."""
    return [worker for worker in Worker.all(connection=world.redis) if worker.pid and worker.get_state() != "dead"]


def up(world: World, pool: Pool, count: int = COUNT) -> None:
    def all_known() -> bool:
        known = {worker.pid for worker in registered(world)}
        return len(known) == count and known == set(pool.workers())

    wait_until(all_known, 60, "the workers")


def test_every_worker_process_serves_one_queue(sqlite_world: World) -> None:
    with sqlite_world.pool() as pool:
        up(sqlite_world, pool)
        queues = [worker.queue_names() for worker in registered(sqlite_world)]
    assert {len(names) for names in queues} == {1}
    counts = {name: sum(names == [name] for names in queues) for name in FAST["workers"]}
    assert counts == FAST["workers"]


def test_a_pool_serves_the_queues_it_is_told(sqlite_world: World) -> None:
    with sqlite_world.pool("renders", "dispatch") as pool:
        up(sqlite_world, pool, 2)
        assert sorted(name for worker in registered(sqlite_world) for name in worker.queue_names()) == ["dispatch", "renders"]


def test_a_dead_worker_is_restarted(sqlite_world: World) -> None:
    with sqlite_world.pool() as pool:
        up(sqlite_world, pool)
        victim = pool.workers()[0]
        os.kill(victim, signal.SIGKILL)
        wait_until(lambda: victim not in pool.workers() and len(pool.workers()) == COUNT, 60, "another worker")
        sqlite_world.submit()
        sqlite_world.wait_for_ends()


def test_all_workers_dead_at_once_lose_no_song(world: World) -> None:
    with world.pool() as pool:
        rows = [world.submit() for _ in range(2)]
        wait_until(lambda: kit.row(rows[0]).stage != "queued", 60, "the first order")
        for pid in pool.workers():
            os.kill(pid, signal.SIGKILL)
        world.wait_for_ends()
    assert {kit.row(name).stage for name in rows} == {"done"}, world.story()
    world.assert_paid_once()


def test_sigterm_leaves_no_process_and_no_sign_of_life(world: World) -> None:
    with world.pool() as pool:
        wait_until(lambda: Heartbeat.select().count() == 1, 60, "a sign of life")
        up(world, pool)
        family = pool.family()
        assert len(family) >= 1 + COUNT
        pool.process.terminate()
        assert pool.process.wait(20) == 0
        assert pool.family() == []
    assert Heartbeat.select().count() == 0


def test_a_job_under_way_at_sigterm_is_given_back_and_costs_no_try(world: World) -> None:
    world.client.add_fault("song_slow", count=1, seconds=20)
    with world.pool() as pool:
        session_id = world.submit()
        wait_until(lambda: any(fault["hits"] for fault in world.client.faults()), 60, "a song on its way")
        pool.process.terminate()
        assert pool.process.wait(20) == 0
    row = kit.row(session_id)
    assert (row.stage, row.tries, row.lease_until) == ("downloading", 0, None), world.story()
    assert row.next_check_at <= database.now()
    with world.pool():
        world.wait_for_ends()
    assert kit.row(session_id).stage == "done"


def test_the_workers_of_a_killed_parent_end(sqlite_world: World) -> None:
    with sqlite_world.pool() as pool:
        up(sqlite_world, pool)
        os.kill(pool.pid, signal.SIGKILL)
        wait_until(lambda: pool.process.poll() is not None and pool.family() == [], 60, "the workers to end")


def test_the_sign_of_life_tells_the_workers_of_each_queue_and_is_renewed(world: World) -> None:
    with world.pool() as pool:
        up(world, pool)
        wait_until(lambda: [beat.queues for beat in Heartbeat.select()] == [FAST["workers"]], 60, "all workers")
        first = Heartbeat.get()
        wait_until(lambda: Heartbeat.get().at > first.at, 60, "another beat")
        assert Heartbeat.get().started_at == first.started_at


def test_without_a_scheduler_the_pool_sweeps_by_itself(world: World) -> None:
    """No message tells of the row, and nobody but the pool's own look at the database finds it."""
    world.use(sweep_interval=0.5)
    session_id = world.submit()
    world.redis.flushall()
    with world.pool("dispatch", "sonauto"):
        wait_until(lambda: kit.row(session_id).stage == "downloading", 60, world.story)


@pytest.mark.parametrize("argument, said", [("nonsense", "There is no queue nonsense"), ("", "SECRET_KEY")])
def test_a_pool_that_cannot_start_says_why_in_one_line(sqlite_world: World, argument: str, said: str) -> None:
    environment = sqlite_world.environment() | ({} if argument else {"SECRET_KEY": "short"})
    argv = [sys.executable, "-m", "jobs.worker", *([argument] if argument else [])]
    ended = subprocess.run(argv, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == 2
    assert said in ended.stderr and len(ended.stderr.splitlines()) == 1
