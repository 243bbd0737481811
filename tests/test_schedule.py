"""The scheduler keeps the list of periodic jobs whole, whatever becomes of it or of Redis."""
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from rq_scheduler import Scheduler

from jobs.schedule import Periodic, ensure, make_scheduler, one_pass, periodic_jobs
from petsong import database
from petsong.models import CreditReading, Tick
from petsong.queues import JOBS
from pipeline import ROOT, World, process_state, wait_until, work_off
from scripts.processes import end, spawn

pytest_plugins = "pipeline_fixtures"
# rq-scheduler's crontab announces that it will read times as UTC, which is what our scheduler makes local time be.
pytestmark = pytest.mark.filterwarnings(r"ignore:Version 0\.22\.0\+ of crontab:FutureWarning")

WANTED = {
    "process_pending_queue", "check_credits", "check_timeouts", "sweep", "deliver_outbox", "check_alerts", "cleanup_old_files",
}


def listed(world: World) -> dict[str, Any]:
    """The job of each scheduled id."""
    return {job.id: job for job in make_scheduler(world.redis, 1).get_jobs()}


def complete(world: World) -> bool:
    return set(listed(world)) == {f"periodic_{name}" for name in WANTED}


def waiting(world: World) -> set[str]:
    return {job_id for kind in JOBS.values() for job_id in world.tools.queues.queue(kind.queue).get_job_ids()}


# ---- the list

@pytest.fixture
def scheduler(sqlite_world: World) -> Scheduler:
    return make_scheduler(sqlite_world.redis, 1)


def test_the_list_is_what_the_settings_say(sqlite_world: World) -> None:
    sqlite_world.use(sweep_interval=30, queue_processor_interval=60, credits_check_interval=600, timeout_check_interval=300)
    wanted = {periodic.job: (periodic.interval, periodic.cron) for periodic in periodic_jobs(sqlite_world.settings)}
    assert wanted == {
        "process_pending_queue": (60, None), "check_credits": (600, None), "check_timeouts": (300, None),
        "sweep": (30, None), "deliver_outbox": (10, None), "check_alerts": (60, None),
        "cleanup_old_files": (None, "0 3 * * *"),
    }


def test_ensuring_twice_makes_nothing_twice(sqlite_world: World, scheduler: Scheduler) -> None:
    wanted = periodic_jobs(sqlite_world.settings)
    ensure(scheduler, wanted)
    planned = dict(scheduler.get_jobs(with_times=True))
    ensure(scheduler, wanted)
    assert dict(scheduler.get_jobs(with_times=True)) == planned
    assert complete(sqlite_world)


def test_jobs_that_are_not_wanted_any_more_are_removed_and_others_jobs_are_not(
    sqlite_world: World, scheduler: Scheduler
) -> None:
    ensure(scheduler, [Periodic("sweep", 30), Periodic("check_credits", 30)])
    scheduler.schedule(datetime.now(UTC).replace(tzinfo=None), "jobs.upkeep.sweep", id="somebody_elses", interval=30)
    ensure(scheduler, [Periodic("sweep", 30)])
    assert set(listed(sqlite_world)) == {"periodic_sweep", "somebody_elses"}


def test_a_changed_interval_replaces_the_old_one(sqlite_world: World, scheduler: Scheduler) -> None:
    ensure(scheduler, [Periodic("sweep", 30)])
    ensure(scheduler, [Periodic("sweep", 45)])
    assert listed(sqlite_world)["periodic_sweep"].meta["interval"] == 45


@pytest.mark.parametrize("name", sorted(WANTED))
def test_a_job_lost_from_the_list_is_put_back(sqlite_world: World, scheduler: Scheduler, name: str) -> None:
    wanted = periodic_jobs(sqlite_world.settings)
    ensure(scheduler, wanted)
    scheduler.cancel(f"periodic_{name}")
    ensure(scheduler, wanted)
    assert complete(sqlite_world)


