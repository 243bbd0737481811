"""A worker that froze, was replaced, and wakes up: it writes nothing, and it orders nothing."""
import os
import signal
from typing import Any

import pytest

import kit
from petsong.models import Attempt, Event, Rendition, Submission
from pipeline import LEASES, World, process_state, wait_until

pytest_plugins = "pipeline_fixtures"
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

WORKERS = {"dispatch": 1, "sonauto": 4, "downloads": 3, "renders": 4, "periodic": 1}


def wake(pid: int) -> None:
    """Let it go on, to its end."""
    os.kill(pid, signal.SIGCONT)
    wait_until(lambda: process_state(pid) in ("", "Z"), 60, f"{pid} to end")


def written(world: World, session_id: str) -> Any:
    """The row, all that belongs to it, and the files it names."""
    row = kit.row(session_id)
    tables = [list(table.select().where(table.submission == session_id).dicts()) for table in (Attempt, Event, Rendition)]
    keys = [row.generated_song_path, row.generated_video_path, *(rendition.path for rendition in row.renditions)]
    files = [(key, world.tools.storage.stat(key)) for key in keys]
    return list(Submission.select().where(Submission.session_id == session_id).dicts()), tables, files


def wakes_up_in_vain(world: World, frozen: dict[str, int]) -> None:
    """`frozen`: the process by the row that it held, and that somebody else has brought to its end meanwhile."""
    for session_id, pid in frozen.items():
        before = written(world, session_id)
        assert before[0][0]["stage"] == "done", world.story()
        wake(pid)
        assert written(world, session_id) == before


def test_a_frozen_worker_that_wakes_up_after_the_end_writes_nothing(world: World) -> None:
    """Frozen between the files and the row that was to name them."""
    world.client.configure(generate_seconds=0)
    with world.pool(tuned=LEASES, workers=WORKERS) as pool:
        frozen = {}
        for point in ("song_stored", "video_stored"):
            world.stop_at(point)
            session_id = world.submit()
            frozen[session_id] = world.stopped(point)
        world.wait_for_ends()
        wakes_up_in_vain(world, frozen)
        assert pool.said().count("claim lost") >= len(frozen)
    world.assert_paid_once()


@pytest.mark.parametrize("point, stage", [("song_fetched", "downloading"), ("render_made", "rendering")])
def test_a_frozen_worker_that_wakes_up_while_its_replacement_works_writes_nothing(
    world: World, point: str, stage: str
) -> None:
    """Both work on the same stage of the same attempt: only the number of the claim tells them apart."""
    world.client.configure(generate_seconds=0)
    with world.pool(tuned=LEASES, workers=WORKERS):
        world.stop_at(point)
        session_id = world.submit()
        frozen = world.stopped(point)
        world.stop_at(point)
        replacement = world.stopped(point)
        before = kit.row(session_id)
        wake(frozen)
        now = kit.row(session_id)
        assert (now.stage, now.claim_no, now.tries) == (before.stage, before.claim_no, before.tries) == (stage, now.claim_no, 2)
        os.kill(replacement, signal.SIGCONT)
        world.wait_for_ends()
    row = kit.row(session_id)
    stored = row.generated_song_path if stage == "downloading" else row.generated_video_path
    assert row.stage == "done"
    assert f".{before.claim_no}." in stored


def test_a_download_frozen_in_mid_stream_writes_nothing(world: World) -> None:
    world.client.configure(generate_seconds=0)
    world.client.add_fault("song_slow", count=1, seconds=2)
    world.use(workers=WORKERS)
    with world.pool(*[queue for queue in WORKERS if queue != "downloads"], tuned=LEASES):
        with world.pool("downloads", tuned=LEASES, workers={"downloads": 1}) as first:
            session_id = world.submit()
            wait_until(lambda: _dripping(world) and first.jobs(), 60, "a song on its way")
            [pid] = first.jobs()
            os.kill(pid, signal.SIGSTOP)
            with world.pool("downloads", tuned=LEASES):
                world.wait_for_ends()
                wakes_up_in_vain(world, {session_id: pid})


def _dripping(world: World) -> bool:
    return any(fault["hits"] for fault in world.client.faults())


def test_a_frozen_sender_that_wakes_up_orders_nothing(world: World) -> None:
    """Frozen before the call was marked, and after it: the lease is over by its own clock, so no POST begins."""
    world.client.configure(generate_seconds=0)
    with world.pool(tuned=LEASES, workers=WORKERS):
        frozen = {}
        for point in ("order_claimed", "order_marked"):
            world.stop_at(point)
            session_id = world.submit()
            frozen[session_id] = world.stopped(point)
        world.wait_for_ends()
        ordered = len(world.client.orders())
        wakes_up_in_vain(world, frozen)
    assert ordered == len(world.client.orders()) == 2
    world.assert_paid_once()


def test_what_a_frozen_sender_was_answered_is_not_lost(world: World) -> None:
    """Nobody else knows the task: it wakes up with a lost claim, but with the number of a paid song."""
    world.client.configure(generate_seconds=0, webhooks=False)
    world.stop_at("order_answered")
    with world.pool(tuned=LEASES, workers=WORKERS, unknown_after_minutes=1):
        session_id = world.submit()
        pid = world.stopped("order_answered")
        wait_until(lambda: "lease_expired" in world.reasons(session_id), 60, "the lease to end")
        wake(pid)
        world.wait_for_ends()
    assert kit.row(session_id).stage == "done", world.story()
    assert len(world.orders(session_id)) == 1


def test_a_frozen_senders_song_comes_too_late_for_a_row_that_ordered_again(world: World) -> None:
    world.client.configure(generate_seconds=0, webhooks=False)
    world.stop_at("order_answered")
    with world.pool(tuned=LEASES, workers=WORKERS):
        session_id = world.submit()
        pid = world.stopped("order_answered")
        world.wait_for_ends()
        row = kit.row(session_id)
        wake(pid)
        wait_until(lambda: all(a.ended_at for a in kit.attempts(session_id)), 60, "both orders to be over")
    assert kit.row(session_id).generated_video_path == row.generated_video_path
    assert [(a.flagged, a.ended_as) for a in kit.attempts(session_id)] == [(False, "success"), (True, "success")]
    world.assert_paid_once()
