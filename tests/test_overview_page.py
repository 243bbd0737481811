"""The overview as a page, as JSON and as a command: what it says, how old it is, that it asks the database rarely."""
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import patch
from xml.etree import ElementTree

import pytest

from api_kit import Api, on_sqlite
from petsong import database, overview
from petsong.models import Submission, Tick
from petsong.overview import Period
from petsong.web.desk import overview as page
from petsong.web.desk.charts import balance_chart, flow_chart
from petsong.web.desk.words import ago, signed, span

pytest_plugins = "api_fixtures"

LOGIN = ("admin", "for the tests")
NOW = datetime.now(UTC)


@pytest.fixture
def api(make_api: Callable[..., Api]) -> Api:
    return make_api(admin_password=LOGIN[1])


def get(api: Api, path: str, **headers: str) -> Any:
    return api.client.get(path, auth=LOGIN, headers=headers)


def failed(api: Api, session_id: str, reason: str) -> None:
    api.song(session_id, stage="failed", entry_status="fail", fail_reason=reason)


def test_the_overview_needs_the_login(api: Api, make_api: Callable[..., Api]) -> None:
    for path in ("/admin", "/api/admin/overview"):
        assert api.client.get(path).status_code == 401
        assert make_api().client.get(path).status_code == 404


def test_the_page_says_how_things_stand_and_how_old_that_is(api: Api) -> None:
    failed(api, "song1", "service_failed")
    api.song("song2", stage="queued", entry_status="pending")
    api.credits(4200)
    answer = get(api, "/admin")
    assert answer.status_code == 200, answer.text
    words = " ".join(re.sub(r"<[^>]+>", " ", answer.text).split())
    for part in (
        "old when shown", "4,200", "service_failed", "0 of 10 in use", "takes orders", "No worker for: dispatch",
        "The scheduler gives no sign of life.", "Open.", "of the last 0 finished songs",
    ):
        assert part in words, part
    assert 'href="/admin/submissions/song1"' in answer.text
    assert answer.headers["Cache-Control"] == "no-store"


def test_names_never_reach_the_overview(api: Api) -> None:
    api.song("song1", stage="failed", entry_status="fail", fail_reason="timeout", owner_name="Xenia", pet_name="Quux")
    for path in ("/admin", "/api/admin/overview"):
        assert "Xenia" not in get(api, path).text and "Quux" not in get(api, path).text


def test_all_is_well_when_nothing_wants_attention(api: Api) -> None:
    api.workers()
    api.credits(4200)
    with database.connection():
        Tick.insert(name="scheduler", last_at=database.now()).execute()
    with patch.object(overview, "used_percent", lambda _: 50.0):
        assert "All is well." in get(api, "/admin").text


def test_a_full_disk_and_old_signs_want_attention(api: Api) -> None:
    with database.connection():
        Tick.insert(name="scheduler", last_at=database.now() - timedelta(minutes=2)).execute()
    with patch.object(overview, "used_percent", lambda _: 91.0):
        text = get(api, "/admin").text
    assert "The disk is 91 % full." in text and "The scheduler gives no sign of life." in text


def test_the_charts_are_svg_with_words_and_a_table(api: Api) -> None:
    for number in range(3):
        api.song(f"song{number}")
    text = get(api, "/admin").text
    drawings = [ElementTree.fromstring(svg) for svg in re.findall(r"<svg viewBox.*?</svg>", text, re.S)]  # noqa: S314 - ours
    assert len(drawings) == 3
    for drawing in drawings:
        ids = drawing.attrib["aria-labelledby"].split()
        named = {element.attrib["id"]: element.text for element in drawing.iter() if "id" in element.attrib}
        assert [bool(named[name]) for name in ids] == [True, True] and drawing.attrib["role"] == "img"
    assert "3 came, 3 succeeded, 0 failed" in text
    assert text.count("As a table") == 3 and "style=" not in text and "<script>" not in text


def test_a_chart_stacks_failures_on_successes_and_steps_along_arrivals() -> None:
    period = Period("1 h", NOW, 300, (0, 4), (1, 2), (0, 2))
    chart = flow_chart(period)
    assert [(bar.kind, bar.y, bar.height) for bar in chart.bars] == [
        ("succeeded", 61.5, 18.5), ("succeeded", 43.0, 37.0), ("failed", 6.0, 37.0),
    ]
    assert chart.line == "0.0,80.0 160.0,80.0 160.0,6.0 320.0,6.0"
    assert chart.description.startswith("4 came, 3 succeeded, 2 failed.")
    assert [row[1:] for row in chart.rows] == [(4, 2, 2), (0, 1, 0)]


