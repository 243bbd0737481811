"""The result page: copying, sharing, hints."""
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from microsite import Site
from visitors import Visitor, hold_scripts, until

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


def open_where_files_can_be_shared(page: Page, site: Site, video: Path, poster: Path, script: str = "") -> None:
    """A finished song's page in a browser that notes what it is to share."""
    page.add_init_script(
        "window.shared = []; navigator.canShare = () => true;"
        "navigator.share = async data => { window.shared.push({url: data.url, text: data.text,"
        " files: (data.files || []).map(f => [f.name, f.size])}) };" + script
    )
    site.song("song1", stage="rendering", entry_status="processing")
    site.finish("song1", video, poster)
    page.goto(f"{site.address}/result/song1")


def test_sharing_hands_over_the_file_where_the_browser_can(page: Page, site: Site, video: Path, poster: Path) -> None:
    open_where_files_can_be_shared(page, site, video, poster)
    page.get_by_role("button", name="Share", exact=True).click()
    until(page, "window.shared.length === 1")
    (shared,) = page.evaluate("window.shared")
    assert shared["files"] == [["Biscuit.mp4", video.stat().st_size]]
    assert f"{site.address}/result/song1" in shared["text"]


def test_a_file_that_never_comes_leaves_the_link_to_share(page: Page, site: Site, video: Path, poster: Path) -> None:
    open_where_files_can_be_shared(
        page, site, video, poster, "const after = AbortSignal.timeout.bind(AbortSignal);"
        "AbortSignal.timeout = ms => { window.patience = ms; return after(300) }",
    )
    page.route("**/storage/video/**", lambda route: None if route.request.resource_type == "fetch" else route.fallback())
    page.get_by_role("button", name="Share", exact=True).click()
    expect(page.get_by_role("button", name="Preparing…")).to_be_visible()
    until(page, "window.shared.length === 1")
    assert page.evaluate("window.shared.map(data => [data.url, data.files])") == [[f"{site.address}/result/song1", []]]
    assert page.evaluate("window.patience") == 30_000
    expect(page.get_by_role("button", name="Share", exact=True)).to_be_visible()


def test_after_a_long_preparation_one_more_click_shares(page: Page, site: Site, video: Path, poster: Path) -> None:
    passive = "Object.defineProperty(navigator, 'userActivation', {value: {isActive: false}})"
    open_where_files_can_be_shared(page, site, video, poster, passive)
    page.route("**/storage/video/**", lambda route: route.abort())
    page.get_by_role("button", name="Share", exact=True).click()
    page.get_by_role("button", name="Ready: share now").click()
    until(page, "window.shared.length === 1")
    assert page.evaluate("window.shared.map(data => [data.url, data.files])") == [[f"{site.address}/result/song1", []]]


def test_a_video_that_failed_before_the_scripts_came_is_told(page: Page, site: Site, video: Path, poster: Path) -> None:
    site.song("song1")  # without its file
    site.song("song2", stage="rendering", entry_status="processing")
    site.finish("song2", video, poster)
    broken = page.get_by_text("The video can't be played right now.")
    release = hold_scripts(page)
    page.goto(f"{site.address}/result/song1", wait_until="commit")
    expect(page.locator("video")).to_be_visible()
    until(page, "document.querySelector('video').networkState === HTMLMediaElement.NETWORK_NO_SOURCE")
    release()
    expect(broken).to_be_visible()
    page.clock.install()
    page.goto(f"{site.address}/result/song2")
    expect(page.get_by_role("button", name="Copy link")).to_be_visible()
    until(page, "document.querySelector('video').readyState > 0")
    page.clock.run_for(2_000)
    expect(broken).to_have_count(0)


def test_networks_without_a_share_address_get_a_hint(page: Page, site: Site, video: Path, poster: Path) -> None:
    site.song("song1", stage="rendering", entry_status="processing")
    site.finish("song1", video, poster)
    page.goto(f"{site.address}/result/song1")
    page.get_by_role("button", name="TikTok").click()
    expect(page.get_by_text("Download the video, then post it from the TikTok app.")).to_be_visible()
