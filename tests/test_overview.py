"""What the overview counts: stages, flows, pauses, processes, failures; on both databases."""
from datetime import timedelta
from typing import Any

import pytest

from kit import answer, submit
from petsong import database, spending, switch
from petsong.campaigns.loader import load_campaign
from petsong.lifecycle.answers import record_answer
from petsong.lifecycle.claims import take
from petsong.lifecycle.sending import begin_call, claim_rows
from petsong.lifecycle.stages import Stage
from petsong.models import Attempt, CreditReading, Event, Heartbeat, Submission, Tick
from petsong.overview import Overview, gather, percentile
from petsong.queues import Queues, impatient_client
from petsong.settings import Settings
from petsong.sonauto import Meaning

pytest_plugins = "desk_fixtures"


@pytest.fixture
def settings(desk_settings: Settings) -> Settings:
    return desk_settings


def look(settings: Settings) -> Overview:
    queues = Queues(impatient_client(settings.redis_url))
    try:
        return gather(settings, queues, load_campaign("valentines"))
    finally:
        queues.client.close()


def song(settings: Settings, session_id: str, stage: str, *, ago: float = 0, **values: Any) -> str:
    """A row that came and entered its stage so many seconds ago."""
    submit(settings, session_id, cookie_id=f"cookie_{session_id}")
    moment = database.now() - timedelta(seconds=ago)
    Submission.update(stage=stage, stage_since=moment, created_at=moment, **values).where(
        Submission.session_id == session_id
    ).execute()
    return session_id


def moves(session_id: str, *steps: tuple[str, float]) -> None:
    """Events of a song: (stage entered, seconds since the first)."""
    Event.delete().where(Event.submission == session_id).execute()
    begin, before = database.now() - timedelta(hours=1), "queued"
    for number, (stage, seconds) in enumerate(steps):
        Event.insert(
            submission=session_id, at=begin + timedelta(seconds=seconds), from_stage=before, to_stage=stage, claim_no=0,
            reason="" if number else "submitted",
        ).execute()
        before = stage


def test_an_empty_house_has_an_overview(settings: Settings) -> None:
    told = look(settings)
    assert [(state.stage, state.songs) for state in told.stages] == [(stage.value, 0) for stage in Stage]
    assert (told.slots_used, told.slots, told.balance.usable, told.pace.runs_out_at) == (0, 10, None, None)
    assert told.sending_paused is None and told.spending_paused is None and told.not_for_sale is None
    assert told.failures == () and told.pools == () and told.scheduler_seconds is None
    assert told.queue_depths == dict.fromkeys(told.queue_depths, 0) and 0 < (told.disk_percent or 0) <= 100


def test_songs_are_counted_by_stage_with_the_oldest_of_each(settings: Settings) -> None:
    for number, ago in enumerate((10, 500, 90)):
        song(settings, f"waits{number}", "queued", ago=ago)
    song(settings, "done1", "done", ago=700)
    states = {state.stage: state for state in look(settings).stages}
    assert (states["queued"].songs, states["done"].songs, states["rendering"].songs) == (3, 1, 0)
    oldest = states["queued"].oldest_since
    assert oldest is not None and 499 < (database.now() - oldest).total_seconds() < 560
    assert states["done"].oldest_since is None and states["rendering"].oldest_since is None


def test_flows_are_counted_over_an_hour_a_day_and_a_week(settings: Settings) -> None:
    for number, ago in enumerate((60, 250, 310, 3500, 7000, 80_000, 90_000, 600_000, 700_000)):
        song(settings, f"song{number}", "done" if number % 2 else "failed", ago=ago)
    hour, day, week = look(settings).periods
    assert [(period.name, len(period.arrived)) for period in (hour, day, week)] == [("1 h", 12), ("24 h", 24), ("7 d", 28)]
    assert [sum(period.arrived) for period in (hour, day, week)] == [4, 6, 8]
    assert [sum(period.succeeded) for period in (hour, day, week)] == [2, 3, 4]
    assert [sum(period.failed) for period in (hour, day, week)] == [2, 3, 4]
    assert hour.arrived == (1, *[0] * 9, 1, 2) and day.arrived[-2:] == (1, 4) and week.arrived[-1] == 5


def test_medians_are_of_the_time_between_moves_whatever_happens_within_a_stage(settings: Settings) -> None:
    for number, seconds in enumerate((10, 20, 30)):
        session_id = song(settings, f"song{number}", "done")
        moves(session_id, ("queued", 0), ("sending", 5), ("sending", 7), ("generating", 6 + seconds), ("done", 100))
    states = {state.stage: state for state in look(settings).stages}
    assert states["queued"].median_seconds == 5.0
    assert (states["sending"].median_seconds, states["sending"].p95_seconds) == (21.0, 31.0)
    assert states["done"].median_seconds is None


