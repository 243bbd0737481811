"""The campaign's switch: what an operator says over the campaign's file, by page, API and command; visitors follow at once."""
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from api_kit import Api, check_error, on_sqlite
from desk_kit import SETTINGS, Desk
from petsong import audit, database, switch
from petsong.campaigns.loader import load_campaign
from petsong.moments import MomentError, local_text, parse_moment, spoken
from petsong.schemas import iso

pytest_plugins = "api_fixtures"

PAGE = "/admin/campaign"
VALENTINES = load_campaign("valentines")


@pytest.fixture
def desk(make_api: Callable[..., Api]) -> Desk:
    return Desk(make_api(**SETTINGS))


def availability(desk: Desk) -> Any:
    return desk.api.get("/api/availability").get_json()


def log(number: int = 20) -> list[tuple[str, str, str]]:
    with database.connection():
        return [(done.who, done.action, done.detail) for done in audit.latest(number)]


def set_by(desk: Desk, how: str, action: str, **fields: str) -> None:
    """The same by page, API or command."""
    if how == "page":
        assert desk.submit(f"{PAGE}/{action}", PAGE, **fields).status_code == 303
    elif how == "api":
        values: dict[str, Any] = {"songs": int(fields["cap"])} if action == "cap" else fields
        assert desk.post(f"/api/admin/campaign/{action}", values).get_json()["changed"] is True
    else:
        names = {"opens_at": "--opens", "closes_at": "--closes", "message": "--message", "zone": "--zone"}
        words = [word for name, value in fields.items() for word in ([value] if name == "cap" else [names[name], value])]
        result = desk.api.app.test_cli_runner().invoke(args=["campaign", action, *words, "--who", "boss"])
        assert result.exit_code == 0, result.output


# ---- visitors follow

@pytest.mark.parametrize("how", ["page", "api", "command"])
def test_closing_tells_visitors_and_opening_lets_them_in_again(desk: Desk, how: str) -> None:
    assert availability(desk)["open"] is True
    set_by(desk, how, "close", message="Back at noon.")
    assert availability(desk) == {
        "open": False, "reason": "sold_out", "message": "Back at noon.", "opens_at": None, "estimated_seconds": None,
    }
    check_error(desk.api.post(), 503, "sold_out", "Back at noon.")
    set_by(desk, how, "open")
    assert availability(desk)["open"] is True and desk.api.post().status_code == 200
    assert log() == [("boss", "campaign_opened", ""), ("boss", "campaign_closed", "“Back at noon.”")]


@pytest.mark.parametrize("how", ["page", "api", "command"])
def test_a_cap_counts_the_songs_of_the_campaign(desk: Desk, how: str) -> None:
    set_by(desk, how, "cap", cap="1")
    assert desk.api.post().status_code == 200
    check_error(desk.api.post(), 503, "sold_out")
    assert desk.get("/api/admin/campaign").get_json()["songs"] == 1
    set_by(desk, how, "file")
    assert desk.api.post().status_code == 200


@pytest.mark.parametrize("how", ["page", "api", "command"])
def test_times_open_and_close_on_the_clocks_of_a_zone(desk: Desk, how: str) -> None:
    with database.connection():
        tomorrow = database.now() + timedelta(days=1)
    begin, end = (local_text(tomorrow + timedelta(days=day), "America/New_York") for day in (0, 1))
    set_by(desk, how, "schedule", opens_at=begin, closes_at=end, zone="America/New_York")
    told = availability(desk)
    assert told["open"] is False
    assert told["message"] == f"Songs can be ordered from {spoken(tomorrow, 'America/New_York')}."
    assert told["opens_at"] == iso(tomorrow.replace(second=0, microsecond=0))
    refused = check_error(desk.api.post(), 503, "sold_out", told["message"])
    assert refused["opens_at"] == told["opens_at"]
    set_by(desk, how, "schedule", opens_at="2001-01-01T00:00", closes_at=end, zone="America/New_York")
    assert availability(desk)["open"] is True
    set_by(desk, how, "schedule", closes_at="2001-01-01T00:00", zone="America/New_York", message="That was it.")
    assert availability(desk)["message"] == "That was it."


@on_sqlite
def test_every_process_follows_at_once(make_api: Callable[..., Api]) -> None:
    one, two = Desk(make_api(**SETTINGS)), Desk(make_api(**SETTINGS))
    assert availability(two)["open"] is True
    set_by(one, "api", "close")
    assert availability(two)["open"] is False


