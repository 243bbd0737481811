"""Webhooks that come too early are not lost, and webhooks that never come are not missed."""
import time
from datetime import datetime
from typing import Any

import pytest

import kit
from petsong.models import Attempt, Event
from pipeline import World, token_of, wait_until

pytest_plugins = "pipeline_fixtures"
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def moment(session_id: str, to_stage: str) -> float:
    event: Any = Event.get(Event.submission == session_id, Event.to_stage == to_stage, Event.from_stage != to_stage)
    at: datetime = event.at
    return at.timestamp()


def test_a_webhook_earlier_than_our_own_commit_is_not_lost(world: World) -> None:
    world.open_site()
    world.client.add_fault("webhook_early")
    world.client.add_fault("answer_slow", seconds=1.5)
    # No poll and no sweep comes to help while the test lasts.
    with world.pool(poll_interval=600, sweep_interval=600):
        session_id = world.submit()
        world.wait_for_ends()
    [order] = world.client.orders()
    [delivery] = order["webhook_deliveries"]
    assert delivery["status"] == 200
    assert delivery["at"] < moment(session_id, "generating"), "the webhook was not early"
    assert moment(session_id, "downloading") - moment(session_id, "generating") < 10
    assert kit.row(session_id).stage == "done"


def test_a_webhook_moves_a_row_without_any_poll(world: World) -> None:
    world.open_site()
    world.client.configure(generate_seconds=1)
    with world.pool(poll_interval=600, sweep_interval=600):
        session_id = world.submit()
        world.wait_for_ends()
    [order] = world.client.orders()
    assert moment(session_id, "downloading") - order["ended_at"] < 10


def test_without_webhooks_every_song_is_collected_within_a_minute_of_being_ready(world: World) -> None:
    """Scaled down twenty times: sweeps come each second and a half, and the minute is three."""
    scale, grace = 20, 2  # seconds that do not scale: forks, and the pool's own step of 0.2 s
    world.client.configure(webhooks=False, generate_seconds=0)
    look = {"jobs.worker.SWEEP_LOOK_SECONDS": 5 / scale}
    with world.pool("dispatch", "sonauto", "periodic", tuned=look, poll_interval=20 / scale, sweep_interval=30 / scale):
        rows = []
        for number in range(12):
            world.client.configure(generate_seconds=0.2 * number)
            rows.append(world.submit())
            time.sleep(0.1)  # so that they are ready at many points between two sweeps
        wait_until(lambda: all(kit.row(name).stage == "downloading" for name in rows), 60, world.story)
    ended = {token_of(order): order["ended_at"] for order in world.client.orders()}
    attempts: Any = Attempt.select()
    took = [moment(attempt.session_id, "downloading") - ended[attempt.token] for attempt in attempts]
    assert len(took) == len(rows)
    assert max(took) <= 60 / scale + grace, took
