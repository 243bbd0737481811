"""The words' timing comes after the song, and the video does not wait for it."""
from typing import Any

import pytest

import kit
from petsong import database
from petsong.captions import as_webvtt
from petsong.models import Submission
from pipeline import World

pytest_plugins = "pipeline_fixtures"


def time_passes() -> None:
    """The next look at the timing is due."""
    Submission.update(timing_check_at=database.now()).where(Submission.timing_check_at.is_null(False)).execute()


def finished(world: World) -> Any:
    session_id = world.submit()
    world.drive()
    row = kit.row(session_id)
    assert row.stage == "done", world.story()
    return row


@pytest.mark.parametrize("orders_before", [0, 1])
def test_timing_comes_after_the_song_in_either_spelling(world: World, orders_before: int) -> None:
    """Of two orders the stand-in times one as start and end, the other as start_time and end_time."""
    world.client.configure(generate_seconds=0, align_seconds=4)
    for _ in range(orders_before):
        assert world.client.submit({"prompt": "another's song"}).ok
    session_id = world.submit("Rosalinde")
    world.collect([session_id])
    assert kit.row(session_id).word_timing is None
    assert kit.row(session_id).lyrics

    def fetched() -> bool:
        time_passes()
        return kit.row(session_id).word_timing is not None

    world.drive(fetched)
    [task] = [order["task_id"] for order in world.orders(session_id)]
    said = world.client.task(task).json()["word_aligned_lyrics"]
    assert ("start" in said[0]) is (orders_before == 0)
    timing = kit.row(session_id).word_timing
    assert [word["start"] for word in timing] == [word.get("start", word.get("start_time")) for word in said]
    assert "Rosalinde" in as_webvtt(timing)
    assert kit.row(session_id).timing_check_at is None


@pytest.mark.parametrize("fault, asked_again", [("alignment_failed", False), ("alignment_never", True)])
def test_timing_that_fails_or_never_comes_holds_up_nothing(world: World, fault: str, asked_again: bool) -> None:
    world.client.configure(generate_seconds=0)
    world.client.add_fault(fault)
    row = finished(world)
    time_passes()
    world.drive(lambda: kit.row(row.session_id).timing_check_at != row.timing_check_at)
    assert kit.row(row.session_id).word_timing is None
    assert (kit.row(row.session_id).timing_check_at is not None) is asked_again
    assert kit.row(row.session_id).stage == "done"


def test_timing_is_not_asked_for_ever(world: World) -> None:
    world.client.configure(generate_seconds=0)
    world.client.add_fault("alignment_never")
    row = finished(world)
    kit.age(24 * 3600)
    time_passes()
    world.drive(lambda: kit.row(row.session_id).timing_check_at is None)
    assert kit.row(row.session_id).stage == "done"
