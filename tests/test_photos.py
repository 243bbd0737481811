import base64
import io
import struct
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, ImageOps, PngImagePlugin

from petsong import photos
from petsong.photos import PhotoError, decode_photo, safe_square_jpeg

RED, GREEN, BLUE, WHITE = (220, 30, 30), (30, 180, 30), (30, 30, 220), (255, 255, 255)


def as_bytes(image: Image.Image, format: str = "JPEG", **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, format, **options)
    return out.getvalue()


def plain(mode: str = "RGB", size: tuple[int, int] = (640, 480), colour: object = RED) -> Image.Image:
    return Image.new(mode, size, colour)


def corners(size: tuple[int, int] = (600, 600)) -> Image.Image:
    image = plain(size=size, colour=WHITE)
    image.paste(RED, (0, 0, size[0] // 2, size[1] // 2))
    image.paste(BLUE, (size[0] // 2, 0, size[0], size[1] // 2))
    return image


def opened(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def near(pixel: object, wanted: tuple[int, int, int], by: int = 12) -> bool:
    return all(abs(a - b) <= by for a, b in zip(pixel, wanted, strict=True))  # type: ignore[call-overload]


def refused(data: bytes) -> PhotoError:
    with pytest.raises(PhotoError) as caught:
        safe_square_jpeg(data)
    return caught.value


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


# --- base64 ---


@pytest.mark.parametrize("prefix", ["", "data:image/jpeg;base64,", "data:image/png;base64,", "data:;base64,"])
def test_base64_decodes_with_and_without_a_data_prefix(prefix: str) -> None:
    assert decode_photo(prefix + base64.b64encode(b"\xff\xd8 photo").decode()) == b"\xff\xd8 photo"


@pytest.mark.parametrize(
    "text",
    ["", "data:image/jpeg;base64,", "%%%", "QUJD\n", "QUJ", "QUJD!", "é", "data:image/png,QUJD", "QUI=QUI=", "\0"],
)
def test_anything_but_strict_base64_is_refused(text: str) -> None:
    with pytest.raises(PhotoError) as caught:
        decode_photo(text)
    assert (caught.value.code, str(caught.value)) == ("invalid_image", "Please upload JPG or PNG image under 5MB")


def test_five_megabytes_pass_and_one_byte_more_does_not() -> None:
    limit = 5 * 1024 * 1024
    assert len(decode_photo(base64.b64encode(bytes(limit)).decode())) == limit
    with pytest.raises(PhotoError, match="under 5MB"):
        decode_photo(base64.b64encode(bytes(limit + 1)).decode())


@given(st.one_of(st.text(), st.binary().map(lambda data: "data:image/png;base64," + base64.b64encode(data).decode())))
def test_decoding_raises_nothing_but_photo_error(text: str) -> None:
    try:
        assert isinstance(decode_photo(text), bytes)
    except PhotoError:
        pass


# --- what comes out ---


@pytest.mark.parametrize("format", ["JPEG", "PNG"])
def test_the_result_is_a_600_square_rgb_jpeg_of_the_centre(format: str) -> None:
    image = plain(size=(1000, 500), colour=GREEN)
    image.paste(RED, (0, 0, 240, 500))
    result = opened(safe_square_jpeg(as_bytes(image, format)))
    assert (result.format, result.mode, result.size) == ("JPEG", "RGB", (600, 600))
    assert near(result.getpixel((5, 300)), GREEN) and near(result.getpixel((595, 300)), GREEN)


def test_no_metadata_of_any_kind_survives() -> None:
    exif = Image.Exif()
    exif[0x010E] = "SECRET-PLACE"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    jpeg = as_bytes(plain(), exif=exif, comment=b"SECRET-COMMENT", icc_profile=profile) + b"SECRET-TAIL"
    texts = PngImagePlugin.PngInfo()
    texts.add_text("Comment", "SECRET-TEXT")
    for data in (jpeg, as_bytes(plain(), "PNG", exif=exif, pnginfo=texts)):
        assert b"SECRET" in data
        result = safe_square_jpeg(data)
        assert b"SECRET" not in result
        assert set(opened(result).info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["JPEG", "PNG"])
def test_orientation_is_applied(orientation: int, format: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = as_bytes(corners((801, 600)), format, exif=exif)
    wanted = ImageOps.fit(ImageOps.exif_transpose(opened(data)), (600, 600))
    result = opened(safe_square_jpeg(data))
    for spot in ((150, 150), (450, 150), (150, 450), (450, 450)):
        assert near(result.getpixel(spot), wanted.getpixel(spot))


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_a_nonsense_orientation_or_broken_exif_is_no_reason_to_refuse() -> None:
    exif = Image.Exif()
    exif[0x0112] = 4711
    assert near(opened(safe_square_jpeg(as_bytes(corners(), exif=exif))).getpixel((150, 150)), RED)
    broken = b"Exif\0\0II*\0\xff\xff\xff\x7f" + b"\xff" * 20
    assert near(opened(safe_square_jpeg(as_bytes(corners(), exif=broken))).getpixel((150, 150)), RED)


def test_transparency_lies_on_white() -> None:
    clear = plain("RGBA", colour=(0, 0, 0, 0))
    half = plain("RGBA", colour=(255, 0, 0, 128))
    keyed = plain("RGB", colour=BLUE)
    assert near(opened(safe_square_jpeg(as_bytes(clear, "PNG"))).getpixel((300, 300)), WHITE)
    assert near(opened(safe_square_jpeg(as_bytes(half, "PNG"))).getpixel((300, 300)), (255, 127, 127))
    assert near(opened(safe_square_jpeg(as_bytes(keyed, "PNG", transparency=BLUE))).getpixel((300, 300)), WHITE)


@pytest.mark.parametrize(
    ("image", "format", "wanted"),
    [
        (plain("CMYK", colour=(0, 255, 255, 0)), "JPEG", (255, 0, 0)),
        (plain("L", colour=90), "JPEG", (90, 90, 90)),
        (plain("L", colour=90), "PNG", (90, 90, 90)),
        (plain("LA", colour=(90, 0)), "PNG", WHITE),
        (plain("1", colour=1), "PNG", WHITE),
        (plain("RGB", colour=GREEN).quantize(4), "PNG", GREEN),
        (plain("I;16", colour=0x8000), "PNG", (128, 128, 128)),
    ],
)
def test_every_kind_of_colour_is_read_rightly(image: Image.Image, format: str, wanted: tuple[int, int, int]) -> None:
    assert near(opened(safe_square_jpeg(as_bytes(image, format))).getpixel((300, 300)), wanted)


def test_an_embedded_profile_is_turned_into_srgb_and_a_broken_one_is_ignored() -> None:
    lab_like = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    swapped = lab_like.replace(b"rXYZ", b"tXYZ").replace(b"bXYZ", b"rXYZ").replace(b"tXYZ", b"bXYZ")
    assert swapped != lab_like
    data = as_bytes(plain(colour=RED), icc_profile=swapped)
    red, _, blue = opened(safe_square_jpeg(data)).getpixel((300, 300))
    assert blue > red
    for junk in (b"not a profile", lab_like[:200]):
        assert near(opened(safe_square_jpeg(as_bytes(plain(), icc_profile=junk))).getpixel((300, 300)), RED)


def test_an_animated_png_gives_its_first_frame() -> None:
    data = as_bytes(plain(colour=RED), "PNG", save_all=True, append_images=[plain(colour=BLUE)], duration=100)
    assert near(opened(safe_square_jpeg(data)).getpixel((300, 300)), RED)


def test_a_phone_jpeg_with_a_second_picture_and_a_tail_is_read() -> None:
    two = as_bytes(plain(colour=RED), "MPO", save_all=True, append_images=[plain(colour=BLUE)])
    assert near(opened(safe_square_jpeg(two + b"\xff\xda tail \xff\xda")).getpixel((300, 300)), RED)


def test_a_progressive_jpeg_is_read() -> None:
    assert near(opened(safe_square_jpeg(as_bytes(corners(), progressive=True))).getpixel((150, 150)), RED)


# --- what is refused ---


@pytest.mark.parametrize("format", ["GIF", "BMP", "WEBP", "TIFF", "ICO", "PPM"])
def test_other_formats_are_refused_whatever_they_claim(format: str) -> None:
    assert str(refused(as_bytes(plain(), format))) == "Please upload JPG or PNG image under 5MB"


@pytest.mark.parametrize("size", [(399, 400), (400, 399), (1, 1), (399, 2000)])
def test_a_side_under_400_is_refused_with_the_rule(size: tuple[int, int]) -> None:
    assert "400x400" in str(refused(as_bytes(plain(size=size), "PNG")))


def test_exactly_400_passes() -> None:
    assert opened(safe_square_jpeg(as_bytes(plain(size=(400, 400))))).size == (600, 600)


def test_a_bomb_is_refused_by_its_header_before_any_pixel_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_decoding(*_: object) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load", no_decoding)
    for width, height, reason in ((5001, 5000, "too_many_pixels"), (12_000, 12_000, "damaged")):
        header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
        data = photos._PNG_SIGNATURE + png_chunk(b"IHDR", header)
        data += png_chunk(b"IDAT", zlib.compress(bytes(1000))) + png_chunk(b"IEND", b"")
        assert refused(data).reason == reason


def test_twenty_five_megapixels_pass() -> None:
    assert opened(safe_square_jpeg(as_bytes(plain(size=(5000, 5000)), "PNG"))).size == (600, 600)


@pytest.mark.parametrize("format", ["JPEG", "PNG"])
@pytest.mark.parametrize("progressive", [False, True])
def test_a_photo_cut_anywhere_is_refused(format: str, progressive: bool) -> None:
    image = Image.effect_noise((420, 400), 90).convert("RGB")
    data = as_bytes(image, format, progressive=progressive)
    safe_square_jpeg(data)
    for length in {1, 3, 20, 200, len(data) // 2, *range(len(data) - 14, len(data))}:
        refused(data[:length])


def test_a_cut_photo_with_a_whole_thumbnail_inside_is_still_refused() -> None:
    exif = b"Exif\0\0" + as_bytes(plain(size=(64, 64)))
    data = as_bytes(Image.effect_noise((420, 400), 90), exif=exif)
    refused(data[:-2])


def test_a_jpeg_of_thousands_of_scans_is_refused_before_decoding() -> None:
    data = as_bytes(plain(), progressive=True)
    first = data.index(b"\xff\xda")
    scan = data[first : data.index(b"\xff", first + 2)]
    assert refused(data[:first] + scan * 500 + data[first:]).reason == "too_many_scans"


def test_more_than_five_megabytes_are_refused_unseen() -> None:
    assert refused(as_bytes(plain()) + bytes(5 * 1024 * 1024)).reason == "too_many_bytes"


JPEG_SEED, PNG_SEED = as_bytes(corners((400, 400))), as_bytes(corners((400, 400)), "PNG")


@settings(max_examples=150, deadline=None)
@given(st.sampled_from([JPEG_SEED, PNG_SEED]), st.lists(st.tuples(st.integers(0, 4000), st.binary(max_size=6))))
def test_a_mangled_file_raises_nothing_but_photo_error(seed: bytes, changes: list[tuple[int, bytes]]) -> None:
    data = bytearray(seed)
    for place, new in changes:
        place %= len(data)
        data[place : place + len(new)] = new
    try:
        assert opened(safe_square_jpeg(bytes(data))).size == (600, 600)
    except PhotoError:
        pass