@pytest.mark.parametrize(("values", "part", "expected"), [
    ([], 50, None), ([3.0], 95, 3.0), ([1.0, 2.0, 3.0, 4.0], 50, 2.0), ([float(n) for n in range(1, 101)], 95, 95.0),
])
def test_a_percentile_is_one_of_the_values(values: list[float], part: int, expected: float | None) -> None:
    assert percentile(values, part) == expected


def test_failures_are_grouped_by_reason_with_the_last_of_each(settings: Settings) -> None:
    for number, (reason, ago) in enumerate([("timeout", 50), ("timeout", 5), ("order_refused", 9), ("timeout", 8 * 86_400)]):
        song(settings, f"song{number}", "failed", ago=ago, fail_reason=reason)
    found = look(settings).failures
    assert [(group.reason, group.songs, group.session_id) for group in found] == [
        ("timeout", 2, "song1"), ("order_refused", 1, "song2"),
    ]


def test_slots_and_the_sending_breaker_are_told(settings: Settings) -> None:
    submit(settings, "song1")
    submit(settings, "song2")
    assert claim_rows(settings) == ["song1", "song2"]
    assert look(settings).slots_used == 2
    claim = take("song1", Stage.SENDING, 60)
    assert claim is not None
    record_answer(settings, claim, begin_call(claim), answer(Meaning.FREE_EVERYONE, "no such key"))
    told = look(settings)
    assert told.slots_used == 1
    assert told.sending_paused is not None and told.sending_paused.reason == "no such key"


def test_a_reached_spending_limit_is_told_before_any_dispatch_noticed(settings: Settings) -> None:
    submit(settings, "song1")
    claim_rows(settings)
    Attempt.update(call_started_at=database.now() - timedelta(minutes=50)).execute()
    told = look(settings.model_copy(update={"spend_limit_per_hour": 100}))
    assert told.spending_paused is not None and told.not_for_sale is not None
    assert told.spending_paused.reason == "100 of 100 credits were spent within the last hour"
    assert 500 < (told.spending_paused.until - database.now()).total_seconds() <= 600
    spending.lift(database.now() + timedelta(hours=1), who="Kim")
    told = look(settings.model_copy(update={"spend_limit_per_hour": 100}))
    assert told.spending_paused is None and told.not_for_sale is None


def test_credits_run_out_at_the_present_pace(settings: Settings) -> None:
    CreditReading.insert(at=database.now(), usable=1000).execute()
    song(settings, "song1", "done")
    moment = database.now()
    Attempt.insert(
        submission="song1", number=1, token="t", claimed_at=moment, call_started_at=moment, outcome="accepted",
        ended_at=moment, ended_as="success", credits=200,
    ).execute()
    told = look(settings)
    assert (told.balance.usable, told.pace.last_hour, told.pace.per_hour) == (1000, 200, 200.0)
    assert told.pace.runs_out_at is not None
    assert abs((told.pace.runs_out_at - told.taken_at).total_seconds() - 5 * 3600) < 1


def test_processes_and_their_last_signs_are_told(settings: Settings) -> None:
    moment = database.now()
    for name, ago in (("alive", 3), ("lost", 100)):
        Heartbeat.insert(
            name=name, at=moment - timedelta(seconds=ago), started_at=moment, queues={"renders": 2}
        ).execute()
    Tick.insert(name="scheduler", last_at=moment - timedelta(seconds=7)).execute()
    told = look(settings)
    assert [(pool.name, pool.alive, pool.queues) for pool in told.pools] == [
        ("alive", True, {"renders": 2}), ("lost", False, {"renders": 2}),
    ]
    assert 7 <= (told.scheduler_seconds or 0) < 30


def test_queue_depths_are_told_and_unknown_without_redis(settings: Settings) -> None:
    queues = Queues(impatient_client(settings.redis_url))
    queues.enqueue("create_video", "song1")
    queues.client.close()
    assert look(settings).queue_depths == {"dispatch": 0, "sonauto": 0, "downloads": 0, "renders": 1, "periodic": 0}
    away = settings.model_copy(update={"redis_url": "redis://127.0.0.1:9/0"})
    assert set(look(away).queue_depths.values()) == {None}


def test_the_campaigns_state_is_told(settings: Settings) -> None:
    switch.close(load_campaign("valentines"), "Back at noon.", who="Kim")
    told = look(settings)
    assert told.campaign.words == "Closed." and told.not_for_sale == ("sold_out", "Back at noon.")
