"""The service is away, for everybody or for one: nobody fails who need not, nobody waits for another's trouble."""
import time
from collections.abc import Callable

import pytest

import kit
from pipeline import QUEUES, World

pytest_plugins = "pipeline_fixtures"
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

SCALE = 100  # five minutes are three seconds
MINUTES = {"unknown_after_minutes": 10 / SCALE, "song_max_minutes": 20 / SCALE, "queue_max_hours": 24 / SCALE}
BEFORE_RENDERS = QUEUES[:-1]
OUTAGE = {
    **MINUTES, "poll_interval": 20 / SCALE, "sweep_interval": 30 / SCALE, "timeout_check_interval": 300 / SCALE,
    "retry_backoff": (10 / SCALE, 30 / SCALE, 60 / SCALE), "credits_check_interval": 600 / SCALE,
}


def _closed(world: World) -> None:
    """Every connection ends without an answer."""
    world.client.add_fault("outage", for_seconds=300 / SCALE)


def _refusing(world: World) -> None:
    world.client.add_fault("outage_503", for_seconds=300 / SCALE)


def _away(world: World) -> None:
    """No connection is taken."""
    world.sandbox.kill()
    back = time.monotonic() + 300 / SCALE
    world.drive(lambda: time.monotonic() > back, queues=BEFORE_RENDERS)
    world.sandbox.restart()


@pytest.mark.parametrize("outage", [_closed, _refusing, _away])
def test_a_five_minute_outage_fails_nobody(world: World, outage: Callable[[World], None]) -> None:
    world.use(**OUTAGE)
    world.open_site()
    world.client.configure(generate_seconds=60 / SCALE)
    # It finds songs that are ready and not fetched, in the making, and not ordered yet.
    world.client.add_fault("song_500", count=2)
    rows = [world.submit(), world.submit()]
    world.drive(lambda: kit.row(rows[0]).stage == "downloading", queues=BEFORE_RENDERS)
    rows += [world.submit(), world.submit()]
    world.drive(lambda: kit.row(rows[-1]).stage not in ("queued", "sending"), queues=BEFORE_RENDERS)
    rows += [world.submit(), world.submit()]
    outage(world)
    world.collect(rows)
    assert {kit.row(name).stage for name in rows} == {"rendering"}, world.story()
    world.assert_paid_once()


def campaign(world: World, poison: int, good: int) -> tuple[list[str], list[str]]:
    """So many songs that the service answers with 500 for ever, ahead of those that it takes."""
    world.client.add_fault("submit_500", match="Poison")
    bad = [world.submit("Poison") for _ in range(poison)]
    return bad, [world.submit() for _ in range(good)]


@pytest.mark.parametrize("poison", [1, 2, 3])
def test_rows_refused_for_ever_do_not_block_the_others(world: World, poison: int) -> None:
    world.use(max_concurrent_requests=2)
    bad, good = campaign(world, poison, 6)
    world.collect(good)
    assert {kit.row(name).stage for name in good} == {"rendering"}
    assert all(kit.row(name).stage in ("queued", "sending", "failed") for name in bad)
    world.assert_paid_once()


@pytest.mark.parametrize("poison", [1, 2])
def test_rows_refused_while_others_are_accepted_fail_with_their_own_reason(world: World, poison: int) -> None:
    bad, _ = campaign(world, poison, 0)
    ends = time.monotonic() + 60
    while any(kit.row(name).stage != "failed" for name in bad):
        assert time.monotonic() < ends, world.story()
        good = world.submit()  # others go on coming, and are taken
        world.collect([good])
        assert kit.row(good).stage == "rendering", world.story()
    for name in bad:
        assert kit.row(name).fail_reason == "service_refused"
        assert kit.row(name).retry_count >= world.settings.max_retries
    world.assert_paid_once()


def test_a_row_refused_alone_is_not_thrown_away(world: World) -> None:
    """Nothing tells a row that the service can't bear from a service in trouble, until it accepts another."""
    [bad], _ = campaign(world, 1, 0)
    world.drive(lambda: len(world.client.ledger()["refusals"]) > 2 * world.settings.max_retries)
    assert kit.row(bad).stage in ("queued", "sending")
    world.client.clear_faults()
    world.collect([bad])
    assert kit.row(bad).stage == "rendering"