# ---- what may be set, and how

def test_repeating_changes_and_logs_nothing(desk: Desk) -> None:
    for changed in (True, False):
        answer = desk.post("/api/admin/campaign/close", {"message": "Back at noon."})
        assert answer.status_code == 200 and answer.get_json()["changed"] is changed
    assert desk.post("/api/admin/campaign/file").get_json()["changed"] is True
    assert desk.post("/api/admin/campaign/file").get_json()["changed"] is False
    assert len(log()) == 2


@on_sqlite
@pytest.mark.parametrize(("action", "body", "message"), [
    ("schedule", {"zone": "Mars/Base", "opens_at": "2027-02-14T18:00"}, "“Mars/Base” is not a time zone"),
    ("schedule", {"zone": "../../etc/passwd", "opens_at": "2027-02-14T18:00"}, "is not a time zone"),
    ("schedule", {"zone": "UTC", "opens_at": "soon"}, "“soon” is not a time"),
    ("schedule", {"zone": "UTC"}, "Give a time to open, a time to close, or both."),
    ("schedule", {"zone": "UTC", "opens_at": "2027-02-14T18:00", "closes_at": "2027-02-14T18:00"}, "must close later"),
    ("schedule", {"zone": "Europe/Berlin", "opens_at": "2027-03-28T02:30"}, "the clocks skip it"),
    ("schedule", {"zone": "Europe/Berlin", "closes_at": "2027-10-31T02:30"}, "happens twice in Europe/Berlin"),
    ("schedule", {"opens_at": "2027-02-14T18:00"}, "This field is required"),
    ("close", {"message": "x" * 301}, "300"),
    ("close", {"message": 5}, "Must be text"),
    ("cap", {"songs": -1}, "greater"),
    ("cap", {"songs": "7"}, "integer"),
    ("cap", {"songs": True}, "integer"),
    ("cap", {}, "This field is required"),
])
def test_what_cannot_be_set_is_said(desk: Desk, action: str, body: dict[str, Any], message: str) -> None:
    answer = check_error(desk.post(f"/api/admin/campaign/{action}", body), 400, "validation_failed")
    assert message in answer["message"]
    assert log() == [] and availability(desk)["open"] is True


def test_the_page_says_what_is_wrong_and_keeps_what_was_typed(desk: Desk) -> None:
    answer = desk.submit(f"{PAGE}/schedule", PAGE, opens_at="2027-03-28T02:30", zone="Europe/Berlin", message="Soon!")
    assert answer.status_code == 400
    assert "the clocks skip it that day" in answer.text
    assert 'value="2027-03-28T02:30"' in answer.text and 'value="Soon!"' in answer.text
    assert "<option selected>Europe/Berlin</option>" in answer.text
    assert desk.submit(f"{PAGE}/cap", PAGE, cap="many").status_code == 400 and log() == []


def test_an_empty_cap_is_any_number(desk: Desk) -> None:
    set_by(desk, "page", "cap", cap="7")
    assert desk.submit(f"{PAGE}/cap", PAGE, cap="").status_code == 303
    state = desk.get("/api/admin/campaign").get_json()
    assert state["cap"] is None and [action for _, action, _ in log()] == ["campaign_capped"] * 2


@on_sqlite
def test_a_form_from_elsewhere_changes_nothing(desk: Desk) -> None:
    assert desk.submit(f"{PAGE}/close", PAGE, token="0" * 64).status_code == 403
    assert desk.submit(f"{PAGE}/close", PAGE, origin="https://evil.example").status_code == 403
    assert desk.api.client.post(f"{PAGE}/close").status_code == 401
    assert availability(desk)["open"] is True


def test_messages_are_shown_as_text(desk: Desk) -> None:
    set_by(desk, "api", "close", message="<script>alert(1)</script> & co")
    assert "<script>alert" not in desk.get(PAGE).text
    assert availability(desk)["message"] == "<script>alert(1)</script> & co"


def test_the_page_tells_the_state_and_who_did_what(desk: Desk) -> None:
    set_by(desk, "api", "schedule", closes_at="2127-02-14T18:00", zone="Europe/Berlin")
    text = desk.get(PAGE).text
    assert "Open until 14 February 2127, 18:00 (Europe/Berlin)." in text
    assert "an operator, over campaign.toml" in text and "campaign scheduled, closes 14 February 2127" in text
    assert 'value="2127-02-14T18:00"' in text


