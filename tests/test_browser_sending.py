"""Sending the form when something is wrong, and when everything is sold out."""
import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, Route, expect

from microsite import Site
from visitors import fill_in, lose_the_first_answer, remember, send, stored, values

pytest_plugins = "browser_fixtures"
pytestmark = [pytest.mark.browser, pytest.mark.slow]

SOLD_OUT = "Sorry, we're all sold out!"
FORMAT = "Please upload JPG or PNG image under 5MB"


# ---- failures

def test_a_retry_after_a_lost_answer_buys_one_song(page: Page, site: Site) -> None:
    keys = lose_the_first_answer(page)
    page.goto(site.address)
    fill_in(page)
    send(page)
    expect(page.get_by_role("alert")).to_contain_text("Nothing is lost")
    assert values(page) == ("Biscuit", "Marisol", True, True)
    page.get_by_role("button", name="Try again").click()
    page.wait_for_url("**/waiting/*")
    assert keys[0] == keys[1]
    (row,) = site.rows()
    assert page.url.endswith(row.session_id)


def test_a_reload_after_a_lost_answer_keeps_the_form_and_buys_one_song(page: Page, site: Site) -> None:
    lose_the_first_answer(page)
    page.goto(site.address)
    fill_in(page)
    send(page)
    expect(page.get_by_role("button", name="Try again")).to_be_visible()
    page.reload()
    expect(page.get_by_text("Change photo")).to_be_visible()
    assert values(page) == ("Biscuit", "Marisol", True, True)
    send(page)
    page.wait_for_url("**/waiting/*")
    assert len(site.rows()) == 1


def test_a_change_after_a_lost_answer_asks_before_a_second_song(page: Page, site: Site) -> None:
    lose_the_first_answer(page)
    page.goto(site.address)
    fill_in(page)
    send(page)
    expect(page.get_by_role("button", name="Try again")).to_be_visible()
    page.get_by_label("Pet name", exact=True).fill("Crumpet")
    send(page)
    expect(page.get_by_role("alert")).to_contain_text("second song")
    (row,) = site.rows()
    first = page.locator("#your-songs").get_by_role("link", name="Song for Biscuit")
    expect(first).to_have_attribute("href", f"/result/{row.session_id}")
    assert values(page) == ("Crumpet", "Marisol", True, True)
    send(page)
    page.wait_for_url("**/waiting/*")
    first_row, second_row = site.rows()
    assert (first_row.pet_name, second_row.pet_name) == ("Biscuit", "Crumpet")
    assert first_row.cookie_id == second_row.cookie_id
    assert [entry["session_id"] for entry in stored(page)["entries"]] == [first_row.session_id, second_row.session_id]


def test_the_song_of_a_lost_answer_is_found_among_all_that_was_sent(page: Page, site: Site) -> None:
    """The first form never arrives, the answer to the second is lost, and so is the first try to ask for it again."""
    fates = iter(["cut", "lost", "arrives", "arrives", "cut"])

    def handle(route: Route) -> None:
        fate = next(fates, "arrives")
        if fate == "arrives":
            return route.fallback()
        if fate == "lost":
            route.fetch()
        route.abort()

    page.route("**/api/submissions", handle)
    page.goto(site.address)
    fill_in(page)
    for name in ("Biscuit", "Crumpet", "Toffee"):
        page.get_by_label("Pet name", exact=True).fill(name)
        send(page)
        expect(page.get_by_role("alert")).to_contain_text("Nothing is lost")
        page.get_by_role("button", name="Close").click()
    page.reload()
    expect(page.get_by_text("Change photo")).to_be_visible()
    send(page)
    expect(page.get_by_role("alert")).to_contain_text("second song")
    expect(page.locator("#your-songs").get_by_role("link")).to_have_count(1)
    expect(page.get_by_role("link", name="Song for Crumpet")).to_be_visible()
    assert [row.pet_name for row in site.rows()] == ["Crumpet"]


def test_the_servers_field_messages_stand_beside_their_fields(page: Page, site: Site) -> None:
    body = {
        "success": False, "code": "validation_failed", "error": "Validation failed", "message": "Not this name",
        "fields": {"owner_name": "Not this name", "unheard_of": "ignored"},
    }
    page.route("**/api/submissions", lambda route: route.fulfill(status=400, json=body))
    page.goto(site.address)
    fill_in(page)
    send(page)
    expect(page.locator("#owner_name-error")).to_have_text("Not this name")
    expect(page.get_by_label("Your name", exact=True)).to_be_focused()
    assert values(page) == ("Biscuit", "Marisol", True, True)


def test_a_photo_that_the_server_refuses_is_named_beside_the_photo(page: Page, site: Site) -> None:
    body = {"success": False, "code": "invalid_image", "error": "Invalid image format", "message": FORMAT}
    page.route("**/api/submissions", lambda route: route.fulfill(status=400, json=body))
    page.goto(site.address)
    fill_in(page)
    send(page)
    expect(page.locator("#photo-error")).to_have_text(FORMAT)


