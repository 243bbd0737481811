"""From a song's end to the agency, with real pools: told at once, told once, told also when the teller is killed."""
from collections.abc import Iterator
from typing import Any

import pytest

import kit
from petsong.models import Heartbeat, OutboxMessage
from pipeline import Pool, World, kill_job_and_worker, wait_until
from receivers import SECRET, Receiver, receiving

pytest_plugins = "pipeline_fixtures"
pytestmark = pytest.mark.slow


@pytest.fixture
def agency() -> Iterator[Receiver]:
    with receiving() as server:
        yield server


def telling(agency: Receiver) -> dict[str, Any]:
    return {
        "outgoing_origins": (agency.origin,), "events_webhook_url": agency.url, "events_webhook_secret": SECRET,
        "public_base_url": "https://songs.example.com",
    }


def test_a_finished_song_is_told_at_once(world: World, agency: Receiver) -> None:
    with world.pool(**telling(agency)):
        session_id = world.submit()
        world.wait_for_ends()
        wait_until(lambda: agency.seen, 30, lambda: f"the agency to hear of it; {world.story()}")
    [body] = agency.bodies()
    assert body["type"] == "submission.succeeded" and body["data"]["session_id"] == session_id
    assert body["data"]["video_url"] == f"https://songs.example.com/storage/video/{session_id}.mp4"
    assert "Bello" not in str(body) and "Ana Sample" not in str(body)
    assert kit.row(session_id).stage == "done"


def test_a_teller_killed_in_the_middle_is_made_up_for_with_the_same_id(sqlite_world: World, agency: Receiver) -> None:
    world, tuned = sqlite_world, {"petsong.outbox.LEASE_SECONDS": 2, "petsong.outbox.DEAF_SECONDS": 0}
    agency.delay = 4
    with world.pool(tuned=tuned, **telling(agency)) as pool:
        world.submit()
        wait_until(lambda: agency.seen, 60, lambda: f"the first try; {world.story()}")
        kill_job_and_worker(_teller(pool))
        agency.delay = 0
        wait_until(lambda: _state() == "delivered", 60, lambda: f"the second try: {_state()}")
    assert len(agency.seen) == 2 and len(set(agency.ids())) == 1
    assert agency.seen[0][1] == agency.seen[1][1]


def _teller(pool: Pool) -> int:
    wait_until(lambda: len(pool.jobs()) == 1, 20, "the job that delivers to be the only one")
    return pool.jobs()[0]


def _state() -> str:
    message: Any = OutboxMessage.get()
    return str(message.state)


def test_a_pool_tells_of_its_ffmpeg_and_its_disk(sqlite_world: World) -> None:
    with sqlite_world.pool("renders", tuned={"jobs.worker.FACTS_AFTER_SECONDS": 0}):
        wait_until(lambda: any((pool.facts or {}).get("ffmpeg") for pool in Heartbeat.select()), 40, "the facts")
        [beat] = Heartbeat.select()
    assert beat.facts["ffmpeg"]["missing"] == [] and beat.facts["ffmpeg"]["version"]
    assert 0 < beat.facts["disk_percent"] < 100
