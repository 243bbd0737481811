"""The whole way, and other ways of using a browser."""
import re
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from microsite import Site
from visitors import DESKTOP, PHONE, Visitor, fill_in, send, stored, until

pytest_plugins = "browser_fixtures"
pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.mark.parametrize("viewport", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_from_the_form_to_the_song(
    make_visitor: Callable[..., Visitor], site: Site, viewport: Any, video: Path, poster: Path
) -> None:
    visitor = make_visitor(viewport=viewport)
    page = visitor.page()
    page.goto(site.address)
    fill_in(page, "Zoë")
    send(page)
    page.wait_for_url("**/waiting/*")
    expect(page.get_by_role("heading", name="Calculating results...")).to_be_visible()
    expect(page.locator(".record-label img").last).to_have_attribute("src", re.compile("^data:image/jpeg"))
    (row,) = site.rows()
    assert (row.pet_name, row.pet_type, row.music_vibe, row.owner_name) == ("Zoë", "Dog", "Romantic", "Marisol")
    data = stored(page)
    assert set(data) == {"cookie_id", "entries"} and data["cookie_id"] == row.cookie_id
    assert [set(entry) for entry in data["entries"]] == [{"session_id", "timestamp"}]
    assert data["entries"][0]["session_id"] == row.session_id and data["entries"][0]["timestamp"].endswith("Z")
    datetime.fromisoformat(data["entries"][0]["timestamp"])

    site.finish(row.session_id, video, poster)
    page.reload()
    page.wait_for_url(f"**/result/{row.session_id}")
    expect(page.get_by_role("heading", level=1)).to_contain_text("Zoë")
    page.evaluate("document.querySelector('video').muted = true; document.querySelector('video').play()")
    until(page, "document.querySelector('video').currentTime > 0.2")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download video").click()
    assert "Zoë" in download.value.suggested_filename

    page.get_by_role("link", name="Create another song").click()
    expect(page.get_by_role("link", name="Song for Zoë")).to_have_attribute("href", f"/result/{row.session_id}")
    assert page.get_by_label("Pet name", exact=True).input_value() == ""


@pytest.mark.parametrize("viewport", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_no_page_is_wider_than_the_screen(
    make_visitor: Callable[..., Visitor], site: Site, viewport: Any, video: Path, poster: Path
) -> None:
    page = make_visitor(viewport=viewport).page()
    site.song("waiting1", stage="queued", entry_status="pending")
    site.song("failed1", stage="failed", entry_status="fail", pet_name="M" * 100)
    site.song("done1", stage="rendering", entry_status="processing", pet_name="M" * 100, owner_name="W" * 100)
    site.finish("done1", video, poster)
    for path in ("/", "/waiting/waiting1", "/result/failed1", "/result/done1", "/result/nobody", "/terms"):
        page.goto(site.address + path)
        assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"], path


# ---- other ways of using a browser

@pytest.fixture
def scriptless(make_visitor: Callable[..., Visitor], site: Site, video: Path, poster: Path) -> Page:
    """A page without JavaScript, and two songs: song1 is waited for, song2 is finished."""
    site.song("song1", stage="queued", entry_status="pending")
    site.song("song2", stage="rendering", entry_status="processing")
    site.finish("song2", video, poster)
    page: Page = make_visitor(java_script_enabled=False).page()
    return page


def test_without_scripts_the_pages_explain_themselves(scriptless: Page, site: Site) -> None:
    page = scriptless
    page.goto(site.address)
    expect(page.locator("main noscript p").first).to_be_visible()
    expect(page.locator("form")).to_be_hidden()
    page.goto(f"{site.address}/waiting/song1")
    expect(page.locator("main noscript p").first).to_be_visible()
    page.goto(f"{site.address}/result/song2")
    expect(page.get_by_text("Biscuit, oh Biscuit")).to_be_visible()
    expect(page.locator("video")).to_be_visible()
    expect(page.get_by_role("link", name="Download video")).to_be_visible()


def test_without_scripts_nothing_turns_and_nothing_is_offered_that_needs_them(scriptless: Page, site: Site) -> None:
    page = scriptless
    for path in ("/", "/waiting/song1"):
        page.goto(site.address + path)
        disc = page.locator(".record-disc").first
        expect(disc).to_be_visible()
        assert disc.evaluate("disc => getComputedStyle(disc).animationName") == "none"
    page.goto(f"{site.address}/result/song2")
    expect(page.locator("noscript .hint")).to_be_visible()
    expect(page.get_by_role("button", name="Copy link")).to_have_count(0)


def test_reduced_motion_gets_a_still_record(make_visitor: Callable[..., Visitor], site: Site) -> None:
    page = make_visitor(reduced_motion="reduce").page()
    page.goto(site.address)
    assert page.locator(".hero .record-disc").evaluate("disc => getComputedStyle(disc).animationName") == "none"


def test_the_record_can_be_stopped(page: Page, site: Site) -> None:
    page.goto(site.address)
    disc = page.locator(".hero .record-disc")
    assert disc.evaluate("disc => getComputedStyle(disc).animationPlayState") == "running"
    page.get_by_role("button", name="Pause the record").click()
    expect(page.get_by_role("button", name="Pause the record")).to_have_attribute("aria-pressed", "true")
    assert disc.evaluate("disc => getComputedStyle(disc).animationPlayState") == "paused"
