"""The picture: a photo in a record on a background, at rest or turning. Pillow only; nothing here starts a process."""

import io
import math
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageChops, ImageDraw, ImageOps

from render.files import publish_bytes
from render.spec import ARTWORK_SIDE, RECORD_SIDE, RenderError, VideoSpec

MAX_PIXELS = 25_000_000
MAX_FILE_BYTES = 50 * 1024 * 1024
KEPT_BYTES = 128 * 1024 * 1024
Planes = tuple[Image.Image, Image.Image, Image.Image]


@dataclass(frozen=True)
class Scene:
    """A picture in two parts: what stands still (RGB) and the square that turns in it (RGB).

    `mask` (L, the square's size) is where the square shows, with the needle above it already taken off: a disc looks
    the same turned, so the mask is made once. `corner` is where the square's top left lies.
    """

    still: Image.Image
    square: Image.Image
    mask: Image.Image
    corner: tuple[int, int]

    def at_rest(self) -> Image.Image:
        """The whole picture, unturned, as RGB."""
        picture = self.still.copy()
        picture.paste(self.square, self.corner, self.mask)
        return picture


def read_photo(path: Path) -> bytes:
    """The photo's bytes. Raises RenderError photo_unreadable when it cannot be read or is larger than 50 MB."""
    return _read(path, "photo_unreadable", "the photo")


def read_artwork(path: Path) -> bytes:
    """A layer's bytes. Raises RenderError artwork_unreadable, naming the file."""
    return _read(path, "artwork_unreadable", f"the artwork {path.name}")


