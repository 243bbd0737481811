"""/api/docs in a browser: the viewer runs under the pages' own content policy and asks nobody but us."""
from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from microsite import Site
from visitors import DESKTOP, Visitor

pytest_plugins = "browser_fixtures"
pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_the_viewer_shows_every_call_and_asks_nobody_else(make_visitor: Callable[..., Visitor], site: Site) -> None:
    page = make_visitor(viewport=DESKTOP).page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{site.address}/api/docs")
    expect(page.get_by_role("heading", name="Petsong API")).to_be_visible()
    paths = site.app.test_client().get("/api/openapi.json").get_json()["paths"]
    expect(page.locator(".opblock")).to_have_count(sum(len(methods) for methods in paths.values()))
    page.locator("#operations-Songs-post_api_submissions .opblock-summary-control").click()
    expect(page.get_by_text("Idempotency-Key").first).to_be_visible()
    call = page.locator("#operations-Songs-get_api_availability")
    call.locator(".opblock-summary-control").click()
    call.get_by_role("button", name="Try it out").click()
    call.get_by_role("button", name="Execute").click()
    expect(call.locator(".live-responses-table .response-col_status").last).to_contain_text("200")
    assert asked and all(url.startswith((site.address, "data:", "blob:")) for url in asked), asked
