"""What visitors of the site are, bring and do in a browser, for the test_browser_ files."""
import base64
import io
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Browser, BrowserContext, FilePayload, Page, Route, expect

from microsite import Site

PHONE = {"width": 360, "height": 740}
DESKTOP = {"width": 1280, "height": 860}
VIOLATIONS = """document.addEventListener("securitypolicyviolation",
    event => console.error("CSP: " + event.violatedDirective + " " + event.blockedURI))"""


class Visitor:
    """One browser profile and what went wrong in it."""

    def __init__(self, browser: Browser, **options: Any) -> None:
        self.context: BrowserContext = browser.new_context(**{"viewport": PHONE, "locale": "en-US", **options})
        self.context.add_init_script(VIOLATIONS)
        self.complaints: list[str] = []
        self.context.on("console", lambda message: self._heard(message.type, message.text))
        self.context.on("weberror", lambda error: self.complaints.append(f"uncaught: {error.error}"))

    def _heard(self, kind: str, text: str) -> None:
        # The browser itself reports every answer over 399 and every cut request: those the tests cause on purpose.
        if kind in ("error", "warning") and not text.startswith("Failed to load resource"):
            self.complaints.append(text)

    def page(self) -> Page:
        page = self.context.new_page()
        page.set_default_timeout(10_000)
        return page


def picture(width: int = 900, height: int = 700, kind: str = "JPEG", orientation: int = 0) -> FilePayload:
    """Red left half, blue right half."""
    image = Image.new("RGB", (width, height), "blue")
    image.paste("red", (0, 0, width // 2, height))
    file, exif = io.BytesIO(), Image.Exif()
    if orientation:
        exif[0x0112] = orientation
    image.save(file, kind, exif=exif)
    return {"name": f"pet.{kind.lower()}", "mimeType": f"image/{kind.lower()}", "buffer": file.getvalue()}


def add_photo(page: Page, file: FilePayload | Path | None = None) -> None:
    page.set_input_files("#photo", file or picture())
    expect(page.locator(".cropper-view-box")).to_be_visible(timeout=30_000)  # a large one is decoded first
    page.get_by_role("button", name="Use this photo").click()
    expect(page.get_by_text("Change photo")).to_be_visible()


def fill_in(page: Page, pet_name: str = "Biscuit") -> None:
    page.get_by_label("Pet name", exact=True).fill(pet_name)
    page.get_by_role("radio", name="Dog").check()
    add_photo(page)
    page.get_by_role("radio", name="Romantic").check()
    page.get_by_label("Your name", exact=True).fill("Marisol")


def send(page: Page) -> None:
    page.locator("button[type=submit]").click()


def sent_photo(page: Page) -> Image.Image:
    data = page.locator(".photo-picture img[src^=data]").get_attribute("src") or ""
    assert data.startswith("data:image/jpeg;base64,")
    return Image.open(io.BytesIO(base64.b64decode(data.split(",")[1])))


def stored(page: Page) -> Any:
    return json.loads(page.evaluate("localStorage.getItem('submission_data')"))


def remember(page: Page, site: Site, count: int, days_ago: int = 1) -> None:
    """Leave so many earlier songs in the browser's memory."""
    timestamp = f"{datetime.now(UTC) - timedelta(days=days_ago):%Y-%m-%dT%H:%M:%SZ}"
    entries = [{"session_id": f"earlier{n}", "timestamp": timestamp} for n in range(count)]
    page.goto(f"{site.address}/terms")
    memory = json.dumps({"cookie_id": "cookie_test", "entries": entries})
    page.evaluate("text => localStorage.setItem('submission_data', text)", memory)


def values(page: Page) -> tuple[str, str, bool, bool]:
    """What stands in the form: pet's name, owner's name, whether it is a dog, whether there is a photo."""
    return (
        page.get_by_label("Pet name", exact=True).input_value(), page.get_by_label("Your name", exact=True).input_value(),
        page.get_by_role("radio", name="Dog").is_checked(), page.get_by_text("Change photo").is_visible(),
    )


def lose_the_first_answer(page: Page) -> list[str]:
    """The server accepts the first form, but its answer never arrives. The keys of all forms, as they are sent."""
    keys: list[str] = []

    def handle(route: Route) -> None:
        keys.append(route.request.headers["idempotency-key"])
        if len(keys) == 1:
            route.fetch()
            route.abort()
        else:
            route.fallback()

    page.route("**/api/submissions", handle)
    return keys


def hold_scripts(page: Page) -> Callable[[], None]:
    """The page's scripts stay on their way until the returned function is called. Go there with wait_until="commit"."""
    held: list[Route] = []
    page.route("**/*.js*", lambda route: held.append(route))

    def release() -> None:
        for route in held:
            route.continue_()
        page.unroute("**/*.js*")

    return release


def until(page: Page, condition: str) -> None:
    """wait_for_function needs eval, which the pages' own policy forbids."""
    for _ in range(200):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"never true: {condition}")
