"""The picture: a photo in a record on a background, at rest or turning. Pillow only; nothing here starts a process."""

import io
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageChops, ImageDraw

from render.backdrop import backdrop
from render.files import publish_bytes
from render.lettering import draw_caption
from render.pictures import artwork, read_photo, square_photo
from render.spec import ARTWORK_SIDE, FORMATS, RECORD_SIDE, VideoSpec

UNSEEN = 8  # of 255: what shows through at the rim of the needle's layer, and nobody sees
KEPT_BYTES = 48 * 1024 * 1024
PREVIEW, PREVIEW_DISC = (1200, 630), 512
Planes = tuple[Image.Image, Image.Image, Image.Image]


@dataclass(frozen=True)
class Layout:
    """A frame of `size` pixels, `scale` of them to one of the artwork's, the record's middle `middle` from the top."""

    size: tuple[int, int]
    scale: float
    middle: int


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


def layout_of(spec: VideoSpec) -> Layout:
    """Where the record lies in the spec's format. It is of one size in formats that say so, whatever the spec's is."""
    kind, height = FORMATS[spec.format], spec.height
    scale = kind.disc / spec.record_size if kind.disc else spec.width / ARTWORK_SIDE
    return Layout((spec.width, height), scale, kind.middle or height // 2)


def make_scene(photo: bytes, spec: VideoSpec, layout: Layout | None = None) -> Scene:
    """Lay out photo, record, needle, background and caption in the spec's format; without the caption in `layout`.

    The record's square has an even number of pixels on each side of it, so that the half-size colour planes of the
    video align with it. Raises RenderError photo_unreadable or artwork_unreadable.
    """
    place = layout or layout_of(spec)
    disc = spec.record_size * place.scale
    side = _aligned(disc, place.size[0])
    corner = ((place.size[0] - side) // 2, (place.middle - side // 2) // 2 * 2)
    square = _square(photo, spec, place.scale, side)
    edge = _disc(side, disc / 2 - 0.75)
    underlay = backdrop(artwork(spec.background).convert("RGB"), place.size, place.middle)
    underlay.putalpha(255)
    underlay.putalpha(_pasted(underlay.getchannel("A"), ImageChops.invert(edge), corner))
    # The needle is drawn for the default record: it grows and shrinks with it, so that it stays in the groove.
    needle = ARTWORK_SIDE * place.scale * spec.record_size / RECORD_SIDE
    underlay.alpha_composite(_above(artwork(spec.needle), needle, place.size, (corner[0] + side // 2, corner[1] + side // 2)))
    mask = ImageChops.invert(underlay.getchannel("A").crop((*corner, corner[0] + side, corner[1] + side)))
    still = underlay.convert("RGB")
    box = FORMATS[spec.format].caption
    if box and spec.caption and layout is None:
        draw_caption(still, spec.caption, box)
    return _cropped(Scene(still, square, mask, corner))


def _cropped(scene: Scene) -> Scene:
    """The scene with no more of its square than shows: what the needle's layer covers need not be turned."""
    side = scene.mask.width
    seen = scene.mask.point([255 if value > UNSEEN else 0 for value in range(256)]).getbbox() or (0, 0, side, side)
    margin = min(seen[0], seen[1], side - seen[2], side - seen[3])
    off = max(0, margin - 1) // 2 * 2
    box = (off, off, side - off, side - off)
    corner = (scene.corner[0] + off, scene.corner[1] + off)
    return Scene(scene.still, scene.square.crop(box), scene.mask.crop(box), corner)


def detail(scene: Scene, spec: VideoSpec) -> int:
    """How much there is to see in the middle of the photo, whatever the format: the bytes of a small JPEG of it."""
    side = min(round(spec.photo_size * layout_of(spec).scale * 0.7), scene.square.width)  # less may show of a large photo
    middle = scene.square.width / 2
    box = (middle - side / 2, middle - side / 2, middle + side / 2, middle + side / 2)
    buffer = io.BytesIO()
    scene.square.resize((128, 128), Image.Resampling.BICUBIC, box=box).save(buffer, "JPEG", quality=50)
    return buffer.tell()


class Turntable:
    """A scene's frames of one clockwise turn, 0 at rest; what turns is drawn once for each, where memory allows to keep it.

    Half and quarter turns are exact flips of frames already drawn, where `count` divides.
    """

    def __init__(self, scene: Scene, count: int) -> None:
        self.count = count
        self._corner = scene.corner
        self._still, self._square, self._mask = _planes(scene.still), _planes(scene.square), _halved(scene.mask)
        flips, disc = math.gcd(count, 4), scene.square.width * scene.square.height * 1.5
        self._keeping = count / flips * disc <= KEPT_BYTES
        self._flips = flips if self._keeping else 1
        self._kept: dict[int, Planes] = {}

    def turn(self) -> Iterator[bytes]:
        """All frames of the turn."""
        return self.frames(range(self.count))

    def frames(self, numbers: Iterable[int]) -> Iterator[bytes]:
        """Raw yuv420p (BT.601, limited range), by number; -1 is the last."""
        for number in numbers:
            yield _frame(self._still, self._at(number % self.count), self._mask, self._corner)

    def _at(self, number: int) -> Planes:
        quarter, first = divmod(number, self.count // self._flips)
        planes = self._kept.get(first) or _turned(self._square, -360 * first / self.count)
        if self._keeping:
            self._kept[first] = planes
        return _flipped(planes, 4 // self._flips * quarter) if quarter else planes


def _turned(planes: Planes, degrees: float) -> Planes:
    return _map(lambda plane: plane.rotate(degrees, Image.Resampling.BICUBIC), planes)


def _flipped(planes: Planes, quarters: int) -> Planes:
    """Clockwise by one to three quarter turns, without resampling."""
    how = (Image.Transpose.ROTATE_270, Image.Transpose.ROTATE_180, Image.Transpose.ROTATE_90)[quarters - 1]
    return _map(lambda plane: plane.transpose(how), planes)


def make_poster(photo: Path, spec: VideoSpec, out: Path) -> None:
    """Write the record at rest, with the caption, as a JPEG of the video's size. Raises RenderError as make_scene does."""
    _save(make_scene(read_photo(photo), spec).at_rest(), out, (88,))


def make_preview(photo: Path, spec: VideoSpec, out: Path) -> None:
    """Write the picture that links are shown with: 1200x630 JPEG under 300 KB, the same artwork in a wide frame."""
    layout = Layout(PREVIEW, PREVIEW_DISC / spec.record_size, PREVIEW[1] // 2)
    _save(make_scene(read_photo(photo), spec, layout).at_rest(), out, (88, 80, 70, 55, 35), 300_000)


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
    record = artwork(spec.record)
    layer = _centred(record, spec.record_size * scale, (side, side))
    pet = round(spec.photo_size * scale)
    picture = square_photo(photo, pet)
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


def _aligned(disc: float, width: int) -> int:
    """The smallest side that holds the disc with a pixel to spare and leaves a multiple of four beside it."""
    side = math.ceil(disc) + 2
    return side + (width - side) % 4


def _above(needle: Image.Image, width: float, size: tuple[int, int], middle: tuple[int, int]) -> Image.Image:
    """The needle's layer on a transparent frame, `width` wide around `middle`; what reaches beyond the frame is cut."""
    side = math.ceil(width / 2) * 2
    layer = Image.new("RGBA", size)
    layer.paste(_centred(needle, width, (side, side)), (middle[0] - side // 2, middle[1] - side // 2))
    return layer


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


def _save(picture: Image.Image, out: Path, qualities: tuple[int, ...], most: int = 0) -> None:
    for quality in qualities:
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=quality, optimize=True, progressive=True)
        if not most or buffer.tell() < most:
            break
    publish_bytes(buffer.getvalue(), out)
