"""The spending limits: no order goes out beyond them, visitors are told, time or an operator opens again."""
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from kit import accepted, age, answer, attempts, submit
from petsong import audit, database, limits, spending
from petsong.campaigns.loader import load_campaign
from petsong.lifecycle import breaker
from petsong.lifecycle.answers import record_answer
from petsong.lifecycle.claims import take
from petsong.lifecycle.sending import begin_call, claim_rows
from petsong.lifecycle.stages import Stage
from petsong.models import Alert, Attempt, Submission
from petsong.moments import MomentError
from petsong.settings import Settings, SettingsError, load_settings
from petsong.sonauto import Meaning

pytest_plugins = "desk_fixtures"

HOURLY = {"spend_limit_per_hour": 300}


@pytest.fixture
def settings(desk_settings: Settings) -> Settings:
    return desk_settings.model_copy(update=HOURLY)


def submit_many(settings: Settings, number: int, begin: int = 1) -> None:
    for one in range(begin, begin + number):
        submit(settings, f"song{one}", cookie_id=f"cookie_{one}")


def call(settings: Settings, session_id: str, meaning: Any) -> None:
    """The claimed row's order goes out and is answered so."""
    claim = take(session_id, Stage.SENDING, 60)
    assert claim is not None
    record_answer(settings, claim, begin_call(claim), meaning)


def end(session_id: str, ended_as: str, credits: int = 0) -> None:
    Attempt.update(ended_at=database.now(), ended_as=ended_as, credits=credits).where(
        Attempt.submission == session_id
    ).execute()


def now(settings: Settings) -> spending.Spending:
    return spending.spending(settings, database.now())


def test_no_more_orders_go_out_than_the_hour_allows(settings: Settings) -> None:
    submit_many(settings, 5)
    assert claim_rows(settings) == ["song1", "song2", "song3"]
    assert claim_rows(settings) == []
    assert now(settings).stopped and breaker.spending_stopped() is not None


def test_orders_count_from_their_claim_on_whatever_becomes_of_them(settings: Settings) -> None:
    submit_many(settings, 5)
    claim_rows(settings)
    call(settings, "song1", accepted("task-1"))
    call(settings, "song2", answer(Meaning.UNKNOWN))
    end("song1", "success", credits=100)
    assert now(settings).windows[0].spent == 300
    assert claim_rows(settings) == []


@pytest.mark.parametrize("free", ["failure", "refused", "refused_5xx", "permanent", "void"])
def test_orders_that_cost_nothing_make_room(settings: Settings, free: str) -> None:
    submit_many(settings, 4)
    claim_rows(settings)
    call(settings, "song1", accepted("task-1"))
    end("song1", free)
    assert now(settings).windows[0].spent == 200
    assert claim_rows(settings) == ["song4"]


def test_an_order_that_timed_out_may_have_been_paid(settings: Settings) -> None:
    submit_many(settings, 4)
    claim_rows(settings)
    call(settings, "song1", accepted("task-1"))
    end("song1", "timeout")
    assert claim_rows(settings) == []


def test_it_opens_by_itself_when_the_window_has_moved_on(settings: Settings) -> None:
    submit_many(settings, 5)
    claim_rows(settings)
    for number in (1, 2, 3):
        call(settings, f"song{number}", accepted(f"task-{number}"))
        end(f"song{number}", "success", credits=100)
    reopens = now(settings).reopens_at
    first = attempts("song1")[0].call_started_at
    assert reopens == first + timedelta(hours=1)
    age(3590)
    assert claim_rows(settings) == []
    age(20)
    assert claim_rows(settings) == ["song4", "song5"]
    assert breaker.spending_stopped() is None


def test_the_day_has_its_own_limit(settings: Settings) -> None:
    daily = settings.model_copy(update={"spend_limit_per_hour": 0, "spend_limit_per_day": 200})
    submit_many(settings, 4)
    assert claim_rows(daily) == ["song1", "song2"]
    for number in (1, 2):
        call(daily, f"song{number}", accepted(f"task-{number}"))
        end(f"song{number}", "success", credits=100)
    age(2 * 3600)
    assert claim_rows(daily) == [] and now(daily).reason == "200 of 200 credits were spent within the last day"
    age(22.1 * 3600)
    assert claim_rows(daily) == ["song3", "song4"]


