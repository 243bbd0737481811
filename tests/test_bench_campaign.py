"""The campaign benchmark's own arithmetic, on records made by hand."""
import random

import pytest

from petsong.queues import Queues
from scripts.benchmarks import campaign
from scripts.benchmarks.campaign import percentile, service_seconds, utilisation


def order(begin: float, end: float | None) -> dict[str, float | None]:
    return {"accepted_at": begin, "ended_at": end}


def test_slots_are_half_full_when_one_of_two_holds_a_song_all_the_time() -> None:
    assert utilisation([order(0, 10)], 0, 10, slots=2) == 0.5
    assert utilisation([order(-5, 5), order(5, None)], 0, 10, slots=1) == 1.0


def test_songs_before_and_after_the_time_do_not_count() -> None:
    assert utilisation([order(-9, -1), order(11, 20)], 0, 10, slots=1) == 0.0


@pytest.mark.parametrize("part, value", [(50, 2), (75, 3), (95, 4), (100, 4)])
def test_a_percentile_is_a_value_that_was_measured(part: int, value: float) -> None:
    assert percentile([4, 2, 1, 3], part) == value


def test_the_services_times_are_those_of_a_real_one_scaled() -> None:
    chance = random.Random(1)
    times = [service_seconds(chance) for _ in range(1000)]
    assert 7 <= min(times) and max(times) <= 16 and 9.5 < sum(times) / 1000 < 11


def test_without_events_nobody_dispatches_but_the_tick(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(Queues, "enqueue", lambda self, job, *ids, front=False: asked.append(job) or True)
    campaign.without_events()
    queues = Queues.__new__(Queues)
    queues.enqueue("process_pending_queue")
    queues.enqueue("create_video", "row", front=True)
    assert asked == ["create_video"]
