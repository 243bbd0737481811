"""The ledger: which drops of the balance our orders explain, what the desk tells of it."""
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit import submit
from petsong import credits, database
from petsong.credits import Charge, unexplained
from petsong.models import Alert, Attempt, CreditReading
from petsong.settings import Settings

pytest_plugins = "desk_fixtures"

BEGIN = datetime(2027, 2, 1, tzinfo=UTC)


def at(minutes: float) -> datetime:
    return BEGIN + timedelta(minutes=minutes)


def charge(begins: float, ends: float, price: int = 100) -> Charge:
    return Charge(at(begins), at(ends), price)


def readings(*balances: int) -> list[tuple[datetime, int]]:
    """One every ten minutes."""
    return [(at(10 * number), balance) for number, balance in enumerate(balances)]


# ---- which drops are explained

@pytest.mark.parametrize(("balances", "charges", "expected"), [
    ((1000, 1000), [], [0]),
    ((1000, 900), [(2, 4)], [0]),
    ((1000, 900), [], [100]),
    ((1000, 700), [(2, 4), (3, 5)], [100]),
    ((1000, 880), [(2, 4)], [20]),  # the price went up
    ((1000, 1500), [], [0]),  # a top-up
    ((1000, 1000, 900), [(5, 15)], [0, 0]),  # charged at the end
    ((1000, 900, 900), [(5, 15)], [0, 0]),  # charged at the order
    ((1000, 900, 800), [(5, 15)], [0, 100]),  # each order explains its credits once
    ((1000, 900), [(12, 15)], [100]),  # ordered after the reading
    ((1000, 1000, 900), [(1, 9)], [0, 100]),  # over before the first of the two
    ((1000, 800, 700), [(5, 9), (5, 15), (12, 19)], [0, 0]),
])
def test_drops_are_explained_by_orders(
    balances: tuple[int, ...], charges: list[tuple[float, float]], expected: list[int]
) -> None:
    assert unexplained(readings(*balances), [charge(*times) for times in charges]) == expected


ORDERS = st.lists(st.tuples(st.floats(0, 55), st.floats(0.1, 20), st.floats(0, 1)), max_size=25)


@given(ORDERS, st.integers(0, 3))
def test_what_orders_cost_is_explained_whenever_the_service_charges_it(
    orders: list[tuple[float, float, float]], foreign: int
) -> None:
    """Each is charged at some moment between its order and its end; what somebody else spends is never less than told."""
    moments = [begin + share * length for begin, length, share in orders]
    balances = [100_000 - 100 * sum(moment < 10 * number for moment in moments) for number in range(9)]
    charges = [charge(begin - 0.01, begin + length + 0.01) for begin, length, _ in orders]
    assert sum(unexplained(readings(*balances), charges)) == 0
    robbed = [balance - (70 * foreign if number >= 8 else 0) for number, balance in enumerate(balances)]
    assert unexplained(readings(*robbed), charges)[-1] == 70 * foreign


# ---- readings

@pytest.fixture
def settings(desk_settings: Settings) -> Settings:
    return desk_settings


def order(settings: Settings, session_id: str, *, ago: float, took: float = 60, ended_as: str | None = "success") -> None:
    submit(settings, session_id, cookie_id=f"cookie_{session_id}")
    begin = database.now() - timedelta(seconds=ago)
    ended = None if ended_as is None else begin + timedelta(seconds=took)
    Attempt.insert(
        submission=session_id, number=1, token=session_id, claimed_at=begin, call_started_at=begin, outcome="accepted",
        ended_at=ended, ended_as=ended_as, credits=100 if ended_as == "success" else 0,
    ).execute()


def reading(usable: int | None, *, ago: float) -> None:
    CreditReading.insert(at=database.now() - timedelta(seconds=ago), usable=usable).execute()


def test_the_first_reading_says_nothing_of_drops(settings: Settings) -> None:
    assert credits.record_reading(settings, 500).unexplained is None
    assert credits.record_reading(settings, None).unexplained is None
    assert credits.record_reading(settings, 500).unexplained == 0
    assert Alert.select().count() == 0


@pytest.mark.parametrize("ended_as", ["success", "failure", "timeout", None])
def test_a_drop_that_an_order_may_have_cost_is_no_alert(settings: Settings, ended_as: str | None) -> None:
    reading(1000, ago=600)
    order(settings, "song1", ago=300, ended_as=ended_as)
    assert credits.record_reading(settings, 900).unexplained == 0
    assert Alert.select().count() == 0


