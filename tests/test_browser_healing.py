"""Whatever breaks mends itself: a lost network, a failing server, a closed tab, a campaign that is switched off and on."""
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from microsite import Site
from visitors import Visitor, fill_in, send, values

pytest_plugins = "browser_fixtures"
pytestmark = [pytest.mark.browser, pytest.mark.slow]

TROUBLE = "Your song is safe, and we keep trying."


def next_try(page: Page, ends: str) -> None:
    """The pause before it is over in a moment; the try itself takes the time it takes."""
    with page.expect_event(ends, lambda request: request.url.endswith("/status")):
        page.clock.fast_forward(61_000)  # the longest pause between two tries


@pytest.mark.parametrize("broken", ["offline", 500, 502, 503, "nonsense", "another page"])
def test_waiting_goes_on_when_the_server_is_back_without_anybody_doing_anything(page: Page, site: Site, broken: Any) -> None:
    def break_(route: Route) -> None:
        if broken == "offline":
            route.abort()
        elif broken == "another page":  # as a hotel's network answers
            route.fulfill(status=200, content_type="text/html", body="<html>")
        else:
            route.fulfill(status=502 if broken == "nonsense" else broken, body="<html>" if broken == "nonsense" else "{}")

    site.song("song1", stage="generating", entry_status="processing")
    page.clock.install()
    page.route("**/status", break_)
    page.goto(f"{site.address}/waiting/song1")
    expect(page.get_by_text(TROUBLE)).to_be_visible()
    next_try(page, "requestfailed" if broken == "offline" else "requestfinished")
    expect(page.get_by_text(TROUBLE)).to_be_visible()
    expect(page.get_by_text("Writing and singing your song")).to_be_visible()  # as the page itself knew
    page.unroute("**/status")
    next_try(page, "requestfinished")
    expect(page.get_by_text(TROUBLE)).to_be_hidden()
    expect(page.get_by_text("Writing and singing your song")).to_be_visible()


def test_a_lost_network_is_noticed_and_so_is_its_return(make_visitor: Callable[..., Visitor], site: Site) -> None:
    visitor = make_visitor()
    page = visitor.page()
    site.song("song1", stage="queued", entry_status="pending")
    page.goto(f"{site.address}/waiting/song1")
    expect(page.get_by_text("You are number 1 in the queue")).to_be_visible()
    visitor.context.set_offline(True)
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(page.get_by_text(TROUBLE)).to_be_visible()
    visitor.context.set_offline(False)  # the browser says so itself
    expect(page.get_by_text(TROUBLE)).to_be_hidden()


def test_a_form_sent_into_a_slow_network_is_one_song(make_visitor: Callable[..., Visitor], site: Site) -> None:
    visitor = make_visitor()
    page = visitor.page()
    page.goto(site.address)
    fill_in(page)
    client = visitor.context.new_cdp_session(page)
    slow = {"offline": False, "latency": 400, "downloadThroughput": 50_000, "uploadThroughput": 50_000}
    client.send("Network.emulateNetworkConditions", slow)
    send(page)
    button = page.locator("button[type=submit]")
    expect(button).to_have_attribute("aria-busy", "true")
    button.evaluate("button => { button.click(); button.click() }")  # an impatient thumb
    page.wait_for_url("**/waiting/*")
    assert len(site.rows()) == 1


def test_a_closed_tab_is_taken_up_again_in_a_new_one(
    make_visitor: Callable[..., Visitor], site: Site, video: Path, poster: Path
) -> None:
    visitor = make_visitor()
    first = visitor.page()
    first.goto(site.address)
    fill_in(first)
    send(first)
    first.wait_for_url("**/waiting/*")
    first.close()
    page = visitor.page()
    page.goto(site.address)
    page.get_by_role("link", name="Song for Biscuit").click()
    page.wait_for_url("**/waiting/*")  # by way of the result, which is not there yet
    expect(page.locator(".record-label img[src^=data]")).to_be_visible()
    site.finish(site.rows()[0].session_id, video, poster)
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    page.wait_for_url("**/result/*")
    page.goto(site.address)
    page.get_by_role("link", name="Song for Biscuit").click()
    expect(page.locator("video")).to_be_visible()


