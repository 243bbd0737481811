"""The waiting page: how often it asks, what it says, how it heals."""
import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from microsite import Site
from petsong import database

pytest_plugins = "browser_fixtures"
pytestmark = [pytest.mark.browser, pytest.mark.slow]


class Polls:
    """Counts the status questions of a page whose clock stands until the test moves it."""

    def __init__(self, page: Page, site: Site, session_id: str) -> None:
        self.count = 0
        self.page = page
        page.on("request", self._seen)
        page.clock.install()
        page.goto(f"{site.address}/waiting/{session_id}")
        self.settle()

    def _seen(self, request: Any) -> None:
        self.count += request.url.endswith("/status")

    def settle(self) -> None:
        self.page.wait_for_load_state("networkidle")

    def within(self, seconds: int) -> int:
        """Questions asked while so many seconds pass."""
        before = self.count
        for _ in range(seconds):
            self.page.clock.run_for(1000)
            self.page.evaluate("fetch('/static/svg/icon.svg').then(r => r.text())")  # earlier answers are in by then
        return self.count - before


def hide(page: Page, hidden: bool) -> None:
    page.evaluate(
        "hidden => { Object.defineProperty(document, 'hidden', {value: hidden, configurable: true});"
        " document.dispatchEvent(new Event('visibilitychange')) }", hidden,
    )


def test_waiting_asks_every_ten_seconds_and_slower_while_hidden(page: Page, site: Site) -> None:
    polls = Polls(page, site, site.song("song1", stage="generating", entry_status="processing"))
    assert polls.count == 1
    assert polls.within(30) in (2, 3)
    hide(page, True)
    assert polls.within(65) <= 2
    before = polls.count
    hide(page, False)
    polls.within(1)
    assert polls.count == before + 1


def test_after_five_minutes_it_says_so_and_still_goes_on(page: Page, site: Site, video: Path, poster: Path) -> None:
    polls = Polls(page, site, site.song("song1", stage="generating", entry_status="processing"))
    late = page.get_by_role("heading", name="Processing is taking longer than expected")
    polls.within(10)
    expect(late).to_be_hidden()
    page.clock.fast_forward(291_000)
    expect(late).to_be_visible()
    expect(page.get_by_text("Check back later")).to_be_visible()
    expect(page.get_by_text(f"{site.address}/waiting/song1")).to_be_visible()
    polls.settle()
    polls.within(10)
    assert polls.within(60) in (1, 2)
    site.finish("song1", video, poster)
    page.get_by_role("button", name="Check again").click()
    page.wait_for_url("**/result/song1")


def test_that_it_takes_longer_is_announced(page: Page, site: Site) -> None:
    """By a region that was there before: screen readers pass over one that comes with its words."""
    site.song("song1", stage="generating", entry_status="processing")
    page.clock.install()
    page.goto(f"{site.address}/waiting/song1")
    expect(page.locator(".chatter")).not_to_be_empty()
    page.evaluate("document.querySelectorAll('[role=status]').forEach(region => { region.dataset.early = 1 })")
    page.clock.fast_forward(301_000)
    words = page.locator("[role=status][data-early]").filter(has_text="Processing is taking longer than expected")
    expect(words).to_be_visible()
    expect(words).to_contain_text("Check back later")
    # Only a block ends with an ellipsis where its words do not fit.
    assert page.locator(".late .address").evaluate("link => getComputedStyle(link).display") == "block"


def test_waiting_tells_place_stage_and_time(page: Page, site: Site) -> None:
    site.song("song1", stage="queued", entry_status="pending")
    page.goto(f"{site.address}/waiting/song1")
    expect(page.get_by_text("Waiting for a free place in the studio")).to_be_visible()
    expect(page.get_by_text("You are number 1 in the queue")).to_be_visible()
    expect(page.get_by_text(re.compile("to go$"))).to_be_visible()
    expect(page.get_by_text("You may close this tab")).to_be_visible()


def test_waiting_heals_when_the_network_comes_back(page: Page, site: Site) -> None:
    site.song("song1", stage="queued", entry_status="pending")
    page.route("**/status", lambda route: route.abort())
    page.goto(f"{site.address}/waiting/song1")
    trouble = page.get_by_text("Your song is safe, and we keep trying.")
    expect(trouble).to_be_visible()
    page.unroute("**/status")
    page.evaluate("window.dispatchEvent(new Event('online'))")
    expect(trouble).to_be_hidden()
    expect(page.get_by_text("You are number 1 in the queue")).to_be_visible()


def test_waiting_ends_at_a_song_that_is_gone(page: Page, site: Site) -> None:
    polls = Polls(page, site, site.song("song1", stage="queued", entry_status="pending"))
    with database.connection():
        site.rows()[0].delete_instance()
    polls.within(12)
    expect(page.get_by_role("heading", name="We can't find this song any more")).to_be_focused()
    expect(page.get_by_role("link", name="Back to the start")).to_have_attribute("href", "/")
    assert polls.within(120) == 0


def test_a_failed_song_leads_from_waiting_to_another_try(page: Page, site: Site) -> None:
    Polls(page, site, site.song("song1", stage="generating", entry_status="processing"))
    site.change("song1", stage="failed", entry_status="fail", fail_reason="service_failed")
    page.clock.run_for(11_000)
    page.wait_for_url("**/result/song1")
    expect(page.get_by_text("We couldn't generate your song.")).to_be_visible()
    page.get_by_role("link", name="Retake the journey").click()
    expect(page.get_by_label("Pet name", exact=True)).to_be_visible()


def test_another_browser_waits_with_a_neutral_record(page: Page, site: Site) -> None:
    site.song("song1", stage="queued", entry_status="pending")
    page.goto(f"{site.address}/waiting/song1")
    expect(page.get_by_text("You are number 1 in the queue")).to_be_visible()
    expect(page.locator(".record-label img[src^=data]")).to_have_count(0)
