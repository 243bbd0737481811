"""kill -9 of the process that orders a song, at every moment around the POST: one paid order, or two with one flagged."""
from collections.abc import Callable

import pytest

import kit
from pipeline import LEASES, World, kill_job, kill_job_and_worker, wait_until

pytest_plugins = "pipeline_fixtures"
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

# Where it dies, whether webhooks come, and then: paid orders, flagged attempts.
MOMENTS = [
    ("order_claimed", True, 1, 0),  # nothing was called: done again for free
    ("order_marked", True, 1, 1),  # it may have been called: nobody knows, so the second order is flagged
    ("order_answered", True, 1, 0),  # accepted, not written down: its webhook names the task
    ("order_answered", False, 2, 1),
    ("order_recorded", True, 1, 0),
    ("order_recorded", False, 1, 0),
]


def again_after(flagged: int) -> float:
    """Minutes. Where a webhook is expected it comes in time, however busy the machine is."""
    return 0.015 if flagged else 2


def settled(world: World, session_id: str, orders: int, flagged: int) -> None:
    world.wait_for_ends()
    assert kit.row(session_id).stage == "done", world.story()
    assert len(world.orders(session_id)) == orders
    assert sum(attempt.flagged for attempt in kit.attempts(session_id)) == flagged
    world.assert_paid_once()


@pytest.mark.parametrize("point, webhooks, orders, flagged", MOMENTS)
def test_a_sender_killed_at(world: World, point: str, webhooks: bool, orders: int, flagged: int) -> None:
    world.open_site()
    world.client.configure(webhooks=webhooks)
    world.stop_at(point)
    with world.pool(unknown_after_minutes=again_after(flagged)):
        session_id = world.submit()
        kill_job(world.stopped(point))
        settled(world, session_id, orders, flagged)


@pytest.mark.parametrize("point, orders, flagged", [("order_claimed", 1, 0), ("order_answered", 2, 1)])
def test_a_sender_killed_with_its_worker_at(world: World, point: str, orders: int, flagged: int) -> None:
    world.client.configure(webhooks=False)
    world.stop_at(point)
    with world.pool(tuned=LEASES, unknown_after_minutes=again_after(flagged)):
        session_id = world.submit()
        kill_job_and_worker(world.stopped(point))
        settled(world, session_id, orders, flagged)


@pytest.mark.parametrize("webhooks, orders, flagged", [(True, 1, 0), (False, 2, 1)])
def test_a_sender_killed_while_the_service_answers(world: World, webhooks: bool, orders: int, flagged: int) -> None:
    world.open_site()
    world.client.configure(webhooks=webhooks)
    world.client.add_fault("answer_slow", count=1, seconds=0.8)
    with world.pool(unknown_after_minutes=again_after(flagged)) as pool:
        session_id = world.submit()
        wait_until(world.client.orders, 60, "the order")
        for job in pool.jobs():
            kill_job(job)
        settled(world, session_id, orders, flagged)
    assert "accepted" not in world.reasons(session_id)[:3], "the sender was not killed in the call"


@pytest.mark.parametrize("how", [kill_job, kill_job_and_worker])
def test_an_order_that_kills_every_sender_ends_its_row_unpaid(world: World, how: Callable[[int], None]) -> None:
    with world.pool(tuned={"jobs.dispatch.LEASE_SECONDS": 0.5}, api_request_timeout_seconds=0.2):
        session_id = world.submit()
        for _ in range(5):
            world.stop_at("order_claimed")
            how(world.stopped("order_claimed"))
        world.wait_for_ends()
    assert (kit.row(session_id).fail_reason, world.client.orders()) == ("sending_crashed", [])
