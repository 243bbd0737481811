"""For everybody: no finding of axe-core in any state, the journey by keyboard alone, names as a screen reader hears them."""
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from microsite import ROOT, Site, make_assets
from scripts.gallery.stage import served
from scripts.gallery.states import STATES
from visitors import DESKTOP, PHONE, Visitor, fill_in, picture

pytest_plugins = "browser_fixtures"
pytestmark = [pytest.mark.browser, pytest.mark.slow]

AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"
WIDE = ("form-filled", "form-errors", "waiting-late", "result")  # whose layout differs most from the phone's


@pytest.fixture(scope="module")
def gallery(video: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site with a song in every state, in the campaign whose colours the other tests do not see."""
    make_assets()
    poster = tmp_path_factory.mktemp("poster") / "poster.jpg"
    poster.write_bytes(picture(720, 720)["buffer"])
    with served("birthday", video, poster) as site:
        yield site


def findings(page: Page) -> list[str]:
    page.evaluate(AXE.read_text("utf-8") + "; null")
    result = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{rule['id']}: {node['html'][:160]} {node['failureSummary']}"
        for rule in result["violations"] for node in rule["nodes"]
    ]


@pytest.mark.parametrize(
    ("state", "viewport"), [(name, PHONE) for name in STATES] + [(name, DESKTOP) for name in WIDE],
    ids=lambda value: value if isinstance(value, str) else str(value["width"]),
)
def test_axe_finds_nothing(browser: Browser, gallery: Site, state: str, viewport: Any) -> None:
    context = browser.new_context(viewport=viewport, locale="de" if viewport is DESKTOP else "en", reduced_motion="reduce")
    page = context.new_page()
    STATES[state].prepare(page, gallery)
    expect(page.locator(STATES[state].shows).first).to_be_visible()
    assert findings(page) == []
    context.close()


def test_axe_would_find_something(browser: Browser, gallery: Site) -> None:
    page = browser.new_page()
    page.goto(gallery.address)
    page.evaluate("document.querySelector('.part').style.color = '#fdd'")
    page.evaluate("document.querySelector('.record-pause').ariaLabel = ''")
    assert {"color-contrast", "button-name"} <= {finding.partition(":")[0] for finding in findings(page)}
    page.close()


# ---- by keyboard

def press_until(page: Page, selector: str, key: str = "Tab") -> None:
    for _ in range(40):
        page.keyboard.press(key)
        if page.evaluate("selector => document.activeElement.matches(selector)", selector):
            return
    raise AssertionError(f"the keyboard never comes to {selector}")


def test_the_whole_journey_by_keyboard(page: Page, site: Site, video: Path, poster: Path) -> None:
    page.goto(site.address)
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    press_until(page, "#pet_name")
    page.keyboard.type("Biscuit")
    press_until(page, "input[name=pet_type]")
    page.keyboard.press("ArrowRight")
    press_until(page, "#photo")
    page.set_input_files("#photo", files=[picture()])  # the system's own file dialog is not the page's
    expect(page.locator(".cropper-view-box")).to_be_visible()
    press_until(page, ".crop-stage")
    page.keyboard.press("ArrowLeft")
    press_until(page, "dialog.crop .button-main")
    page.keyboard.press("Enter")
    expect(page.locator("#photo")).to_be_focused()
    press_until(page, "input[name=music_vibe]")
    page.keyboard.press("ArrowRight")
    press_until(page, "#owner_name")
    page.keyboard.type("Marisol")
    page.keyboard.press("Enter")
    page.wait_for_url("**/waiting/*")
    (row,) = site.rows()
    assert (row.pet_name, row.owner_name, row.pet_type) == ("Biscuit", "Marisol", "Cat")
    press_until(page, ".record-pause")
    page.keyboard.press("Space")
    assert page.locator(".record-disc").evaluate("disc => getComputedStyle(disc).animationPlayState") == "paused"
    site.finish(row.session_id, video, poster)
    page.goto(f"{site.address}/result/{row.session_id}")
    press_until(page, "video")
    press_until(page, "a[href$='download=1']")
    press_until(page, ".delete-song .button-quiet")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Keep it")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Delete my song")).to_be_focused()


# ---- as a screen reader hears it

def test_the_form_as_it_is_heard(page: Page, site: Site) -> None:
    page.goto(site.address)
    expect(page.locator("form")).to_match_aria_snapshot("""
      - form "Your song":
        - heading "Who is it for?" [level=2]
        - textbox "Pet name"
        - radiogroup "Pet type":
          - radio "Dog"
          - radio "Cat"
          - radio "Bird"
          - radio "Fish"
          - radio "Other"
        - button /Pet photo/
        - heading "How should it sound?" [level=2]
        - radiogroup "Music vibe":
          - radio "Chill"
          - radio "Energetic"
          - radio "Romantic"
          - radio "Party"
          - radio "Relaxing"
          - radio "Other"
        - heading "And who sends it?" [level=2]
        - textbox "Your name"
        - button "How is it said?"
        - button "Make our love song"
    """)
    fill_in(page)
    expect(page.get_by_role("status").filter(has_text="Your photo is on the record.")).to_have_count(1)
    expect(page.get_by_label("Pet name", exact=True)).to_have_accessible_description("")


# A button's label changes when it is pressed: then it is there.
UNHEARD = """() => Array.from(document.querySelectorAll("[role=status], [role=alert], [aria-live]"))
    .filter(region => !region.closest("dialog:not([open]), [hidden], button") && !region.checkVisibility())
    .map(region => region.outerHTML)"""


@pytest.mark.parametrize("path", ["/", "/waiting/song1", "/result/song2"])
def test_what_will_be_announced_has_its_place_before(page: Page, site: Site, video: Path, poster: Path, path: str) -> None:
    """Screen readers pass over the first words of a region that was no part of the page."""
    page.add_init_script("navigator.share = async () => {}")
    site.song("song1", stage="queued", entry_status="pending")
    site.song("song2", stage="rendering", entry_status="processing")
    site.finish("song2", video, poster)
    page.goto(site.address + path, wait_until="networkidle")
    assert page.locator("[role=status], [role=alert], [aria-live]").count() > 2
    assert page.evaluate(UNHEARD) == []


def test_the_share_button_says_how_far_it_is(page: Page, site: Site) -> None:
    page.add_init_script("navigator.share = async () => {}")
    page.goto(f"{site.address}/result/{site.song('song1')}")
    label = page.get_by_role("button", name="Share", exact=True).locator("span")
    expect(label).to_have_attribute("aria-live", "polite")


def test_the_result_as_it_is_heard(
    make_visitor: Callable[..., Visitor], site: Site, video: Path, poster: Path
) -> None:
    page = make_visitor().page()
    site.song("song1", stage="rendering", entry_status="processing")
    site.finish("song1", video, poster)
    page.goto(f"{site.address}/result/song1")
    expect(page.get_by_role("article")).to_match_aria_snapshot("""
      - article:
        - heading "A love song for Biscuit, from Marisol" [level=1]
        - link "Download video"
        - button "Copy link"
        - heading "Share the love" [level=2]
        - link "WhatsApp (opens in a new tab)"
        - link "Facebook (opens in a new tab)"
        - link "X (opens in a new tab)"
        - button "TikTok"
        - button "Instagram"
        - region "Lyrics":
          - heading "Lyrics" [level=2]
          - heading "Verse 1" [level=3]
          - heading "Chorus" [level=3]
        - link "Create another song"
    """)
    assert re.search("^A love song for Biscuit", page.locator("video").get_attribute("aria-label") or "")