def test_a_quiet_chart_is_an_empty_line() -> None:
    chart = flow_chart(Period("1 h", NOW, 300, (0,), (0,), (0,)))
    assert chart.bars == () and chart.line == "0.0,80.0 320.0,80.0"


def test_a_balance_is_drawn_from_two_readings_on() -> None:
    moment = NOW
    begins = moment - timedelta(days=7)
    assert balance_chart([(moment, 5)], begins, moment) is None
    chart = balance_chart([(begins, 1000), (moment, 400)], begins, moment)
    assert chart is not None and chart.line == "0.0,6.0 320.0,80.0"
    assert balance_chart([(begins, 7), (moment, 7)], begins, moment) is not None


def test_the_same_figures_come_as_json(api: Api) -> None:
    failed(api, "song1", "timeout")
    body = get(api, "/api/admin/overview").get_json()
    assert body["stages"][0].keys() == {"stage", "songs", "oldest_since", "median_seconds", "p95_seconds"}
    assert {state["stage"]: state["songs"] for state in body["stages"]}["failed"] == 1
    assert body["failures"][0]["reason"] == "timeout" and body["slots"] == 10
    assert [len(period["arrived"]) for period in body["periods"]] == [12, 24, 28]
    assert body["campaign"]["open"] is True and body["age_seconds"] < 5


@on_sqlite
def test_the_overview_is_kept_for_seconds_and_tells_its_age(api: Api) -> None:
    api.song("song1", stage="queued", entry_status="pending")
    first = get(api, "/api/admin/overview").get_json()
    with database.connection():
        Submission.delete().execute()
    again = get(api, "/api/admin/overview").get_json()
    assert again["taken_at"] == first["taken_at"] and again["stages"] == first["stages"]
    with patch.object(page, "KEPT_SECONDS", 0.0):
        fresh = get(api, "/api/admin/overview").get_json()
        assert fresh["stages"][0]["songs"] == 0 and fresh["periods"][0]["arrived"][-1] == 0
        assert fresh["periods"][1]["arrived"][-1] == 1, "hours are counted once a minute"
        with patch.object(page, "HISTORY_SECONDS", 0.0):
            assert get(api, "/api/admin/overview").get_json()["periods"][1]["arrived"][-1] == 0


@on_sqlite
def test_whoever_comes_while_it_is_made_gets_the_last_one(api: Api) -> None:
    get(api, "/admin")
    kept = api.app.extensions[page.EXTENSION]
    with patch.object(page, "KEPT_SECONDS", 0.0), kept._lock:
        assert get(api, "/api/admin/overview").status_code == 200


def test_without_redis_it_says_so(make_api: Callable[..., Api]) -> None:
    api = make_api(admin_password=LOGIN[1], redis_url="redis://127.0.0.1:9/0")
    answer = get(api, "/admin")
    assert answer.status_code == 200 and "Redis does not answer." in answer.text


def test_the_command_tells_the_same(api: Api) -> None:
    failed(api, "song1", "timeout")
    result = api.app.test_cli_runner().invoke(args=["overview"])
    assert result.exit_code == 0, result.output
    assert "failed       1 timeout, last song1" in result.output and "! No worker for: dispatch" in result.output
    told = json.loads(api.app.test_cli_runner().invoke(args=["overview", "--json"]).stdout)
    assert told["failures"][0]["session_id"] == "song1" and told["balance"]["usable"] is None


@pytest.mark.parametrize(("seconds", "words"), [
    (None, "–"), (0.25, "0.2 s"), (59, "59 s"), (60, "1 min"), (125, "2 min 5 s"), (7200, "2 h"), (90_061, "1 d 1 h"),
])
def test_spans_are_told_in_two_units_at_most(seconds: float | None, words: str) -> None:
    assert span(seconds) == words


def test_times_ago_and_signs() -> None:
    moment = NOW
    assert ago(None, moment) == "never" and ago(moment - timedelta(minutes=3), moment) == "3 min ago"
    assert [signed(number) for number in (None, 0, 5, -1200)] == ["–", "0", "+5", "−1,200"]
