"""The operator's desk on a phone and on a screen: nothing runs over the edge, fields have names, forms do what they say."""
from collections.abc import Callable
from datetime import timedelta

import pytest
from playwright.sync_api import Page, expect

from microsite import Site
from petsong import database
from petsong.lifecycle.stages import ENTRY_STATUS, Stage
from visitors import DESKTOP, PHONE, Visitor

pytest_plugins = "browser_fixtures"
NAMES = ("Biscuit", "Maximilian von und zu Schnurrbart", "W" * 100, "<b>Zoë</b>")


@pytest.fixture
def desk(make_site: Callable[..., Site]) -> Site:
    site = make_site(admin_username="boss", admin_password="only-for-this-test")
    with database.connection():
        now = database.now()
    for number, stage in enumerate(Stage):
        site.song(
            f"song{stage}", stage=stage, entry_status=ENTRY_STATUS[stage], created_at=now - timedelta(minutes=number),
            pet_name=NAMES[number % len(NAMES)], fail_reason="service_failed" if stage == Stage.FAILED else None,
        )
    return site


@pytest.fixture
def operator(make_visitor: Callable[..., Visitor]) -> Callable[..., Page]:
    def log_in(**options: object) -> Page:
        credentials = {"username": "boss", "password": "only-for-this-test"}
        return make_visitor(http_credentials=credentials, **options).page()

    return log_in


def reaches_over_the_edge(page: Page) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"))


@pytest.mark.parametrize("viewport", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_every_page_fits_and_names_its_fields(desk: Site, operator: Callable[..., Page], viewport: dict[str, int]) -> None:
    page = operator(viewport=viewport)
    for path in (
        "/admin/submissions", "/admin/submissions?page_size=2&page=2", "/admin/submissions?page=0",
        "/admin/submissions/songfailed", "/admin/submissions/songdone", "/admin/submissions/songqueued/cancel",
        "/admin/retry-all?reason=service_failed",
    ):
        page.goto(desk.address + path)
        assert not reaches_over_the_edge(page), path
        nameless = page.locator("input:not([type=hidden]), select, button").evaluate_all(
            "found => found.filter(one => !(one.labels && one.labels.length) && !one.innerText.trim()).length"
        )
        assert nameless == 0, path
        assert page.locator("h1").count() == 1 and page.locator("main").count() == 1


def test_from_the_list_to_a_cancelled_song(desk: Site, operator: Callable[..., Page]) -> None:
    page = operator()
    page.goto(f"{desk.address}/admin/submissions")
    page.get_by_label("Stage").select_option("generating")
    page.get_by_role("button", name="Filter").click()
    page.get_by_role("link", name="songgenerating").click()
    page.get_by_role("link", name="Cancel…").click()
    page.get_by_role("button", name="Cancel the submission").click()
    expect(page.get_by_role("status")).to_have_text("It was cancelled.")
    expect(page.get_by_text("by boss")).to_be_visible()
    page.get_by_role("button", name="Retry").click()
    expect(page.get_by_role("status")).to_have_text("It goes on.")
    expect(page.locator(".state .badge")).to_have_text("queued")


def test_all_of_one_reason_are_retried_after_the_price_was_shown(desk: Site, operator: Callable[..., Page]) -> None:
    page = operator(viewport=DESKTOP)
    page.goto(f"{desk.address}/admin/submissions?reason=service_failed")
    page.get_by_role("link", name="Retry all of this reason…").click()
    page.get_by_role("button", name="Retry for up to 100 credits").click()
    expect(page.get_by_text("1 of them go on.")).to_be_visible()


def test_the_export_is_a_file(desk: Site, operator: Callable[..., Page]) -> None:
    page = operator(viewport=DESKTOP)
    page.goto(f"{desk.address}/admin/submissions?stage=done")
    with page.expect_download() as download:
        page.get_by_role("link", name="Export as CSV").click()
    lines = download.value.path().read_text("utf-8-sig").splitlines()
    assert download.value.suggested_filename == "submissions.csv" and len(lines) == 2
