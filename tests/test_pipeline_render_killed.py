"""A render whose process is killed is repeated at once; one that kills every worker ends its row."""
import time

import pytest

import kit
from petsong.models import Event
from pipeline import World, kill_job, kill_job_and_worker, process_state, wait_until

pytest_plugins = "pipeline_fixtures"
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def test_the_row_of_a_killed_render_is_free_at_once(world: World) -> None:
    """Its lease is five minutes, and nobody waits for that."""
    world.stop_at("render_made")
    with world.pool():
        session_id = world.submit()
        pid = world.stopped("render_made")
        held = kit.row(session_id).claim_no
        kill_job(pid)
        wait_until(lambda: kit.row(session_id).lease_until is None or kit.row(session_id).claim_no > held, 60, "the row")
        world.wait_for_ends()
    assert kit.row(session_id).stage == "done"
    assert kit.row(session_id).claim_no == held + 2  # one for the lease that was taken away, one for the next claim


def test_a_render_killed_with_its_worker_is_repeated_before_its_lease_ends(world: World) -> None:
    world.stop_at("render_made")
    with world.pool() as pool:
        session_id = world.submit()
        pid = world.stopped("render_made")
        kill_job_and_worker(pid)
        world.wait_for_ends()
        assert process_state(pid) == ""
        assert "Traceback" not in pool.said()
    assert kit.row(session_id).stage == "done"


def test_a_render_that_kills_its_worker_each_time_fails_after_two_tries(world: World) -> None:
    world.stop_at("render_begins")
    with world.pool():
        session_id = world.submit()
        for again in (True, False):
            pid = world.stopped("render_begins")
            if again:
                world.stop_at("render_begins")
            kill_job(pid)
        world.wait_for_ends()
    row = kit.row(session_id)
    assert (row.stage, row.fail_reason) == ("failed", "rendering_crashed"), world.story()
    last = Event.select().where(Event.submission == session_id).order_by(Event.id.desc()).get()
    assert "2 workers died" in last.detail


def test_what_a_killed_render_left_behind_is_nobodys_video(world: World) -> None:
    """Killed between a file and its row: the row names the files of the render that came to its end."""
    world.stop_at("video_stored")
    with world.pool():
        session_id = world.submit()
        pid = world.stopped("video_stored")
        [(left, _)] = list(world.tools.storage.list_keys("video/"))
        assert kit.row(session_id).generated_video_path is None
        began = time.time()
        kill_job(pid)
        world.wait_for_ends()
    row = kit.row(session_id)
    named: list[str] = [row.generated_video_path, *(rendition.path for rendition in row.renditions)]
    assert left not in named
    times = dict(world.tools.storage.list_keys("video/"))
    assert all(times[key] >= began for key in named)
