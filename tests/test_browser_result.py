"""The result page: copying, sharing, hints."""
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from microsite import Site
from visitors import Visitor, until

pytest_plugins = "browser_fixtures"
pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_the_link_is_copied(make_visitor: Callable[..., Visitor], site: Site, video: Path, poster: Path) -> None:
    visitor = make_visitor(permissions=["clipboard-read", "clipboard-write"])
    page = visitor.page()
    site.song("song1", stage="rendering", entry_status="processing")
    site.finish("song1", video, poster)
    page.goto(f"{site.address}/result/song1")
    page.get_by_role("button", name="Copy link").click()
    expect(page.get_by_role("button", name="Copied!")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == f"{site.address}/result/song1"


def test_sharing_hands_over_the_file_where_the_browser_can(page: Page, site: Site, video: Path, poster: Path) -> None:
    page.add_init_script(
        "window.shared = []; navigator.canShare = () => true;"
        "navigator.share = async data => { window.shared.push({url: data.url, text: data.text,"
        " files: (data.files || []).map(f => [f.name, f.size])}) }"
    )
    site.song("song1", stage="rendering", entry_status="processing")
    site.finish("song1", video, poster)
    page.goto(f"{site.address}/result/song1")
    page.get_by_role("button", name="Share", exact=True).click()
    until(page, "window.shared.length === 1")
    (shared,) = page.evaluate("window.shared")
    assert shared["files"] == [["Biscuit.mp4", video.stat().st_size]]
    assert f"{site.address}/result/song1" in shared["text"]


def test_networks_without_a_share_address_get_a_hint(page: Page, site: Site, video: Path, poster: Path) -> None:
    site.song("song1", stage="rendering", entry_status="processing")
    site.finish("song1", video, poster)
    page.goto(f"{site.address}/result/song1")
    page.get_by_role("button", name="TikTok").click()
    expect(page.get_by_text("Download the video, then post it from the TikTok app.")).to_be_visible()