def make_scene(photo: bytes, spec: VideoSpec, size: tuple[int, int] | None = None, scale: float | None = None) -> Scene:
    """Lay out photo, record, needle and background on `size` pixels, `scale` pixels to one of the artwork's.

    The default is the square video. The record's square is of a size that leaves an even number of pixels on each
    side, so that the half-size colour planes of the video align with it.
    Raises RenderError photo_unreadable or artwork_unreadable.
    """
    width, height = size or (spec.size, spec.size)
    scale = scale or spec.size / ARTWORK_SIDE
    disc = spec.record_size * scale
    side = _aligned(disc, height)
    corner = ((width - side) // 2, (height - side) // 2)
    edge = _disc(side, disc / 2 - 0.75)
    underlay = ImageOps.fit(_artwork(spec.background), (width, height), Image.Resampling.LANCZOS)
    underlay.putalpha(255)
    underlay.putalpha(_pasted(underlay.getchannel("A"), ImageChops.invert(edge), corner))
    needle = _artwork(spec.needle)
    # The needle is drawn for the default record: it grows and shrinks with it, so that it stays in the groove.
    still = Image.alpha_composite(
        underlay, _centred(needle, ARTWORK_SIDE * scale * spec.record_size / RECORD_SIDE, (width, height))
    )
    box = (*corner, corner[0] + side, corner[1] + side)
    mask = ImageChops.invert(still.getchannel("A").crop(box))
    return Scene(still.convert("RGB"), _square(photo, spec, scale, side), mask, corner)


def turn(scene: Scene, frames: int) -> Iterator[bytes]:
    """One clockwise turn as `frames` raw yuv420p frames (BT.601, limited range), the first one at rest.

    Half and quarter turns are exact flips of frames already made, where `frames` divides and memory allows.
    """
    still, square, mask = _planes(scene.still), _planes(scene.square), _halved(scene.mask)
    same = math.gcd(frames, 4)
    part = frames // same
    if same > 1 and part * scene.square.width * scene.square.height * 1.5 > KEPT_BYTES:
        same, part = 1, frames
    kept: list[Planes] = []
    for number in range(frames):
        if number < part:
            turned = _turned(square, -360 * number / frames)
            kept += [turned] if same > 1 else []
        else:
            turned = _flipped(kept[number % part], 4 // same * (number // part))
        yield _frame(still, turned, mask, scene.corner)


def _turned(planes: Planes, degrees: float) -> Planes:
    return _map(lambda plane: plane.rotate(degrees, Image.Resampling.BICUBIC), planes)


def _flipped(planes: Planes, quarters: int) -> Planes:
    """Clockwise by one to three quarter turns, without resampling."""
    how = (Image.Transpose.ROTATE_270, Image.Transpose.ROTATE_180, Image.Transpose.ROTATE_90)[quarters - 1]
    return _map(lambda plane: plane.transpose(how), planes)


def make_poster(photo: Path, spec: VideoSpec, out: Path) -> None:
    """Write the record at rest as a JPEG of the video's size. Raises RenderError as make_scene does."""
    _save(make_scene(read_photo(photo), spec).at_rest(), out, (88,))


def make_preview(photo: Path, spec: VideoSpec, out: Path) -> None:
    """Write the picture that links are shown with: 1200x630 JPEG under 300 KB, the same artwork in a wide frame."""
    scale = 512 / spec.record_size
    _save(make_scene(read_photo(photo), spec, (1200, 630), scale).at_rest(), out, (88, 80, 70, 55, 35), 300_000)


def _frame(still: Planes, turned: Planes, masks: tuple[Image.Image, ...], corner: tuple[int, int]) -> bytes:
    parts = []
    for base, disc, mask, shrink in zip(still, turned, masks, (1, 2, 2), strict=True):
        plane = base.copy()
        plane.paste(disc, (corner[0] // shrink, corner[1] // shrink), mask)
        parts.append(plane.tobytes())
    return b"".join(parts)


def _map(change: Callable[[Image.Image], Image.Image], planes: Planes) -> Planes:
    first, second, third = planes
    return change(first), change(second), change(third)


def _planes(picture: Image.Image) -> Planes:
    """RGB to Y, Cb, Cr in limited range, the latter two half as wide and high."""
    luma, blue, red = picture.convert("YCbCr").split()
    luma = luma.point([round(16 + value * 219 / 255) for value in range(256)])
    narrow = [round(128 + (value - 128) * 224 / 255) for value in range(256)]
    return luma, blue.point(narrow).reduce(2), red.point(narrow).reduce(2)


def _halved(mask: Image.Image) -> tuple[Image.Image, Image.Image, Image.Image]:
    half = mask.reduce(2)
    return mask, half, half


def _square(photo: bytes, spec: VideoSpec, scale: float, side: int) -> Image.Image:
    """The photo under the record's hole, or as a disc on it where the record has none; opaque, on black."""
    record = _artwork(spec.record)
    layer = _centred(record, spec.record_size * scale, (side, side))
    pet = round(spec.photo_size * scale)
    picture = _photo(photo).resize((pet, pet), Image.Resampling.LANCZOS)
    at = ((side - pet) // 2, (side - pet) // 2)
    square = Image.new("RGBA", (side, side), (0, 0, 0, 255))
    hole = record.getpixel((record.width // 2, record.height // 2))
    if isinstance(hole, tuple) and hole[3] == 255:
        square.alpha_composite(layer)
        square.paste(picture, at, _disc(pet, pet / 2))
    else:
        square.paste(picture, at)
        square.alpha_composite(layer)
    return square.convert("RGB")


def _aligned(disc: float, height: int) -> int:
    """The smallest side that holds the disc with a pixel to spare and leaves a multiple of four around it."""
    side = math.ceil(disc) + 2
    return side + (height - side) % 4


def _centred(image: Image.Image, width: float, size: tuple[int, int]) -> Image.Image:
    """The image scaled to exactly `width` pixels, fractions included, in the middle of a transparent `size`."""
    unit = image.width / width
    wide, high = size[0] * unit, size[1] * unit
    margin = max(0, math.ceil((wide - image.width) / 2), math.ceil((high - image.height) / 2))
    room = Image.new("RGBA", (image.width + 2 * margin, image.height + 2 * margin))
    room.paste(image, (margin, margin))
    left, top = (room.width - wide) / 2, (room.height - high) / 2
    return room.resize(size, Image.Resampling.LANCZOS, box=(left, top, left + wide, top + high))


def _disc(side: int, radius: float) -> Image.Image:
    fine = 8
    mask = Image.new("L", (side * fine, side * fine))
    middle, reach = side * fine / 2, radius * fine
    box = (middle - reach, middle - reach, middle + reach - 1, middle + reach - 1)
    ImageDraw.Draw(mask).ellipse(box, fill=255)
    return mask.reduce(fine)


def _pasted(base: Image.Image, patch: Image.Image, corner: tuple[int, int]) -> Image.Image:
    base.paste(patch, corner)
    return base


def _photo(data: bytes) -> Image.Image:
    """A square RGB picture: orientation applied, transparency on white, the middle of the longer side."""
    picture = ImageOps.exif_transpose(_decoded(data, "photo_unreadable", "the photo"))
    if "A" in picture.getbands() or "transparency" in picture.info:
        white = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(white, picture.convert("RGBA"))
    side = min(picture.size)
    return ImageOps.fit(picture.convert("RGB"), (side, side))


def _artwork(path: Path) -> Image.Image:
    return _decoded(read_artwork(path), "artwork_unreadable", f"the artwork {path.name}").convert("RGBA")


def _read(path: Path, code: str, what: str) -> bytes:
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise RenderError(code, f"{what} cannot be read: {error.strerror}", str(path)) from None
    if len(data) > MAX_FILE_BYTES:
        raise RenderError(code, f"{what} is larger than {MAX_FILE_BYTES // 1024**2} MB")
    return data


def _decoded(data: bytes, code: str, what: str) -> Image.Image:
    """JPEG or PNG by its bytes; the header's size is checked before a pixel is decoded."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's own size warning and broken EXIF: judged below
            picture = Image.open(io.BytesIO(data), formats=("JPEG", "PNG"))
            if picture.width * picture.height > MAX_PIXELS:
                raise RenderError(code, f"{what} has {picture.width}x{picture.height} pixels,"
                                  f" more than {MAX_PIXELS // 1_000_000} million")
            picture.load()
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError, MemoryError) as error:
        raise RenderError(code, f"{what} is not a whole JPEG or PNG", repr(error)) from None
    return picture


def _save(picture: Image.Image, out: Path, qualities: tuple[int, ...], most: int = 0) -> None:
    for quality in qualities:
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=quality, optimize=True, progressive=True)
        if not most or buffer.tell() < most:
            break
    publish_bytes(buffer.getvalue(), out)