def test_what_is_due_reaches_its_queue_and_runs(sqlite_world: World, scheduler: Scheduler) -> None:
    one_pass(scheduler, periodic_jobs(sqlite_world.settings))
    assert waiting(sqlite_world) == {f"periodic_{name}" for name in WANTED - {"cleanup_old_files"}}
    work_off(sqlite_world.tools, ["periodic", "dispatch"])
    assert sqlite_world.crashed_jobs() == []
    assert CreditReading.select().count() == 1
    assert Tick.get_or_none(Tick.name == "check_timeouts") is not None


def test_a_pass_leaves_the_list_to_whoever_holds_the_lock(sqlite_world: World, scheduler: Scheduler) -> None:
    other = make_scheduler(sqlite_world.redis, 1)
    assert other.acquire_lock()
    one_pass(scheduler, periodic_jobs(sqlite_world.settings))
    assert listed(sqlite_world) == {}
    other.remove_lock()
    one_pass(scheduler, periodic_jobs(sqlite_world.settings))
    assert complete(sqlite_world)


# ---- the process

@contextmanager
def running(world: World, **environment: str) -> Iterator[Any]:
    with (world.folder / "scheduler.log").open("wb") as log:
        argv = [sys.executable, "-m", "jobs.schedule"]
        process = spawn(argv, log, env=world.environment() | environment, cwd=ROOT)
    try:
        wait_until(lambda: complete(world) or process.poll() is not None, 60, "the scheduler")
        assert process.poll() is None, (world.folder / "scheduler.log").read_text()
        yield process
    finally:
        end(process, grace=5, first=signal.SIGKILL)


@pytest.mark.slow
def test_the_list_is_whole_again_after_redis_was_emptied(sqlite_world: World) -> None:
    with running(sqlite_world):
        sqlite_world.redis.flushall()
        wait_until(lambda: complete(sqlite_world), 60, "the list")


@pytest.mark.slow
def test_the_scheduler_outlives_redis(sqlite_world: World) -> None:
    with running(sqlite_world) as process:
        sqlite_world.redis_server.stop(signal.SIGKILL)
        log = sqlite_world.folder / "scheduler.log"
        wait_until(lambda: "Redis is away" in log.read_text(), 60, "the scheduler to notice")
        sqlite_world.redis_server.start()
        sqlite_world.redis.flushall()
        wait_until(lambda: complete(sqlite_world), 60, "the list")
        assert process.poll() is None


@pytest.mark.slow
def test_a_killed_scheduler_goes_on_where_it_was(sqlite_world: World) -> None:
    """Its lock is still there: the next one waits for that, and then does the passes."""
    for _ in range(2):
        with running(sqlite_world):
            pass
    with running(sqlite_world):
        queue = sqlite_world.tools.queues.queue("periodic")
        queue.empty()
        wait_until(lambda: queue.count, 60, "a periodic job")
        assert complete(sqlite_world)


@pytest.mark.slow
def test_two_schedulers_do_no_harm_and_one_gives_a_sign_of_life(sqlite_world: World) -> None:
    with running(sqlite_world), running(sqlite_world):
        began = database.now()
        alive = (Tick.name == "scheduler") & (Tick.last_at > began)
        wait_until(lambda: Tick.get_or_none(alive) is not None, 60, "a sign of life")
        time.sleep(1)
        # A job that is due at this moment is out of the list until it is put back for its next time.
        wait_until(lambda: complete(sqlite_world), 5, "all periodic jobs in their places")


@pytest.mark.slow
def test_the_daily_clean_up_is_at_three_utc_wherever_the_machine_is(sqlite_world: World) -> None:
    with running(sqlite_world, TZ="America/New_York"):
        times = {job.id: moment for job, moment in make_scheduler(sqlite_world.redis, 1).get_jobs(with_times=True)}
    due = times["periodic_cleanup_old_files"]
    assert (due.hour, due.minute) == (3, 0)


@pytest.mark.slow
def test_sigterm_ends_the_scheduler_at_once(sqlite_world: World) -> None:
    with running(sqlite_world) as process:
        process.terminate()
        assert process.wait(5) == 0
        assert process_state(process.pid) == ""