def test_the_narrower_limit_counts(settings: Settings) -> None:
    both = settings.model_copy(update={"spend_limit_per_day": 100})
    submit_many(settings, 3)
    assert claim_rows(both) == ["song1"]
    assert [window.songs_left for window in now(both).windows] == [2, 0]


def test_without_limits_nothing_is_counted_or_stopped(settings: Settings) -> None:
    free = settings.model_copy(update={"spend_limit_per_hour": 0})
    submit_many(settings, 4)
    assert len(claim_rows(free)) == 4 and spending.songs_left(free, database.now()) is None
    assert [window.songs_left for window in now(free).windows] == [None, None]
    assert not now(free).stopped


def test_the_second_order_of_a_row_needs_room_too(settings: Settings) -> None:
    submit_many(settings, 3)
    claim_rows(settings)
    call(settings, "song1", answer(Meaning.UNKNOWN))
    breaker.reset()
    age(11 * 60)
    Submission.update(next_check_at=database.now()).where(Submission.session_id == "song1").execute()
    assert claim_rows(settings) == []
    spending.lift(database.now() + timedelta(hours=1), who="Kim")
    assert claim_rows(settings) == ["song1"]


def test_visitors_read_sold_out_and_queued_songs_count(settings: Settings) -> None:
    campaign = load_campaign("valentines")
    submit_many(settings, 2)
    assert limits.closing_reason(settings, campaign) is None
    submit_many(settings, 1, begin=3)
    assert limits.closing_reason(settings, campaign) == ("sold_out", "Sorry, we're all sold out!")
    spending.lift(database.now() + timedelta(hours=1), who="Kim")
    assert limits.closing_reason(settings, campaign) is None


def test_the_operator_is_told_once_and_when_it_is_over(settings: Settings) -> None:
    submit_many(settings, 5)
    claim_rows(settings)
    for _ in range(3):
        claim_rows(settings)
    alert = Alert.get_by_id("spend_breaker")
    assert "300 of 300 credits were spent within the last hour" in alert.text
    assert alert.severity == "critical" and alert.resolved_at is None
    since = breaker.spending_stopped().since
    claim_rows(settings)
    assert breaker.spending_stopped().since == since
    spending.lift(database.now() + timedelta(hours=1), who="Kim")
    claim_rows(settings)
    assert Alert.get_by_id("spend_breaker").resolved_at is not None


def test_a_lift_is_audited_once_and_ends_by_itself(settings: Settings) -> None:
    submit_many(settings, 4)
    claim_rows(settings)
    until = database.now() + timedelta(minutes=30)
    assert spending.lift(until, who="Kim Operator") and not spending.lift(until, who="Kim Operator")
    assert [(done.who, done.action) for done in audit.latest()] == [("Kim Operator", "spending_lifted")]
    assert claim_rows(settings) == ["song4"]
    assert spending.lifted_until(database.now() + timedelta(minutes=31)) is None
    assert spending.spending(settings, database.now() + timedelta(minutes=31)).stopped


def test_the_limits_can_be_restored_early(settings: Settings) -> None:
    spending.lift(database.now() + timedelta(minutes=30), who="Kim")
    assert spending.restore(who="Lee") and not spending.restore(who="Lee")
    assert spending.lifted_until(database.now()) is None
    assert [done.action for done in audit.latest()] == ["spending_restored", "spending_lifted"]


@pytest.mark.parametrize("minutes", [-1, 0, 7 * 24 * 60 + 1])
def test_a_lift_ends_within_a_week(settings: Settings, minutes: float) -> None:
    with pytest.raises(MomentError, match="within the next seven days"):
        spending.lift(database.now() + timedelta(minutes=minutes), who="Kim")
    assert audit.latest() == []


@pytest.mark.parametrize(("name", "value"), [("SPEND_LIMIT_PER_HOUR", "99"), ("SPEND_LIMIT_PER_DAY", "1")])
def test_a_limit_below_one_song_is_refused_at_the_start(name: str, value: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=f"{name}: is less than the 100 credits of one song"):
        load_settings({"SECRET_KEY": "x" * 16, name: value})