def test_the_command_refuses_in_one_line(desk: Desk) -> None:
    run = desk.api.app.test_cli_runner()
    for words, message in [
        (["schedule", "--opens", "2027-03-28T02:30", "--zone", "Europe/Berlin"], "the clocks skip it"),
        (["close", "--message", "x" * 301], "at most 300 characters"), (["cap", "lots"], "neither a number"),
    ]:
        result = run.invoke(args=["campaign", *words])
        assert result.exit_code == 1 and message in result.output and "Traceback" not in result.output
    told = json.loads(run.invoke(args=["campaign", "show", "--json"]).stdout)
    assert told["mode"] == "file" and told["open"] is True


def test_what_waits_is_sent_once_it_opens(desk: Desk) -> None:
    queues = desk.api.parts.queues
    set_by(desk, "api", "close")
    queues.queue("dispatch").empty()
    set_by(desk, "api", "open")
    assert queues.queue("dispatch").count == 1


# ---- over the file

def test_the_file_holds_where_nobody_said_otherwise() -> None:
    file = VALENTINES.opening.model_copy(update={"open": False, "cap": 9, "message": "Over."})
    assert switch.effective(file, switch.Override()) == file
    opened = switch.effective(file, switch.Override(mode="open"))
    assert (opened.open, opened.cap, opened.message) == (True, 9, "Over.")
    assert switch.effective(file, switch.Override(own_cap=True, cap=None)).cap is None
    assert switch.effective(file, switch.Override(mode="closed", message="Mine.")).message == "Mine."


def test_opening_by_hand_overrules_times_of_the_file() -> None:
    past = datetime(2001, 1, 1, tzinfo=UTC)
    file = VALENTINES.opening.model_copy(update={"closes_at": past})
    assert not file.is_open(datetime.now(UTC))
    assert switch.effective(file, switch.Override(mode="open")).is_open(datetime.now(UTC))


# ---- times

@pytest.mark.parametrize(("text", "zone", "instant"), [
    ("2027-02-14T18:00", "UTC", "2027-02-14T18:00+00:00"),
    ("2027-02-14T18:00", "Europe/Berlin", "2027-02-14T17:00+00:00"),
    ("2027-07-14T18:00", "Europe/Berlin", "2027-07-14T16:00+00:00"),
    ("2027-10-31T01:59", "Europe/Berlin", "2027-10-30T23:59+00:00"),
    ("2027-10-31T03:00", "Europe/Berlin", "2027-10-31T02:00+00:00"),
    ("2027-10-31T02:30+02:00", "Europe/Berlin", "2027-10-31T00:30+00:00"),
    ("2027-10-31T02:30+01:00", "Europe/Berlin", "2027-10-31T01:30+00:00"),
    ("2027-02-14T18:00:00Z", "Asia/Tokyo", "2027-02-14T18:00+00:00"),
    (" 2027-02-14 ", "Asia/Kolkata", "2027-02-13T18:30+00:00"),
])
def test_local_times_become_instants(text: str, zone: str, instant: str) -> None:
    assert parse_moment(text, zone) == datetime.fromisoformat(instant)


@pytest.mark.parametrize(("text", "zone"), [
    ("", "UTC"), ("14.2.2027", "UTC"), ("2027-02-30T00:00", "UTC"), ("2027-03-28T02:00", "Europe/Berlin"),
    ("2027-03-28T02:59", "Europe/Berlin"), ("2027-10-31T02:00", "Europe/Berlin"), ("2027-10-31T02:59", "Europe/Berlin"),
    ("2027-02-14T18:00", "Mars/Base"), ("2027-02-14T18:00", ""), ("2027-02-14T18:00", "/etc/localtime"),
    ("0001-01-01T00:00", "Asia/Tokyo"), ("9999-12-31T23:59", "America/New_York"), ("0001-01-01T00:00+14:00", "UTC"),
    ("2027-02-14T18:00\x00", "UTC"),
])
def test_times_that_nobody_can_mean_are_refused(text: str, zone: str) -> None:
    with pytest.raises(MomentError):
        parse_moment(text, zone)


def test_a_skipped_hour_across_midnight_is_refused_too() -> None:
    with pytest.raises(MomentError, match="does not exist"):  # the whole day was left out
        parse_moment("2011-12-30T12:00", "Pacific/Apia")
