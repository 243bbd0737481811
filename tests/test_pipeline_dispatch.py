"""Many songs, many dispatchers: never more at the service than allowed, each paid once."""
import time
from contextlib import ExitStack

import pytest

from petsong.models import Submission
from pipeline import World, wait_until

pytest_plugins = "pipeline_fixtures"
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

SONGS, SLOTS = 200, 10


def test_three_dispatchers_keep_to_the_slots_and_pay_each_of_200_songs_once(world: World) -> None:
    # The service would take all at once: what holds them back is ours alone.
    world.client.configure(generate_seconds=600, slots=10 * SONGS, tune="premade")
    world.open_site()
    world.use(max_concurrent_requests=SLOTS)
    for _ in range(SONGS):
        world.submit()
    with ExitStack() as stack:
        pools = [stack.enter_context(world.pool("dispatch_for_ever")) for _ in range(3)]
        wait_until(lambda: len(world.client.orders()) >= SLOTS, 60, "the first orders")
        time.sleep(0.5)  # three dispatchers try for one more
        assert len(world.client.orders()) == SLOTS
        world.client.configure(generate_seconds=0.2)
        world.client.finish()
        wait_until(lambda: not _on_the_way(), 240, lambda: f"{_on_the_way()} of {SONGS}; {world.story()}")
    ledger = world.client.ledger()
    assert ledger["summary"]["accepted"] == SONGS
    assert ledger["summary"]["max_concurrent"] == SLOTS
    world.assert_paid_once()
    assert world.crashed_jobs() == []
    assert not any("Traceback" in pool.said() for pool in pools)


def _on_the_way() -> int:
    count: int = Submission.select().where(Submission.stage.in_(["queued", "sending", "generating"])).count()
    return count
