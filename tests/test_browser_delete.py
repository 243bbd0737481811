""""Delete my song": offered by the browser that made it, asked once more, and gone afterwards, also from "your songs"."""
import json
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from microsite import Site
from visitors import stored

pytest_plugins = "browser_fixtures"
pytestmark = [pytest.mark.browser, pytest.mark.slow]


def finished(site: Site, video: Path, poster: Path) -> str:
    site.song("song1", stage="rendering", entry_status="processing")
    site.finish("song1", video, poster)
    return f"{site.address}/result/song1"


def remember(page: Page, site: Site, *ids: str, cookie_id: str = "cookie_test") -> None:
    """As after forms that this browser has sent; cookie_test made every song of the tests."""
    entries = [{"session_id": name, "timestamp": "2026-02-10T10:00:00Z"} for name in ids]
    page.goto(f"{site.address}/terms")
    memory = json.dumps({"cookie_id": cookie_id, "entries": entries})
    keepsakes = json.dumps({name: {"photo": "", "pet_name": "Biscuit"} for name in ids})
    page.evaluate("text => localStorage.setItem('submission_data', text)", memory)
    page.evaluate("text => localStorage.setItem('petsong_keepsakes', text)", keepsakes)


def test_the_browser_that_made_a_song_deletes_it(page: Page, site: Site, video: Path, poster: Path) -> None:
    address = finished(site, video, poster)
    remember(page, site, "song1", "song2")
    page.goto(address)
    page.get_by_role("button", name="Delete my song").click()
    dialog = page.get_by_role("dialog", name="Delete my song")
    expect(dialog).to_be_visible()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    assert site.rows()[0].files_removed_at is None
    page.get_by_role("button", name="Delete my song").click()
    dialog.get_by_role("button", name="Yes, delete it").click()
    page.wait_for_url(address)
    expect(page.locator("video")).to_have_count(0)
    expect(page.get_by_role("button", name="Delete my song")).to_have_count(0)
    assert page.evaluate("fetch(location.href).then(answer => answer.status)") == 410
    assert [entry["session_id"] for entry in stored(page)["entries"]] == ["song2"]
    assert "song1" not in page.evaluate("localStorage.getItem('petsong_keepsakes')")
    assert site.rows()[0].pet_name == "" and not list(site.settings.video_storage.glob("*.*"))


def test_a_failed_song_can_be_deleted_too(page: Page, site: Site) -> None:
    site.song("song1", stage="failed", entry_status="fail")
    remember(page, site, "song1")
    page.goto(f"{site.address}/result/song1")
    page.get_by_role("button", name="Delete my song").click()
    page.get_by_role("button", name="Yes, delete it").click()
    expect(page.get_by_role("button", name="Delete my song")).to_have_count(0)
    assert site.rows()[0].files_removed_at is not None


def test_other_browsers_are_not_offered_it(page: Page, site: Site, video: Path, poster: Path) -> None:
    address = finished(site, video, poster)
    page.goto(address)
    expect(page.get_by_role("link", name="Download video").first).to_be_visible()
    expect(page.get_by_role("button", name="Delete my song")).to_be_hidden()


def test_a_refusal_is_told_and_the_song_stays(page: Page, site: Site, video: Path, poster: Path) -> None:
    address = finished(site, video, poster)
    remember(page, site, "song1", cookie_id="cookie_somebody")
    page.goto(address)
    page.get_by_role("button", name="Delete my song").click()
    dialog = page.get_by_role("dialog", name="Delete my song")
    dialog.get_by_role("button", name="Yes, delete it").click()
    expect(dialog.get_by_role("alert")).to_contain_text("Only the browser that made this song can delete it")
    dialog.get_by_role("button", name="Keep it").click()
    expect(dialog).to_be_hidden()
    assert site.rows()[0].files_removed_at is None and len(stored(page)["entries"]) == 1


def test_a_waiting_page_elsewhere_leads_to_where_it_says_so(page: Page, site: Site) -> None:
    """Deleted in another tab while this one waits."""
    site.song("song1", stage="generating", entry_status="processing")
    page.goto(f"{site.address}/waiting/song1")
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    path = "/api/submissions/song1/delete"
    assert site.app.test_client().post(path, json={"cookie_id": "cookie_test"}).status_code == 200
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    page.wait_for_url("**/result/song1")
