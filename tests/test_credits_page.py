"""The ledger and the spending limits on the desk: page, API and commands."""
import json
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from api_kit import Api, check_error, on_sqlite
from desk_kit import SETTINGS, Desk
from petsong import audit, database
from petsong.models import CreditReading

pytest_plugins = "api_fixtures"

PAGE = "/admin/credits"
LIMIT = {"spend_limit_per_hour": 100}


@pytest.fixture
def desk(make_api: Callable[..., Api]) -> Desk:
    return Desk(make_api(**SETTINGS, **LIMIT))


def paid(desk: Desk, session_id: str = "song1") -> None:
    with database.connection():
        moment = database.now()
    desk.row(session_id)
    desk.api.attempt(session_id, ended_at=moment, ended_as="success", credits=100)


def reading(desk: Desk, usable: int | None, ago: float, unexplained: int | None = 0) -> None:
    with database.connection():
        CreditReading.insert(
            at=database.now() - timedelta(seconds=ago), usable=usable, unexplained=unexplained
        ).execute()


def availability(desk: Desk) -> Any:
    return desk.api.get("/api/availability").get_json()


def log() -> list[tuple[str, str]]:
    with database.connection():
        return [(done.who, done.action) for done in audit.latest()]


def test_the_page_is_a_ledger(desk: Desk) -> None:
    reading(desk, 4500, 9000, unexplained=None)
    reading(desk, 3900, 300, unexplained=600)
    paid(desk)
    reading(desk, 3800, 0)
    reading(desk, None, 0, unexplained=None)
    text = desk.get(PAGE).text
    for part in ("3,800", "−600", "−100", "not to be had", 'badge-bad">600<', "Balance over 7 d", "page 1 of 1"):
        assert part in text, part
    link = re.search(r'href="(/admin/credits/orders[^"]+)"', text)
    assert link is not None
    found = desk.get(link[1].replace("&amp;", "&"))
    assert found.status_code == 200 and "/admin/submissions/song1" in found.text and "success" in found.text


def test_the_ledger_has_pages(desk: Desk) -> None:
    for number in range(53):
        reading(desk, 9000 - number, 600 - number)
    assert 'href="/admin/credits?page=2"' in desk.get(PAGE).text
    second = desk.get(f"{PAGE}?page=2").text
    assert "page 2 of 2" in second and second.count('data-label="read"') == 23
    body = desk.get("/api/admin/credits?page=6&page_size=10").get_json()
    assert (body["total"], body["total_pages"], len(body["readings"])) == (53, 6, 3)
    assert body["readings"][-1]["usable"] == 9000


@on_sqlite
@pytest.mark.parametrize("query", ["page=0", "page=x", "page_size=501", "page=99999999999999999999"])
def test_odd_pages_are_refused(desk: Desk, query: str) -> None:
    check_error(desk.get(f"/api/admin/credits?{query}"), 400, "validation_failed")
    assert desk.get(f"{PAGE}?{query}").status_code == 200


@on_sqlite
@pytest.mark.parametrize("query", ["", "since=x&until=y", "since=2027-01-01T00:00&until=\x00"])
def test_orders_of_no_time_are_refused(desk: Desk, query: str) -> None:
    assert desk.get(f"{PAGE}/orders?{query}").status_code == 400


@pytest.mark.parametrize("how", ["page", "api", "command"])
def test_a_reached_limit_is_sold_out_until_it_is_lifted_and_again_when_restored(desk: Desk, how: str) -> None:
    paid(desk)
    assert (availability(desk)["open"], availability(desk)["reason"]) == (False, "sold_out")
    check_error(desk.api.post(), 503, "sold_out", "Sorry, we're all sold out!")
    change(desk, how, "lift", minutes=60)
    assert availability(desk)["open"] is True and desk.api.post().status_code == 200
    change(desk, how, "restore")
    assert availability(desk)["open"] is False
    assert log() == [("boss", "spending_restored"), ("boss", "spending_lifted")]


def change(desk: Desk, how: str, action: str, **fields: Any) -> None:
    if how == "page":
        texts = {name: str(value) for name, value in fields.items()}
        assert desk.submit(f"{PAGE}/{action}", PAGE, **texts).status_code == 303
    elif how == "api":
        body = desk.post(f"/api/admin/credits/{action}", fields).get_json()
        assert body["changed"] is True and (body["spending"]["lifted_until"] is None) is (action == "restore")
    else:
        words = [word for name, value in fields.items() for word in (f"--{name}", str(value))]
        result = desk.api.app.test_cli_runner().invoke(args=["spending", action, *words, "--who", "boss", "--json"])
        assert result.exit_code == 0 and json.loads(result.stdout)["changed"] is True, result.output


def test_the_page_says_that_sending_is_stopped(desk: Desk) -> None:
    paid(desk)
    text = desk.get(PAGE).text
    assert "100 credits of 100" in text and "reached" in text and "stopped" in text
    assert "Sending stops: 100 of 100 credits were spent within the last hour." in desk.get("/admin").text


def test_a_lift_wakes_what_waits(desk: Desk) -> None:
    paid(desk)
    desk.post("/api/admin/credits/lift", {"minutes": 5})
    assert desk.api.parts.queues.queue("dispatch").count == 1


@on_sqlite
@pytest.mark.parametrize("body", [
    {}, {"minutes": 0}, {"minutes": -5}, {"minutes": 10_081}, {"minutes": "60"}, {"minutes": None}, [],
])
def test_odd_lifts_are_refused(desk: Desk, body: Any) -> None:
    check_error(desk.post("/api/admin/credits/lift", body), 400, "validation_failed")
    assert log() == []


@on_sqlite
@pytest.mark.parametrize("minutes", ["", "0", "nan", "inf", "-1", "99999999", "soon"])
def test_odd_lifts_by_the_page_are_refused(desk: Desk, minutes: str) -> None:
    assert desk.submit(f"{PAGE}/lift", PAGE, minutes=minutes).status_code == 400
    assert log() == []


def test_the_command_prints_the_ledger(desk: Desk) -> None:
    reading(desk, 4500, 900, unexplained=None)
    reading(desk, 3900, 300, unexplained=600)
    result = desk.api.app.test_cli_runner().invoke(args=["credits"])
    assert result.exit_code == 0, result.output
    assert "3,900" in result.output and "UNEXPLAINED 600" in result.output and "last hour: 0 credits of 100" in result.output
    told = json.loads(desk.api.app.test_cli_runner().invoke(args=["credits", "--json"]).stdout)
    assert [entry["change"] for entry in told["readings"]] == [-600, None]
