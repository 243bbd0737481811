"""Every state of the pages that a visitor can meet, and how to get there."""
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from playwright.sync_api import FilePayload, Page, expect

from microsite import Site
from scripts.cartoon import cartoon_pet


@dataclass(frozen=True)
class State:
    prepare: Callable[[Page, Site], None]
    shows: str  # a selector that must be visible
    whole: bool = True  # the whole page, not only the window


def _at(path: str) -> Callable[[Page, Site], None]:
    def go(page: Page, site: Site) -> None:
        page.goto(site.address + path, wait_until="networkidle")

    return go


def _photo(page: Page) -> None:
    page.set_input_files("#photo", FilePayload(name="dog.jpg", mimeType="image/jpeg", buffer=cartoon_pet()))
    expect(page.locator(".cropper-view-box")).to_be_visible()


def _crop(page: Page, site: Site) -> None:
    _at("/")(page, site)
    _photo(page)


def _filled(page: Page, site: Site) -> None:
    _crop(page, site)
    page.locator("dialog.crop .button-main").click()
    page.locator("#pet_name").fill("Biscuit")
    page.locator("#owner_name").fill("Marisol")
    page.locator("input[value=Dog]").check()
    page.locator("input[value=Romantic]").check()
    page.locator(".said-toggle").click()


def _errors(page: Page, site: Site) -> None:
    _at("/")(page, site)
    page.locator("#pet_name").fill("R2")
    page.locator("button[type=submit]").click()


def _remembering(page: Page, site: Site, count: int) -> None:
    names = ["finished", "plain", "singing", *(f"song{number}" for number in range(20))][:count]
    timestamp = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    entries = [{"session_id": name, "timestamp": timestamp} for name in names]
    page.goto(f"{site.address}/terms")
    keepsakes = {name: {"pet_name": "Biscuit", "photo": ""} for name in names}
    memory = {"submission_data": {"cookie_id": "cookie_test", "entries": entries}, "petsong_keepsakes": keepsakes}
    for key, value in memory.items():
        page.evaluate("([key, value]) => localStorage.setItem(key, value)", [key, json.dumps(value)])


def _your_songs(page: Page, site: Site) -> None:
    _remembering(page, site, 3)
    _at("/")(page, site)


def _sold_out(page: Page, site: Site) -> None:
    _remembering(page, site, 10)
    _at("/")(page, site)


def _opens_later(page: Page, site: Site) -> None:
    body = {"open": False, "reason": "sold_out", "message": "Not open yet.", "opens_at": "2027-02-01T08:00:00Z"}
    page.route("**/api/availability", lambda route: route.fulfill(json=body))
    _at("/")(page, site)


def _answered(page: Page, site: Site, status: int, code: str, retry_after: int) -> None:
    body = {"success": False, "code": code, "error": code, "message": "So many songs are being made right now."}
    headers = {"Retry-After": str(retry_after)}
    page.route("**/api/submissions", lambda route: route.fulfill(status=status, json=body, headers=headers))
    _filled(page, site)
    page.locator("button[type=submit]").click()


def _busy(page: Page, site: Site) -> None:
    _answered(page, site, 503, "busy", 120)


def _too_many(page: Page, site: Site) -> None:
    _answered(page, site, 429, "too_many_requests", 240)


def _waiting(name: str) -> Callable[[Page, Site], None]:
    def go(page: Page, site: Site) -> None:
        _filled(page, site)  # the photo is this browser's own
        photo = page.locator(".photo-record .record-label img[src^=data]").get_attribute("src")
        keepsake = json.dumps({name: {"pet_name": "Biscuit", "photo": photo}})
        page.evaluate("value => localStorage.setItem('petsong_keepsakes', value)", keepsake)
        _at(f"/waiting/{name}")(page, site)

    return go


def _late(page: Page, site: Site) -> None:
    page.clock.install()
    _at("/waiting/singing")(page, site)
    page.clock.fast_forward(301_000)


def _offline(page: Page, site: Site) -> None:
    page.route("**/status", lambda route: route.abort())
    _at("/waiting/singing")(page, site)


def _gone(page: Page, site: Site) -> None:
    page.route("**/status", lambda route: route.fulfill(status=404, json={"success": False}))
    _at("/waiting/singing")(page, site)


def _broken(page: Page, site: Site) -> None:
    page.route("**/storage/video/*", lambda route: route.abort())
    _at("/result/plain")(page, site)


def _sung(page: Page, site: Site) -> None:
    _remembering(page, site, 1)
    _at("/result/finished")(page, site)
    expect(page.locator(".lyrics .word").first).to_be_visible()
    page.evaluate("document.querySelector('video').currentTime = 6.9")


def _erase(page: Page, site: Site) -> None:
    _sung(page, site)
    page.locator(".delete-song .button-quiet").click()


STATES = {
    "form": State(_at("/"), ".song-form"),
    "form-filled": State(_filled, ".photo-record"),
    "form-errors": State(_errors, "#pet_name-error:not(:empty)"),
    "form-crop": State(_crop, ".cropper-view-box", whole=False),
    "form-songs": State(_your_songs, "#your-songs li"),
    "form-sold-out": State(_sold_out, "dialog.sold-out[open]", whole=False),
    "form-opens": State(_opens_later, "dialog.sold-out[open]", whole=False),
    "form-busy": State(_busy, ".toast", whole=False),
    "form-too-many": State(_too_many, ".toast", whole=False),
    "waiting-queued": State(_waiting("queued"), ".stage-text"),
    "waiting-singing": State(_waiting("singing"), ".stage-text"),
    "waiting-neutral": State(_at("/waiting/pressing"), ".stage-text"),
    "waiting-late": State(_late, ".late"),
    "waiting-offline": State(_offline, ".waiting .notice"),
    "waiting-gone": State(_gone, ".message-page h1"),
    "result": State(_sung, ".word-now"),
    "result-plain": State(_at("/result/plain"), ".lyrics"),
    "result-broken": State(_broken, ".notice"),
    "result-delete": State(_erase, ".delete-song dialog[open]", whole=False),
    "failed": State(_at("/result/failed"), "h1"),
    "expired": State(_at("/result/expired"), "h1"),
    "not-found": State(_at("/no/such/page"), "h1"),
    "terms": State(_at("/terms"), "h1"),
    "privacy": State(_at("/privacy"), "h1"),
}
