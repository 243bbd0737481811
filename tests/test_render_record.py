import io
import struct
import zlib

import pytest
from PIL import Image, ImageDraw, ImageStat

from render import record
from render.record import Turntable, make_poster, make_preview, make_scene
from render.spec import RenderError, VideoSpec
from render.turns import PLAIN_BYTES
from render_media import ART, photo, small_spec, unlike
from scripts.benchmarks.quality import fur_photo


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and has next to no pixels."""
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")


def encoded(picture: Image.Image, kind: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize(("data", "reason"), [
    (png_header(12_000, 12_000), "12000x12000 pixels"), (png_header(60_000, 60_000), "JPEG or PNG"),
    (png_header(500, 500), "JPEG or PNG"), (b"", "JPEG or PNG"), (b"<svg/>", "JPEG or PNG"),
    (encoded(Image.new("RGB", (500, 500)), "GIF"), "JPEG or PNG"),
    (encoded(Image.effect_noise((500, 500), 90), "JPEG")[:9000], "JPEG or PNG"),
])
def test_a_photo_that_cannot_be_used_is_named_before_it_costs_memory(data, reason):
    with pytest.raises(RenderError, match=reason) as caught:
        make_scene(data, small_spec())
    assert (caught.value.code, caught.value.permanent) == ("photo_unreadable", True)


def test_missing_artwork_is_named(tmp_path):
    spec = small_spec()
    wrong = type(spec)(tmp_path / "background.png", spec.record, spec.needle)
    with pytest.raises(RenderError, match="artwork background.png") as caught:
        make_scene(encoded(Image.new("RGB", (9, 9))), wrong)
    assert caught.value.code == "artwork_unreadable"


@pytest.mark.parametrize("picture", [
    Image.new("RGBA", (500, 500), (0, 0, 0, 0)), Image.new("P", (500, 500)), Image.new("L", (500, 500), 128),
    Image.new("CMYK", (500, 500)), Image.new("I;16", (500, 500)), Image.new("1", (401, 900)),
])
def test_every_kind_of_pixel_becomes_rgb(picture):
    kind = "JPEG" if picture.mode == "CMYK" else "PNG"
    assert make_scene(encoded(picture, kind), small_spec()).at_rest().mode == "RGB"


def test_transparency_lies_on_white():
    scene = make_scene(encoded(Image.new("RGBA", (500, 500), (0, 0, 0, 0))), small_spec())
    assert min(scene.at_rest().getpixel((64, 64))) > 240


def test_orientation_is_applied(tmp_path):
    upright = Image.open(photo(tmp_path / "p.png"))
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned clockwise, so it is stored turned the other way
    stored = encoded(upright.transpose(Image.Transpose.ROTATE_90), "PNG", exif=exif)
    plain = encoded(upright)
    assert unlike(make_scene(stored, small_spec()).at_rest(), make_scene(plain, small_spec()).at_rest()) < 1


@pytest.mark.parametrize("count", [30, 60, 45])
def test_flipped_quarters_are_the_frames_that_rotation_would_make(monkeypatch, tmp_path, count):
    scene = make_scene(photo(tmp_path / "p.png").read_bytes(), small_spec())
    quick = list(Turntable(scene, count).turn())
    monkeypatch.setattr(record, "KEPT_BYTES", 0)
    slow = list(Turntable(scene, count).turn())
    assert len(quick) == count
    assert all(len(frame) == 128 * 128 * 3 // 2 for frame in quick)
    worst = max(max(abs(a - b) for a, b in zip(one, two, strict=True)) for one, two in zip(quick, slow, strict=True))
    assert worst <= 3


LARGE_AND_SMALL = [{}, {"photo_size": 640}, {"record_size": 400}, {"photo_size": 16}, {"size": 64, "photo_size": 16}]


@pytest.fixture(scope="module")
def fur() -> bytes:
    return fur_photo()


@pytest.mark.parametrize("campaign", ["valentines", "birthday"])
@pytest.mark.parametrize("sizes", LARGE_AND_SMALL)
def test_detail_is_found_however_little_of_the_photo_shows(fur, campaign, sizes):
    art = ART.parent.parent / campaign / "art"
    spec = VideoSpec(*(art / f"{layer}.png" for layer in ("background", "record", "needle")), **({"size": 720} | sizes))
    pets = (encoded(Image.new("RGB", (600, 600), "red")), fur)
    plain, detailed = (record.detail(make_scene(pet, spec), spec) for pet in pets)
    assert plain > 0 and detailed > 0
    assert sizes or plain < PLAIN_BYTES <= detailed


def test_a_full_turn_ends_where_it_began(tmp_path):
    scene = make_scene(photo(tmp_path / "p.png").read_bytes(), small_spec())
    shown = list(Turntable(scene, 30).turn())
    assert len(set(shown)) == 30


def test_the_record_shows_at_its_size_and_the_photo_in_the_middle(tmp_path):
    plain = tmp_path / "white.png"
    Image.new("RGB", (1080, 1080), "white").save(plain)
    disc = Image.new("RGBA", (736, 736))
    ImageDraw.Draw(disc).ellipse((0, 0, 735, 735), fill="black")
    ImageDraw.Draw(disc).ellipse((188, 188, 547, 547), fill=(0, 0, 0, 0))
    disc.save(tmp_path / "disc.png")
    Image.new("RGBA", (1080, 1080)).save(tmp_path / "none.png")
    spec = type(small_spec())(plain, tmp_path / "disc.png", tmp_path / "none.png", size=720)
    shown = make_scene(encoded(Image.new("RGB", (600, 600), "red")), spec).at_rest()
    row = [shown.getpixel((x, 360)) for x in range(720)]
    dark = [x for x, colour in enumerate(row) if max(colour) < 128]
    red = [x for x, (r, g, b) in enumerate(row) if r > 200 and g < 60]
    assert (min(dark), max(dark)) == (pytest.approx(360 - 245, abs=2), pytest.approx(359 + 245, abs=2))
    assert (min(red), max(red)) == (240, 479)


def test_a_record_without_a_hole_has_the_photo_on_it(tmp_path):
    Image.new("RGBA", (736, 736), "black").save(tmp_path / "disc.png")
    spec = type(small_spec())(ART / "background.png", tmp_path / "disc.png", ART / "needle.png")
    shown = make_scene(encoded(Image.new("RGB", (600, 600), "red")), spec).at_rest()
    assert shown.getpixel((360, 360))[0] > 200


def test_poster_and_preview_are_jpegs_for_pages_and_links(tmp_path):
    pet = tmp_path / "noise.jpg"
    Image.merge("RGB", [Image.effect_noise((600, 600), 120)] * 3).save(pet, quality=95)
    make_poster(pet, small_spec(size=720), tmp_path / "poster.jpg")
    make_preview(pet, small_spec(size=720), tmp_path / "preview.jpg")
    for name, size in (("poster", (720, 720)), ("preview", (1200, 630))):
        with Image.open(tmp_path / f"{name}.jpg") as made:
            assert (made.format, made.size, made.mode) == ("JPEG", size, "RGB")
            assert max(ImageStat.Stat(made).stddev) > 20
    assert (tmp_path / "preview.jpg").stat().st_size < 300_000
    assert sorted(path.name for path in tmp_path.iterdir()) == ["noise.jpg", "poster.jpg", "preview.jpg"]
