"""A worker that froze, was replaced, and wakes up: it writes nothing, and it orders nothing."""
import os
import signal
from typing import Any

import kit
import pytest
from pipeline import LEASES, World, process_state, wait_until

from petsong.models import Attempt, Event, Rendition, Submission

pytest_plugins = "pipeline_fixtures"
pytestmark = pytest.mark.slow

WORKERS = {"dispatch": 1, "sonauto": 4, "downloads": 3, "renders": 3, "periodic": 1}


def wake(pid: int) -> None:
    """Let it go on, to its end."""
    os.kill(pid, signal.SIGCONT)
    wait_until(lambda: process_state(pid) in ("", "Z"), 20, f"{pid} to end")


def written(world: World, session_id: str) -> Any:
    """The row, all that belongs to it, and the bytes of the files it names."""
    row = kit.row(session_id)
    tables = [list(table.select().where(table.submission == session_id).dicts()) for table in (Attempt, Event, Rendition)]
    keys = [row.generated_song_path, row.generated_video_path, *(r.path for r in row.renditions)]
    files = [(key, world.tools.storage.stat(key), b"".join(world.tools.storage.stream(key))) for key in keys]
    return list(Submission.select().where(Submission.session_id == session_id).dicts()), tables, files


@pytest.mark.parametrize("points", [("song_fetched", "song_stored"), ("render_begins", "render_made", "video_stored")])
def test_a_frozen_worker_that_wakes_up_writes_nothing(world: World, points: tuple[str, ...]) -> None:
    world.client.configure(align_seconds=0, generate_seconds=0)
    with world.pool(tuned=LEASES, workers=WORKERS):
        frozen = {}
        for point in points:
            world.stop_at(point)
            session_id = world.submit()
            frozen[session_id] = world.stopped(point)
        world.wait_for_ends(40)
        for session_id, pid in frozen.items():
            before = written(world, session_id)
            assert before[0][0]["stage"] == "done"
            wake(pid)
            assert written(world, session_id) == before
    world.assert_paid_once()


def test_a_download_frozen_in_the_middle_of_the_song_writes_nothing(world: World) -> None:
    world.client.add_fault("song_slow", count=1, seconds=2)
    with world.pool("downloads", tuned=LEASES, workers={**WORKERS, "downloads": 1}) as pool:
        session_id = world.submit()
        world.drive(lambda: kit.row(session_id).stage == "downloading")
