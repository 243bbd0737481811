"""Writes screenshots/<campaign>/<language>/<width>/<state>.png: look at each before calling a change of the pages done."""
import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, expect, sync_playwright

from browser_fixtures import ARGUMENTS
from microsite import Site
from petsong.campaigns.loader import load_campaign
from scripts.gallery import small
from scripts.gallery.stage import rendered, served
from scripts.gallery.states import STATES, State

ROOT = Path(__file__).resolve().parents[2]
CAMPAIGNS = ("valentines", "birthday")
SIZES = {360: 740, 1280: 860}


def main() -> None:
    parser = argparse.ArgumentParser("scripts/screenshots", description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "screenshots", metavar="DIR", help="default: %(default)s")
    parser.add_argument("--campaign", choices=CAMPAIGNS, help="only this one")
    parser.add_argument("--language", help="only this one")
    parser.add_argument("--width", type=int, choices=SIZES, help="only this one")
    parser.add_argument("--readme", action="store_true", help="make the pictures of docs/img instead")
    parser.add_argument("--share", action="store_true", help="make the campaigns' share.jpg instead")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"only these states, of {', '.join(STATES)}")
    options = parser.parse_args()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=ARGUMENTS)
        for campaign in (options.campaign,) if options.campaign else CAMPAIGNS:
            if options.share:
                print(small.share_picture(browser, load_campaign(campaign)))
                continue
            with served(campaign, *rendered(campaign, ROOT / ".petsong" / "gallery")) as site:
                if options.readme:
                    small.readme_pictures(browser, site, campaign, ROOT / "docs" / "img")
                else:
                    _photograph(browser, site, campaign, options)
        browser.close()


def _photograph(browser: Browser, site: Site, campaign: str, options: argparse.Namespace) -> None:
    for language in load_campaign(campaign).languages:
        if options.language in (None, language):
            for width in (options.width,) if options.width else SIZES:
                folder = options.out / campaign / language / str(width)
                folder.mkdir(parents=True, exist_ok=True)
                for name, state in STATES.items():
                    if not options.names or name in options.names:
                        _one(browser, site, state, language, width, folder / f"{name}.png")


def _one(browser: Browser, site: Site, state: State, language: str, width: int, file: Path) -> None:
    with visit(browser, language, width) as page:
        state.prepare(page, site)
        expect(page.locator(state.shows).first).to_be_visible()
        page.mouse.move(0, 0)  # nothing is under the pointer
        if state.whole:
            page.evaluate("window.scrollTo(0, 0)")
        page.wait_for_timeout(150)
        page.screenshot(path=file, full_page=state.whole)
    print(file)


@contextmanager
def visit(browser: Browser, language: str, width: int) -> Iterator[Page]:
    context = browser.new_context(
        viewport={"width": width, "height": SIZES[width]}, locale=language, reduced_motion="reduce", has_touch=width < 600,
        is_mobile=width < 600,
    )
    page = context.new_page()
    page.set_default_timeout(10_000)
    yield page
    context.close()


if __name__ == "__main__":
    main()
