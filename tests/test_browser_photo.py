"""Photos as phones and hands bring them: huge ones, two fingers, drag and drop, the camera."""
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from microsite import Site
from visitors import Visitor, add_photo, picture, sent_photo

pytest_plugins = "browser_fixtures"
pytestmark = [pytest.mark.browser, pytest.mark.slow]

SHRUNK = """(() => { const made = window.createImageBitmap; window.bitmaps = [];
  window.createImageBitmap = async (...all) => {
    const map = await made(...all); window.bitmaps.push(map.width * map.height); return map } })()"""
CANNOT = ("delete window.createImageBitmap", "window.createImageBitmap = () => Promise.reject(new TypeError())")


def huge(file: Path, width: int = 8064, height: int = 6048, orientation: int = 1) -> Path:
    """As a phone's best camera makes them: 48 megapixels, more than 12 MB; its upper left quarter is red."""
    tile = Image.effect_noise((width // 8, height // 8), 90).convert("RGB")
    image = Image.new("RGB", (width, height))
    for number in range(64):
        image.paste(tile, (number % 8 * tile.width, number // 8 * tile.height))
    image.paste("red", (0, 0, width // 2, height // 2))
    exif = Image.Exif()
    exif[0x0112] = orientation
    image.save(file, "JPEG", quality=80, exif=exif)
    assert file.stat().st_size > 12e6
    return file


def test_48_megapixels_are_shrunk_on_the_way_and_stand_upright(page: Page, site: Site, tmp_path: Path) -> None:
    """Orientation 6: the camera was turned, so the red quarter comes to stand at the upper right."""
    page.add_init_script(SHRUNK)
    page.goto(site.address)
    add_photo(page, huge(tmp_path / "IMG_0048.jpg", orientation=6))
    photo = sent_photo(page).resize((4, 4), Image.Resampling.BOX)
    red, _, blue = photo.getpixel((3, 0))  # type: ignore[misc]
    assert red > 200 and blue < 60
    assert photo.getpixel((0, 0))[2] > 60  # type: ignore[index]
    assert page.evaluate("window.bitmaps.length") == 1 and page.evaluate("window.bitmaps[0]") < 6e6


@pytest.mark.parametrize("without", CANNOT)
def test_browsers_that_cannot_shrink_while_decoding_do_it_by_steps(page: Page, site: Site, without: str) -> None:
    page.add_init_script(without)
    page.goto(site.address)
    add_photo(page, picture(6000, 4000, orientation=6))
    photo = sent_photo(page)
    above, below = photo.getpixel((300, 50)), photo.getpixel((300, 550))
    assert above[0] > 200 and below[2] > 200  # type: ignore[index]


def test_more_pixels_than_a_browser_can_hold_are_refused_before_they_are_decoded(page: Page, site: Site) -> None:
    page.add_init_script(SHRUNK)
    file = bytearray(picture(500, 500)["buffer"])
    frame = file.index(b"\xff\xc0")
    file[frame + 5:frame + 9] = (20000).to_bytes(2, "big") * 2  # what its header says is believed
    page.goto(site.address)
    page.set_input_files("#photo", files=[{"name": "a.jpg", "mimeType": "image/jpeg", "buffer": bytes(file)}])
    expect(page.locator("#photo-error")).to_have_text(
        "This photo has more pixels than a browser can open. Please choose a smaller one."
    )
    assert page.evaluate("window.bitmaps.length") == 0


def test_two_fingers_zoom(make_visitor: Callable[..., Visitor], site: Site) -> None:
    page = make_visitor(has_touch=True, is_mobile=True).page()
    page.goto(site.address)
    page.set_input_files("#photo", files=[picture(1600, 1200)])
    expect(page.locator(".cropper-view-box")).to_be_visible()
    box = page.locator(".crop-stage").bounding_box()
    assert box
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    client = page.context.new_cdp_session(page)
    for kind, apart in [("touchStart", 20), *(("touchMove", apart) for apart in range(30, 110, 10))]:
        points = [{"x": x - apart, "y": y, "id": 0}, {"x": x + apart, "y": y, "id": 1}]
        client.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    client.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    assert int(page.get_by_role("slider", name="Zoom").input_value()) > 20


def test_a_phone_offers_its_camera(make_visitor: Callable[..., Visitor], site: Site) -> None:
    page = make_visitor(has_touch=True, is_mobile=True).page()
    page.goto(site.address)
    with page.expect_file_chooser() as chooser:
        page.get_by_text("Take a photo").click()
    chooser.value.set_files([picture()])
    page.get_by_role("button", name="Use this photo").click()
    expect(page.get_by_text("Change photo")).to_be_visible()


def test_a_photo_can_be_dropped_and_turns_on_the_record(page: Page, site: Site) -> None:
    page.goto(site.address)
    content = list(picture()["buffer"])
    page.evaluate(
        """content => { const data = new DataTransfer();
        data.items.add(new File([new Uint8Array(content)], "pet.jpg", {type: "image/jpeg"}));
        const drop = document.querySelector(".photo-drop");
        for (const kind of ["dragover", "drop"])
            drop.dispatchEvent(new DragEvent(kind, {dataTransfer: data, bubbles: true, cancelable: true})) }""", content,
    )
    page.get_by_role("button", name="Use this photo").click()
    for record in (page.locator(".hero .record"), page.locator(".photo-record .record")):
        expect(record.locator(".record-label img[src^=data]")).to_be_visible()
        assert record.locator(".record-disc").evaluate("disc => getComputedStyle(disc).animationName") == "turn"
    page.locator(".photo-record .record-pause").click()  # one button stops both
    for disc in page.locator(".hero .record-disc, .photo-record .record-disc").all():
        assert disc.evaluate("disc => getComputedStyle(disc).animationPlayState") == "paused"
    expect(page.locator("dialog[open]")).to_have_count(0)
