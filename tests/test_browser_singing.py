"""The finished song in a browser: words light up while they are sung, formats, deleting it, another browser's view."""
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from microsite import LYRICS, Site
from visitors import Visitor, fill_in, send, stored

pytest_plugins = "browser_fixtures"
pytestmark = [pytest.mark.browser, pytest.mark.slow]


def timing(lyrics: str, ad_lib: str = "yeah") -> list[dict[str, Any]]:
    """A tenth of a second a word; between the lines one is sung that is not in the text."""
    lines = [line.split() for line in lyrics.splitlines() if line and not line.startswith("[")]
    words = [word for line in lines for word in (*line[:-1], line[-1] + "\n", ad_lib)]
    return [{"word": word, "start": number / 10, "end": number / 10 + 0.09} for number, word in enumerate(words)]


def finished(site: Site, video: Path, poster: Path, **changes: Any) -> str:
    site.song("song1", stage="rendering", entry_status="processing", **changes)
    site.finish("song1", video, poster)
    return f"{site.address}/result/song1"


def seek(page: Page, seconds: float) -> None:
    page.evaluate("time => { document.querySelector('video').currentTime = time }", seconds)


def test_words_light_up_while_they_are_sung(page: Page, site: Site, video: Path, poster: Path) -> None:
    address = finished(site, video, poster, word_timing=timing(LYRICS))
    page.goto(address)
    expect(page.locator(".lyrics .word")).to_have_count(12)
    now = page.locator(".lyrics .word-now")
    seek(page, 0.25)
    expect(now).to_have_text("to")
    expect(page.locator(".singing")).to_have_text("Marisol wakes to a wagging tail,")
    expect(page.locator(".singing .word-sung")).to_have_count(3)
    seek(page, 0.65)  # what is not in the text lights up in the line alone
    expect(page.locator(".singing .word-now")).to_have_text("yeah")
    expect(now).to_have_count(0)
    seek(page, 1.25)
    expect(now).to_have_text("oh")
    assert page.evaluate("document.querySelector('video').textTracks[0].mode") == "hidden"
    assert page.locator(".lyrics section p").last.inner_text() == "Biscuit, oh Biscuit"


def test_words_follow_the_song_by_themselves(page: Page, site: Site, video: Path, poster: Path) -> None:
    page.goto(finished(site, video, poster, word_timing=timing(LYRICS)))
    expect(page.locator(".lyrics .word")).to_have_count(12)
    page.evaluate("""() => { window.lit = new Set();
        const look = () => document.querySelectorAll(".lyrics .word-now").forEach(word => window.lit.add(word.textContent));
        new MutationObserver(look).observe(document.querySelector(".lyrics"), {subtree: true, attributes: true});
        const video = document.querySelector("video"); video.muted = true;
        return new Promise(done => { video.onended = done; video.play() }) }""")
    assert page.evaluate("window.lit.size") >= 6


def test_nothing_below_jumps_between_the_lines(page: Page, site: Site, video: Path, poster: Path) -> None:
    words = [{"word": "Biscuit\n", "start": 0.1, "end": 0.5}, {"word": "oh", "start": 1.2, "end": 1.8}]
    page.goto(finished(site, video, poster, word_timing=words))
    line, button = page.locator(".singing"), page.get_by_role("link", name="Download video")
    heights = []
    for seconds, sung in [(0.2, "Biscuit"), (0.8, ""), (1.4, "oh")]:
        seek(page, seconds)
        expect(line).to_have_text(sung)
        box = button.bounding_box()
        assert box
        heights.append(box["y"])
    assert len(set(heights)) == 1


def test_a_song_without_word_timing_has_its_lyrics_all_the_same(page: Page, site: Site, video: Path, poster: Path) -> None:
    page.goto(finished(site, video, poster))
    expect(page.get_by_role("heading", name="Chorus")).to_be_visible()
    expect(page.locator("track")).to_have_count(0)
    expect(page.locator(".singing")).to_have_count(0)


def test_every_format_can_be_downloaded(page: Page, site: Site, video: Path, poster: Path) -> None:
    address = finished(site, video, poster)
    site.add_rendition("song1", "story", video.read_bytes(), width=1080, height=1920)
    page.goto(address)
    with page.expect_download() as download:
        page.get_by_role("link", name="Download Story 1080 × 1920").click()
    assert download.value.suggested_filename.endswith("(Story).mp4")


def test_the_song_can_be_deleted_by_the_browser_that_made_it_alone(
    make_visitor: Callable[..., Visitor], site: Site, video: Path, poster: Path
) -> None:
    maker, friend = make_visitor().page(), make_visitor().page()
    maker.goto(site.address)
    fill_in(maker)
    send(maker)
    maker.wait_for_url("**/waiting/*")
    (row,) = site.rows()
    site.finish(row.session_id, video, poster)
    address = f"{site.address}/result/{row.session_id}"
    friend.goto(address)
    expect(friend.get_by_role("button", name="Copy link")).to_be_visible()
    expect(friend.get_by_role("button", name="Delete my song")).to_be_hidden()
    maker.goto(address)
    maker.get_by_role("button", name="Delete my song").click()
    maker.get_by_role("button", name="Keep it").click()
    expect(maker.locator("video")).to_be_visible()
    maker.get_by_role("button", name="Delete my song").click()
    maker.get_by_role("button", name="Yes, delete it").click()
    expect(maker.get_by_role("heading", name="This song has played its last turn")).to_be_visible()
    assert stored(maker)["entries"] == []
    friend.reload()
    expect(friend.get_by_role("heading", name="This song has played its last turn")).to_be_visible()


def test_a_deletion_that_fails_says_so_and_can_be_tried_again(page: Page, site: Site, video: Path, poster: Path) -> None:
    address = finished(site, video, poster)
    page.goto(f"{site.address}/terms")
    memory = '{"cookie_id": "cookie_test", "entries": [{"session_id": "song1"}]}'
    page.evaluate("memory => localStorage.setItem('submission_data', memory)", memory)
    page.goto(address)
    page.route("**/delete", lambda route: route.abort())
    page.get_by_role("button", name="Delete my song").click()
    page.get_by_role("button", name="Yes, delete it").click()
    expect(page.get_by_text("The song could not be deleted just now. Please try again.")).to_be_visible()
    page.unroute("**/delete")
    page.get_by_role("button", name="Yes, delete it").click()
    expect(page.get_by_role("heading", name="This song has played its last turn")).to_be_visible()
