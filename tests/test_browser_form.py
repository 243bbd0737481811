"""Filling in the form: checks beside the fields, the photo and its crop."""
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from microsite import Site
from visitors import add_photo, fill_in, hold_scripts, picture, send, sent_photo

pytest_plugins = "browser_fixtures"
pytestmark = [pytest.mark.browser, pytest.mark.slow]

FORMAT = "Please upload JPG or PNG image under 5MB"


# ---- checks

def test_an_empty_form_names_each_problem_beside_its_field(page: Page, site: Site) -> None:
    page.goto(site.address)
    send(page)
    expected = {
        "pet_name": "Please tell us your pet's name", "pet_type": "Must be one of: Dog, Cat, Bird, Fish, Other",
        "photo": "Please add a photo of your pet", "owner_name": "Please tell us your name",
        "music_vibe": "Must be one of: Chill, Energetic, Romantic, Party, Relaxing, Other",
    }
    for name, message in expected.items():
        expect(page.locator(f"#{name}-error")).to_have_text(message)
    expect(page.get_by_label("Pet name", exact=True)).to_be_focused()
    expect(page.get_by_label("Pet name", exact=True)).to_have_attribute("aria-invalid", "true")
    expect(page.get_by_label("Pet name", exact=True)).to_have_accessible_description(expected["pet_name"])
    assert site.rows() == []


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Rex2", "Only letters and spaces allowed"), ("Rex!", "Only letters and spaces allowed"),
        ("🐶🐶", "Only letters and spaces allowed"), ("Re\u202ex", "Only letters and spaces allowed"),
        ("R", "Must be 2 to 100 characters long"), ("R" * 101, "Must be 2 to 100 characters long"),
        ("रानी", ""), ("Łukasz", ""), ("  Zoe\u0308   Ann ", ""),
    ],
)
def test_names_are_judged_when_the_field_is_left(page: Page, site: Site, name: str, message: str) -> None:
    page.goto(site.address)
    field = page.get_by_label("Pet name", exact=True)
    field.fill(name)
    field.blur()
    expect(page.locator("#pet_name-error")).to_have_text(message)
    expect(field).to_have_attribute("aria-invalid", "true" if message else "false")


def test_a_problem_goes_away_as_soon_as_it_is_mended(page: Page, site: Site) -> None:
    page.goto(site.address)
    send(page)
    page.get_by_label("Pet name", exact=True).fill("Rex")
    expect(page.locator("#pet_name-error")).to_have_text("")
    page.get_by_role("radio", name="Cat").check()
    expect(page.locator("#pet_type-error")).to_have_text("")


def test_how_it_is_said_opens_on_demand_and_reaches_the_row(page: Page, site: Site) -> None:
    page.goto(site.address)
    fill_in(page)
    expect(page.locator("#pet_name_said")).to_be_hidden()
    page.get_by_role("button", name="How is it said?").click()
    page.locator("#pet_name_said").fill("BIS-kit")
    page.locator("#owner_name_said").fill("4")
    send(page)
    expect(page.locator("#owner_name_said-error")).to_have_text("Must be 2 to 60 characters long")
    page.locator("#owner_name_said").fill("")
    send(page)
    page.wait_for_url("**/waiting/*")
    assert (site.rows()[0].pet_name_said, site.rows()[0].owner_name_said) == ("BIS-kit", "")


def test_what_is_entered_before_the_scripts_have_come_stays(page: Page, site: Site) -> None:
    release = hold_scripts(page)
    page.goto(site.address, wait_until="commit")
    page.get_by_role("radio", name="Cat").check()
    field = page.get_by_label("Pet name", exact=True)
    field.fill("Biscuit")
    field.press("Enter")
    page.wait_for_timeout(200)
    assert page.url == f"{site.address}/"
    release()
    expect(page.locator(".hero .record-pause")).to_be_visible()
    expect(field).to_have_value("Biscuit")
    expect(page.get_by_role("radio", name="Cat")).to_be_checked()
    send(page)  # so that the component's own memory of them counts
    expect(page.locator("#owner_name-error")).not_to_be_empty()
    for name in ("pet_name", "pet_type"):
        expect(page.locator(f"#{name}-error")).to_be_empty()


