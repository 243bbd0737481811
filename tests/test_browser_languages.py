"""Visitors of another language: the whole journey, what the scripts say, and what the server says in English."""
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from microsite import Site
from petsong.campaigns.loader import load_campaign
from petsong.web.languages import texts_in
from visitors import DESKTOP, PHONE, Visitor, picture, remember, send

pytest_plugins = "browser_fixtures"
pytestmark = [pytest.mark.browser, pytest.mark.slow]

GERMAN = texts_in("de")
FORM = GERMAN["script_form"]


@pytest.fixture
def german(make_visitor: Callable[..., Visitor]) -> Page:
    return make_visitor(locale="de-CH").page()


def fill_in(page: Page, pet_name: str = "Krümel") -> None:
    page.get_by_label("Name des Tiers", exact=True).fill(pet_name)
    page.get_by_role("radio", name="Hund").check()
    page.set_input_files("#photo", picture())
    page.get_by_role("button", name="Dieses Foto nehmen").click()
    expect(page.get_by_text("Anderes Foto")).to_be_visible()
    page.get_by_role("radio", name="Romantisch").check()
    page.get_by_label("Dein Name", exact=True).fill("Zoë")


def answer(page: Page, status: int, code: str, message: str = "English", **more: Any) -> None:
    headers = {"Retry-After": "240"} if status in (429, 503) else {}
    body = {"success": False, "code": code, "error": code, "message": message, **more}
    page.route("**/api/submissions", lambda route: route.fulfill(status=status, json=body, headers=headers))


@pytest.mark.parametrize("viewport", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_the_journey_in_german_by_the_link_in_an_english_browser(
    make_visitor: Callable[..., Visitor], site: Site, viewport: Any, video: Path, poster: Path
) -> None:
    page = make_visitor(viewport=viewport).page()
    page.goto(site.address)
    page.get_by_label("Pet name", exact=True).fill("Krümel")
    page.get_by_role("link", name="Deutsch").click()
    expect(page.get_by_label("Name des Tiers", exact=True)).to_have_value("Krümel")  # nothing typed is lost
    fill_in(page)
    send(page)
    page.wait_for_url("**/waiting/*?lang=de")
    expect(page.get_by_text("Wir warten auf einen freien Platz im Studio")).to_be_visible()
    expect(page.get_by_text("Du bist Nummer 1 in der Schlange")).to_be_visible()
    (row,) = site.rows()
    assert (row.pet_type, row.music_vibe) == ("Dog", "Romantic")
    site.finish(row.session_id, video, poster)
    page.reload()
    page.wait_for_url(f"**/result/{row.session_id}?lang=de")
    expect(page.get_by_role("heading", level=1)).to_have_text("Ein Liebeslied für Krümel, von Zoë")
    page.get_by_role("link", name="Noch ein Lied machen").click()
    link = page.get_by_role("link", name="Lied für Krümel")
    expect(link).to_have_attribute("href", f"/result/{row.session_id}?lang=de")


def test_fields_are_judged_in_german(german: Page, site: Site) -> None:
    german.goto(site.address)
    send(german)
    expected = {
        "pet_name": FORM["required_pet_name"], "photo": FORM["photo_required"], "owner_name": FORM["required_owner_name"],
        "pet_type": "Bitte wähle eines davon: Hund, Katze, Vogel, Fisch, Anderes",
    }
    for name, message in expected.items():
        expect(german.locator(f"#{name}-error")).to_have_text(message)
    german.locator("#pet_name").fill("R2")
    expect(german.locator("#pet_name-error")).to_have_text("Nur Buchstaben und Leerzeichen sind erlaubt")
    german.set_input_files("#photo", picture(399, 1000))
    expect(german.locator("#photo-error")).to_have_text(FORM["photo_small"])


@pytest.mark.parametrize(
    ("status", "code", "shown"),
    [
        (503, "busy", FORM["busy"]), (503, "unavailable", FORM["unavailable"]), (500, "server_error", FORM["server_error"]),
        (429, "too_many_requests", "Das waren viele Versuche auf einmal. Versuch es bitte in 4 Minuten wieder."),
        (409, "idempotency_mismatch", FORM["already_received"]),
    ],
)
def test_the_servers_english_is_said_in_german(german: Page, site: Site, status: int, code: str, shown: str) -> None:
    answer(german, status, code)
    german.goto(site.address)
    fill_in(german)
    send(german)
    expect(german.get_by_role("alert")).to_contain_text(shown)
    expect(german.get_by_role("alert")).not_to_contain_text("English")
    expect(german.locator("#pet_name")).to_have_value("Krümel")


def test_the_servers_objections_to_fields_are_said_in_german(german: Page, site: Site) -> None:
    answer(german, 400, "validation_failed", fields={"owner_name": "Not this", "pet_name": "Nor this"})
    german.goto(site.address)
    fill_in(german)
    send(german)
    expect(german.locator("#owner_name-error")).to_have_text(FORM["not_taken"])
    german.unroute("**/api/submissions")
    answer(german, 400, "invalid_image")
    send(german)
    expect(german.locator("#photo-error")).to_have_text(FORM["photo_format"])


def test_sold_out_and_closed_are_said_in_german(german: Page, site: Site) -> None:
    message = load_campaign("valentines").opening.message
    closed: dict[str, Any] = {"open": False, "reason": "sold_out", "message": message, "estimated_seconds": None}
    german.route("**/api/availability", lambda route: route.fulfill(json=closed))
    german.goto(site.address)
    dialog = german.get_by_role("dialog", name="Schade, alles ausverkauft!")
    expect(dialog).to_contain_text("Unsere Lieder zum Valentinstag sind für dieses Jahr vorbei.")
    closed["message"] = "Geschlossen bis Montag."  # an operator's own words, as they are
    german.reload()
    expect(dialog).to_contain_text("Geschlossen bis Montag.")
    closed.update(message="Songs can be ordered from 1 February 2027, 18:00 (UTC).", opens_at="2027-02-01T18:00:00Z")
    german.reload()
    expect(german.get_by_role("dialog", name="Noch nicht so weit")).to_contain_text("Lieder gibt es ab 1. Februar 2027 um")
    german.unroute("**/api/availability")
    remember(german, site, 10)
    german.goto(site.address)
    expect(dialog).to_contain_text(FORM["limit_reached"])


def test_a_long_heading_keeps_its_word_whole_on_a_phone(german: Page, site: Site) -> None:
    german.goto(f"{site.address}/terms", wait_until="networkidle")
    heading = german.get_by_role("heading", level=1)
    expect(heading).to_have_text("Teilnahmebedingungen")
    lines = "h1 => { const all = document.createRange(); all.selectNodeContents(h1); return all.getClientRects().length }"
    assert heading.evaluate(lines) == 1


def test_the_switch_works_without_scripts(make_visitor: Callable[..., Visitor], site: Site) -> None:
    page = make_visitor(java_script_enabled=False).page()
    page.goto(f"{site.address}/terms")
    page.get_by_role("link", name="Deutsch").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Teilnahmebedingungen")
    page.get_by_role("link", name="Datenschutz").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Datenschutz")
    page.goto(f"{site.address}/?lang=de")
    expect(page.locator("main noscript p")).to_contain_text("braucht diese Seite JavaScript")