@pytest.mark.parametrize("ended_as", ["refused", "refused_5xx", "permanent", "void"])
def test_a_refused_order_explains_nothing(settings: Settings, ended_as: str) -> None:
    reading(1000, ago=600)
    order(settings, "song1", ago=300, ended_as=ended_as)
    assert credits.record_reading(settings, 900).unexplained == 100


def test_an_order_that_nobody_heard_of_again_explains_nothing_for_ever(settings: Settings) -> None:
    order(settings, "song1", ago=settings.song_max_minutes * 60 + credits.SETTLE_SECONDS + 60, ended_as=None)
    reading(1000, ago=30)
    assert credits.record_reading(settings, 900).unexplained == 100


def test_a_reading_and_its_alert_are_one(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def dies(*_: object, **__: object) -> None:
        raise SystemExit("killed")

    reading(1000, ago=600)
    with monkeypatch.context() as killed, pytest.raises(SystemExit):
        killed.setattr(credits.outbox, "alert", dies)
        credits.record_reading(settings, 900)
    assert credits.record_reading(settings, 900).unexplained == 100
    assert Alert.select().count() == 1


def test_answers_that_overtake_each_other_are_no_drop(settings: Settings) -> None:
    reading(1000, ago=600)
    order(settings, "song1", ago=300)
    slow = database.now()
    assert credits.record_reading(settings, 900, database.now()).unexplained == 0
    assert credits.record_reading(settings, 1000, slow).unexplained == 0
    assert credits.record_reading(settings, 900).unexplained == 0


def test_a_drop_that_no_order_explains_is_told_with_its_size(settings: Settings) -> None:
    reading(1000, ago=600)
    order(settings, "song1", ago=300)
    made = credits.record_reading(settings, 650)
    assert made.unexplained == 250
    alert = Alert.get_by_id(f"credits_unexplained:{made.id}")
    assert alert.kind == "credits_unexplained" and alert.text.startswith("250 credits are gone for which there is no order")


def test_a_gap_in_the_readings_is_bridged(settings: Settings) -> None:
    reading(1000, ago=30_000)
    reading(None, ago=600)
    order(settings, "song1", ago=20_000)
    assert credits.record_reading(settings, 800).unexplained == 100


def test_an_order_explains_only_one_of_two_drops(settings: Settings) -> None:
    reading(1000, ago=400)
    order(settings, "song1", ago=300)
    assert credits.record_reading(settings, 900).unexplained == 0
    assert credits.record_reading(settings, 800).unexplained == 100


def test_without_a_price_nothing_is_judged(settings: Settings) -> None:
    free = settings.model_copy(update={"song_price_credits": 0})
    reading(1000, ago=400)
    assert credits.record_reading(free, 0).unexplained is None


# ---- the ledger

def test_the_ledger_tells_what_happened_between_readings(settings: Settings) -> None:
    reading(1000, ago=1200)
    order(settings, "song1", ago=1100)
    order(settings, "song2", ago=1000)
    order(settings, "song3", ago=900, ended_as="refused")
    reading(800, ago=600)
    reading(None, ago=300)
    order(settings, "song4", ago=200)
    reading(2700, ago=0)
    entries, total = credits.ledger(1, 50)
    assert total == 4
    assert [(entry.usable, entry.change, entry.songs, entry.paid, entry.others) for entry in entries] == [
        (2700, 1900, 1, 100, 0), (None, None, 0, 0, 0), (800, -200, 2, 200, 1), (1000, None, 0, 0, 0),
    ]


def test_pages_of_the_ledger_fit_together(settings: Settings) -> None:
    for number in range(5):
        reading(1000 - 100 * number, ago=600 - 100 * number)
        order(settings, f"song{number}", ago=595 - 100 * number, took=10)
    together = credits.ledger(1, 5)[0]
    apart = [entry for page in (1, 2, 3) for entry in credits.ledger(page, 2)[0]]
    assert apart == together and [entry.change for entry in together] == [-100, -100, -100, -100, None]
    assert credits.ledger(9, 5) == ([], 5)


def test_the_orders_behind_an_entry_are_told(settings: Settings) -> None:
    order(settings, "song1", ago=500)
    order(settings, "song2", ago=100)
    moment = database.now()
    found = credits.orders_between(moment - timedelta(seconds=300), moment)
    assert [one.session_id for one in found] == ["song2"]


def test_the_balance_over_time_has_few_points(settings: Settings) -> None:
    for number in range(40):
        reading(5000 - number, ago=40 - number)
    reading(None, ago=0)
    assert len(credits.balances(database.now())) <= 2
    assert credits.balances(database.now())[-1][1] == 4961
