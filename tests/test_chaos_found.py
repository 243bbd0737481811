"""What the drill found, each with the interleaving that showed it."""
import os
import signal
import subprocess
from typing import Any

import pytest

import kit
from jobs.lost_holders import LostHolders
from petsong import database
from petsong.lifecycle.claims import take
from petsong.lifecycle.stages import Stage
from petsong.models import Event, Heartbeat, Submission
from pipeline import World, wait_until
from scripts.processes import end

pytest_plugins = "pipeline_fixtures"

LOST = {"jobs.lost_holders.LOST_SECONDS": 1.0}


# ---- a pool that dies with all its workers: nobody is left to notice, and leases last up to five minutes

@pytest.mark.slow
@pytest.mark.parametrize("point", ["order_claimed", "song_fetched", "render_begins"])
def test_what_a_killed_pool_held_goes_on_long_before_its_lease_ends(world: World, point: str) -> None:
    world.client.configure(generate_seconds=0)
    world.stop_at(point)
    with world.pool(tuned=LOST) as pool:
        session_id = world.submit()
        world.stopped(point)
        end(pool.process, grace=0, first=signal.SIGKILL)
    with world.pool(tuned=LOST):
        world.wait_for_ends(30)
    assert kit.row(session_id).stage == "done", world.story()
    assert "worker_died" in world.reasons(session_id)
    world.assert_paid_once()


@pytest.mark.slow
def test_a_job_that_is_killed_after_redis_was_emptied_goes_on_at_once(world: World) -> None:
    """Its worker knows nothing of a job that Redis does not know, and so did not tell of its death."""
    world.client.configure(generate_seconds=0)
    world.stop_at("song_fetched")
    with world.pool():
        session_id = world.submit()
        pid = world.stopped("song_fetched")
        world.redis.flushall()
        os.kill(pid, signal.SIGKILL)
        world.wait_for_ends(30)
    assert kit.row(session_id).stage == "done", world.story()
    assert "worker_died" in world.reasons(session_id)
    world.assert_paid_once()


def beats(name: str) -> None:
    moment = database.now()
    Heartbeat.insert(name=name, at=moment, started_at=moment, queues={}).on_conflict(
        conflict_target=[Heartbeat.name], update={Heartbeat.at: moment}
    ).execute()


@pytest.fixture
def held(database_url: str) -> Any:
    """A queued row, held by a process of the pool `there`, and one that nobody holds."""
    kit.open_database(database_url)
    kit.submit(kit.make_settings(database_url), "heldrow")
    kit.submit(kit.make_settings(database_url), "freerow")
    take("heldrow", Stage.QUEUED, 300, holder="there:4711")
    yield
    database.db.close()


def test_a_pool_without_a_new_sign_of_life_is_lost_after_twenty_seconds(held: None) -> None:
    watch = LostHolders("here")
    beats("there")
    assert [watch.look(now) for now in (0, 5, 10, 15, 20)] == [[]] * 5
    assert watch.look(25) == ["there:4711"]


def test_a_pool_that_never_gave_a_sign_is_lost_likewise(held: None) -> None:
    watch = LostHolders("here")
    assert [watch.look(now) for now in (0, 5, 10, 15, 20, 25)] == [[]] * 5 + [["there:4711"]]


def test_a_pool_that_gives_signs_is_not_lost(held: None) -> None:
    watch = LostHolders("here")
    for now in range(0, 100, 5):
        beats("there")
        assert watch.look(now) == []


def test_who_could_not_look_for_a_while_begins_anew(held: None) -> None:
    """The database was away for all pools, or we were frozen: their old signs of life prove nothing."""
    watch = LostHolders("here")
    beats("there")
    assert (watch.look(0), watch.look(60), watch.look(65)) == ([], [], [])


def test_a_pool_finds_its_own_dead_at_once(held: None) -> None:
    child = subprocess.Popen(["true"])
    child.wait()
    Submission.update(lease_holder=f"there:{child.pid}").where(Submission.session_id == "heldrow").execute()
    assert LostHolders("there").look(0) == [f"there:{child.pid}"]


def test_a_pool_does_not_give_itself_up(held: None) -> None:
    Submission.update(lease_holder=f"there:{os.getpid()}").where(Submission.session_id == "heldrow").execute()
    watch = LostHolders("there")
    assert [watch.look(now) for now in range(0, 60, 5)] == [[]] * 12


# ---- renders go before the turns that are made ahead, and so the newest went before the oldest: under load some starved

@pytest.mark.slow
def test_the_song_that_waits_longest_is_rendered_first(world: World) -> None:
    world.client.configure(generate_seconds=0)
    rows = [world.submit(f"Pet Aa{letter}") for letter in "abcd"]
    world.drive()  # in one process: every song is stored before the first is rendered
    waited = [e.session_id for e in Event.select().where(Event.reason == "song_stored").order_by(Event.id)]
    made = [e.session_id for e in Event.select().where(Event.reason == "video_stored").order_by(Event.id)]
    assert sorted(made) == sorted(rows)
    assert made == waited


@pytest.mark.slow
def test_two_renderers_that_want_the_same_song_leave_none_behind(world: World) -> None:
    """No sweep comes to help: each message makes one song, whoever's it was."""
    world.client.configure(generate_seconds=0)
    with world.pool("dispatch", "sonauto", "downloads"):
        rows = [world.submit(f"Pet Aa{letter}") for letter in "abcdef"]
        wait_until(lambda: {kit.row(name).stage for name in rows} == {"rendering"}, 40, world.story)
    with world.pool("renders", workers={"renders": 3}, sweep_interval=600):
        world.wait_for_ends(30)
    assert {kit.row(name).stage for name in rows} == {"done"}