def test_too_many_requests_tell_how_long_to_wait(page: Page, make_site: Callable[..., Site]) -> None:
    site = make_site(submissions_per_hour_per_ip=1)
    page.goto(site.address)
    fill_in(page)
    send(page)
    page.wait_for_url("**/waiting/*")
    page.goto(site.address)
    fill_in(page, "Crumpet")
    send(page)
    expect(page.get_by_role("alert")).to_contain_text(re.compile(r"Please try again in \d+ (minutes|seconds)\."))
    assert values(page) == ("Crumpet", "Marisol", True, True)


@pytest.mark.parametrize(("status", "body"), [(502, "<html>Bad gateway</html>"), (500, "{}"), (200, "{}")])
def test_an_answer_that_makes_no_sense_is_a_toast_with_a_retry(page: Page, site: Site, status: int, body: str) -> None:
    page.route("**/api/submissions", lambda route: route.fulfill(status=status, body=body))
    page.goto(site.address)
    fill_in(page)
    send(page)
    expect(page.get_by_role("alert")).to_contain_text("Something went wrong. Please try again.")
    page.unroute("**/api/submissions")
    page.get_by_role("button", name="Try again").click()
    page.wait_for_url("**/waiting/*")


def test_a_short_absence_is_told_in_sentences(page: Page, site: Site) -> None:
    body = {"success": False, "code": "unavailable", "error": "unavailable", "message": "Service temporarily unavailable"}
    headers = {"Retry-After": "10"}
    page.route("**/api/submissions", lambda route: route.fulfill(status=503, json=body, headers=headers))
    page.goto(site.address)
    fill_in(page)
    send(page)
    expect(page.get_by_role("alert")).to_contain_text("Service temporarily unavailable. Please try again in 10 seconds.")


# ---- sold out

def test_ten_songs_show_sold_out_at_once_and_it_closes(page: Page, site: Site) -> None:
    remember(page, site, 10)
    page.goto(site.address)
    dialog = page.get_by_role("dialog", name=SOLD_OUT)
    expect(dialog).to_be_visible()
    assert "again" not in " ".join(dialog.get_by_role("button").all_inner_texts()).lower()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(page.get_by_role("heading", level=1)).to_be_focused()
    expect(page.locator("#your-songs").get_by_role("link")).to_have_count(10)


def test_nine_songs_leave_room_for_one(page: Page, site: Site) -> None:
    remember(page, site, 9)
    page.goto(site.address)
    expect(page.locator("#your-songs").get_by_role("link")).to_have_count(9)
    expect(page.get_by_role("dialog", name=SOLD_OUT)).to_be_hidden()


def test_sold_out_stays_so_when_the_form_is_sent_and_focus_returns(page: Page, site: Site) -> None:
    remember(page, site, 10)
    page.goto(site.address)
    page.get_by_role("button", name="Close").click()
    send(page)
    expect(page.get_by_role("dialog", name=SOLD_OUT)).to_be_visible()
    page.get_by_role("button", name="Close").click()
    expect(page.locator("button[type=submit]")).to_be_focused()
    assert site.rows() == []


def test_songs_that_the_site_no_longer_keeps_neither_count_nor_are_listed(page: Page, site: Site) -> None:
    remember(page, site, 10, days_ago=31)
    page.goto(site.address)
    fill_in(page)
    expect(page.locator("#your-songs")).to_be_hidden()
    send(page)
    page.wait_for_url("**/waiting/*")
    assert [entry["session_id"] for entry in stored(page)["entries"]] == [site.rows()[0].session_id]


def test_sold_out_meanwhile_is_said_once(page: Page, site: Site) -> None:
    page.clock.install()
    page.goto(site.address)
    fill_in(page)
    body = {"success": False, "code": "sold_out", "error": "sold_out", "message": SOLD_OUT}
    page.route("**/api/submissions", lambda route: route.fulfill(status=503, json=body))
    closed = {"open": False, "reason": "sold_out", "message": SOLD_OUT, "estimated_seconds": None}
    page.route("**/api/availability", lambda route: route.fulfill(json=closed))
    send(page)
    dialog = page.get_by_role("dialog", name=SOLD_OUT)
    expect(dialog).to_be_visible()
    page.get_by_role("button", name="Close").click()
    with page.expect_response("**/api/availability"):
        page.clock.run_for(9_000)
    page.wait_for_timeout(100)
    expect(dialog).to_be_hidden()


def test_the_servers_own_count_shows_sold_out_too(page: Page, site: Site) -> None:
    for number in range(10):
        site.song(f"earlier{number}")
    remember(page, site, 0)
    page.goto(site.address)
    fill_in(page)
    send(page)
    expect(page.get_by_role("dialog", name=SOLD_OUT)).to_be_visible()
    page.get_by_role("button", name="Close").click()
    assert values(page) == ("Biscuit", "Marisol", True, True)
    assert len(site.rows()) == 10


@pytest.mark.parametrize(
    "damaged",
    ["{", "[]", "null", '{"entries": {"length": 99}}', '{"cookie_id": 7, "entries": [null, {"session_id": "../../x"}]}'],
)
def test_damaged_memory_is_an_empty_one(page: Page, site: Site, damaged: str) -> None:
    page.goto(f"{site.address}/terms")
    page.evaluate("text => localStorage.setItem('submission_data', text)", damaged)
    page.goto(site.address)
    fill_in(page)
    send(page)
    page.wait_for_url("**/waiting/*")
    assert len(stored(page)["entries"]) == 1
