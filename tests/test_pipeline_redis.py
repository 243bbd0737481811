"""Redis loses everything in the middle of a campaign; the rows lose nothing."""
import shutil
import signal
import time
from collections.abc import Callable

import pytest

import kit
from petsong.models import Submission
from pipeline import World, wait_until

pytest_plugins = "pipeline_fixtures"
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

SONGS = 9


def done() -> int:
    count: int = Submission.select().where(Submission.stage == "done").count()
    return count


def emptied(world: World) -> None:
    world.redis.flushall()


def killed(world: World) -> None:
    """And back after a second, with nothing of what it knew."""
    world.redis_server.stop(signal.SIGKILL)
    shutil.rmtree(world.redis_server.folder / "appendonlydir", ignore_errors=True)
    time.sleep(1)
    world.redis_server.start()


@pytest.mark.parametrize("trouble", [emptied, killed])
def test_redis_loses_everything_and_the_campaign_nothing(world: World, trouble: Callable[[World], None]) -> None:
    world.open_site()
    world.client.configure(generate_seconds=0.5)
    with world.pool(max_concurrent_requests=4):
        rows = [world.submit() for _ in range(SONGS)]
        trouble(world)  # nothing is sent, or all of it
        for reached in (1, 4):
            wait_until(lambda count=reached: done() >= count, 60, world.story)  # type: ignore[misc]
            trouble(world)
        world.wait_for_ends()
    assert {kit.row(name).stage for name in rows} == {"done"}, world.story()
    assert len(world.client.orders()) == SONGS
    world.assert_paid_once()


def test_a_submission_while_redis_is_away_is_found_by_the_sweep(world: World) -> None:
    world.redis_server.stop(signal.SIGKILL)
    session_id = world.submit()
    with world.pool():
        time.sleep(0.5)
        assert kit.row(session_id).stage == "queued"
        world.redis_server.start()
        world.wait_for_ends()
    assert kit.row(session_id).stage == "done"