def test_a_draft_wins_over_empty_fields(page: Page, site: Site) -> None:
    page.goto(site.address)
    fill_in(page)
    page.reload()
    expect(page.get_by_text("Change photo")).to_be_visible()
    expect(page.get_by_label("Pet name", exact=True)).to_have_value("Biscuit")
    expect(page.get_by_role("radio", name="Dog")).to_be_checked()
    expect(page.get_by_role("radio", name="Romantic")).to_be_checked()


# ---- the photo

@pytest.mark.parametrize(
    ("file", "message"),
    [
        ({"name": "a.jpg", "mimeType": "image/jpeg", "buffer": b"no picture"}, FORMAT),
        (picture(kind="WEBP"), FORMAT),
        (picture(399, 1000), "This photo is too small: it needs at least 400 × 400 pixels"),
        ({**picture(), "buffer": picture()["buffer"][:200]}, "This photo can't be opened. Please try another one."),
    ],
    ids=["text", "webp", "small", "cut"],
)
def test_unusable_photos_are_named_beside_the_field(page: Page, site: Site, file: Any, message: str) -> None:
    page.goto(site.address)
    page.set_input_files("#photo", files=[file])
    expect(page.locator("#photo-error")).to_have_text(message)
    expect(page.locator("dialog[open]")).to_have_count(0)


def test_a_photo_that_takes_its_time_to_open_is_seen_to_do_so(page: Page, site: Site) -> None:
    page.add_init_script(
        "const decode = HTMLImageElement.prototype.decode;"
        "HTMLImageElement.prototype.decode = function () {"
        " return new Promise(done => { window.open_now = done }).then(() => decode.call(this)) }"
    )
    page.goto(site.address)
    words = page.locator(".photo-words strong")
    expect(words).to_have_text("Choose a photo")
    page.set_input_files("#photo", files=[picture()])
    expect(words).to_have_text("Opening your photo…")
    page.evaluate("window.open_now()")
    expect(page.locator(".cropper-view-box")).to_be_visible()
    expect(words).to_have_text("Choose a photo")


def test_the_crop_is_a_square_jpeg_and_cancel_keeps_the_earlier_one(page: Page, site: Site) -> None:
    page.goto(site.address)
    add_photo(page)
    first = sent_photo(page)
    assert (first.format, first.size) == ("JPEG", (600, 600))
    page.set_input_files("#photo", files=[picture(kind="PNG")])
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("dialog[open]")).to_have_count(0)
    expect(page.locator("#photo")).to_be_focused()
    assert sent_photo(page).tobytes() == first.tobytes()


def test_zoom_and_move_change_what_is_cut_out(page: Page, site: Site) -> None:
    page.goto(site.address)
    page.set_input_files("#photo", files=[picture(1600, 1200)])
    zoom = page.get_by_role("slider", name="Zoom")
    expect(page.locator(".cropper-view-box")).to_be_visible()
    zoom.fill("100")
    page.get_by_role("group", name="Photo position").focus()
    for _ in range(60):
        page.keyboard.press("ArrowRight")
    page.get_by_role("button", name="Use this photo").click()
    red, _, blue = sent_photo(page).resize((1, 1)).getpixel((0, 0))  # type: ignore[misc]
    assert red > 200 and blue < 60


def test_a_photo_straight_from_a_phone_is_turned_upright_and_shrunk(page: Page, site: Site) -> None:
    page.goto(site.address)
    add_photo(page, picture(6000, 4000, orientation=6))  # turned by the camera: red is above, blue below
    photo = sent_photo(page)
    assert photo.size == (600, 600)
    above, below = photo.getpixel((300, 50)), photo.getpixel((300, 550))
    assert above[0] > 200 and below[2] > 200  # type: ignore[index]
