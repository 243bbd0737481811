"""What the pages cost over the wire, and where from: this site alone, no cookie, no more than 150 KB for the form."""
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, expect

from microsite import Site
from visitors import PHONE, Visitor, picture

pytest_plugins = "browser_fixtures"
pytestmark = [pytest.mark.browser, pytest.mark.slow]

FORM_BYTES = 150 * 1024


class Wire:
    """Everything that a page fetches, as it comes over the wire: packed, with its headers."""

    def __init__(self, page: Page) -> None:
        self.bytes: dict[str, float] = {}
        self.addresses: dict[str, str] = {}
        client = page.context.new_cdp_session(page)
        client.send("Network.enable")
        client.on("Network.requestWillBeSent", self._asked)
        client.on("Network.loadingFinished", self._came)

    def _asked(self, event: Any) -> None:
        self.addresses[event["requestId"]] = event["request"]["url"]

    def _came(self, event: Any) -> None:
        self.bytes[self.addresses[event["requestId"]]] = event["encodedDataLength"]


def test_the_form_is_light_and_all_of_it_is_ours(page: Page, site: Site) -> None:
    wire = Wire(page)
    page.goto(site.address, wait_until="networkidle")
    page.set_input_files("#photo", files=[picture()])
    expect(page.locator(".cropper-view-box")).to_be_visible()
    page.wait_for_load_state("networkidle")
    assert {urlsplit(address).netloc for address in wire.addresses.values() if address.startswith("http")} == {
        urlsplit(site.address).netloc
    }
    assert 20 * 1024 < sum(wire.bytes.values()) < FORM_BYTES, sorted(wire.bytes.items(), key=lambda item: -item[1])
    assert page.context.cookies() == []


@pytest.mark.parametrize("path", ["/", "/waiting/song2", "/result/song1"])
def test_browsers_report_nothing_deprecated(page: Page, site: Site, path: str) -> None:
    page.add_init_script(
        "window.reports = [];"
        "new ReportingObserver(all => window.reports.push(...all.map(r => r.body.id)), {buffered: true}).observe()"
    )
    site.song("song1")
    site.song("song2", stage="queued", entry_status="pending")
    page.goto(site.address + path, wait_until="networkidle")
    assert page.evaluate("window.reports") == []


def test_a_second_visit_fetches_no_file_again(page: Page, site: Site) -> None:
    page.goto(site.address, wait_until="networkidle")
    wire = Wire(page)
    page.goto(f"{site.address}/?lang=de", wait_until="networkidle")
    assert [address for address, size in wire.bytes.items() if size > 0 and "?v=" in address] == []


def test_the_song_can_be_played_as_soon_as_the_page_is_there(page: Page, site: Site, video: Path, poster: Path) -> None:
    """Its head alone is fetched before somebody plays it."""
    site.song("song1", stage="rendering", entry_status="processing")
    site.finish("song1", video, poster)
    page.goto(f"{site.address}/result/song1")
    page.evaluate("new Promise(done => { const video = document.querySelector('video');"
                  " video.readyState ? done() : video.addEventListener('loadedmetadata', done) })")
    assert page.evaluate("document.querySelector('video').duration") > 1


@pytest.mark.parametrize("path", ["/", "/waiting/song2", "/result/song1", "/result/song3", "/nothing"])
def test_no_page_sets_a_cookie_or_asks_a_stranger(
    make_visitor: Callable[..., Visitor], site: Site, video: Path, poster: Path, path: str
) -> None:
    page = make_visitor(viewport=PHONE).page()
    strangers: list[str] = []
    page.on("request", lambda request: None if request.url.startswith((site.address, "data:", "blob:")) else
            strangers.append(request.url))
    site.song("song1", stage="rendering", entry_status="processing", word_timing=[{"word": "la", "start": 0, "end": 1}])
    site.finish("song1", video, poster)
    site.song("song2", stage="queued", entry_status="pending")
    site.song("song3", stage="failed", entry_status="fail")
    page.goto(site.address + path, wait_until="networkidle")
    assert strangers == [] and page.context.cookies() == []