def studio_talk(page: Page, site: Site, pet_name: str) -> Locator:
    """On the page of a song that is being sung, with a clock of our own."""
    site.song("song1", stage="generating", entry_status="processing", pet_name=pet_name)
    page.clock.install()
    page.goto(f"{site.address}/waiting/song1")
    talk = page.locator(".chatter")
    expect(talk).to_have_text(f"Looking for a word that rhymes with {pet_name}")
    return talk


def test_studio_talk_names_the_pet_and_stops_with_the_record(page: Page, site: Site) -> None:
    talk = studio_talk(page, site, "$& Zoë")
    page.clock.run_for(6_100)
    expect(talk).to_have_text("Tuning the guitar")
    page.get_by_role("button", name="Pause the record").click()
    page.clock.run_for(30_000)
    expect(talk).to_have_text("Tuning the guitar")


def test_studio_talk_stands_still_where_motion_is_unwanted(make_visitor: Callable[..., Visitor], site: Site) -> None:
    page = make_visitor(reduced_motion="reduce").page()
    talk = studio_talk(page, site, "Biscuit")
    page.clock.run_for(30_000)
    expect(talk).to_have_text("Looking for a word that rhymes with Biscuit")


def test_a_look_whether_songs_are_taken_waits_for_the_one_before(page: Page, site: Site) -> None:
    looks: list[Route] = []
    page.route("**/api/availability", lambda route: looks.append(route))
    page.clock.install()
    page.goto(site.address, wait_until="domcontentloaded")
    for _ in range(18):
        page.clock.run_for(1_000)
    assert len(looks) == 1
    looks[0].fulfill(json={"open": False, "reason": "busy", "message": "So many songs."})
    expect(page.get_by_text("So many songs.")).to_be_visible()
    page.clock.run_for(9_000)
    page.wait_for_timeout(100)
    assert len(looks) == 2


def test_a_page_that_failed_is_one_click_from_another_try(page: Page, site: Site) -> None:
    views = site.app.view_functions
    terms, views["pages.terms"] = views["pages.terms"], lambda: 1 / 0
    page.goto(f"{site.address}/terms?lang=en")
    expect(page.get_by_role("heading", name="Something went wrong")).to_be_visible()
    expect(page.locator(".message-page .button")).to_have_text(["Try again", "Back to the start"])
    expect(page.locator(".message-page .button-main")).to_have_text(["Try again"])
    views["pages.terms"] = terms
    page.get_by_role("link", name="Try again").click()
    expect(page.get_by_role("heading", name="Terms & Conditions", level=1)).to_be_visible()
    assert page.url == f"{site.address}/terms?lang=en"
    page.goto(f"{site.address}/nothing")  # no try would bring it
    expect(page.locator(".message-page .button-main")).to_have_text(["Back to the start"])


def test_an_open_form_follows_the_campaigns_switch_and_loses_nothing(page: Page, site: Site) -> None:
    answers: dict[str, Any] = {"open": True, "reason": None, "message": "", "estimated_seconds": 60}
    page.route("**/api/availability", lambda route: route.fulfill(json=answers))
    page.clock.install()
    page.goto(site.address)
    expect(page.get_by_text("Ready in about 60 seconds.")).to_be_visible()
    fill_in(page)
    dialog = page.get_by_role("dialog", name="Sorry, we're all sold out!")
    answers.update(open=False, reason="sold_out", message="Our songs are over for this year.")
    page.clock.run_for(9_000)
    expect(dialog).to_be_visible()
    page.get_by_role("button", name="Close").click()
    page.clock.run_for(20_000)
    expect(dialog).to_be_hidden()  # it was said once
    answers.update(reason="busy", message="So many songs.")
    page.clock.run_for(9_000)
    expect(page.get_by_text("So many songs.")).to_be_visible()
    answers.update(reason="sold_out", message="Over again.")
    page.clock.run_for(9_000)
    expect(dialog).to_be_visible()
    answers.update(open=True, reason=None, message="")
    page.clock.run_for(9_000)
    expect(dialog).to_be_hidden()
    expect(page.get_by_text("So many songs.")).to_be_hidden()
    assert values(page) == ("Biscuit", "Marisol", True, True)
