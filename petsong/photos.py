"""A visitor's photo: base64 text of unknown origin → a small, square, harmless JPEG.

Two steps, both of which raise nothing but `PhotoError`:

1. `decode_photo(text)` → at most 5 MB of bytes
2. `safe_square_jpeg(data)` → a 600x600 RGB JPEG rebuilt from pixels, so that nothing of the sent file
   (EXIF with its place, comments, colour profile, bytes after the end) is left in it

Everything cheap is judged first: length, signature, the chain of segments, the header's size. Decoding comes last.
"""

import base64
import binascii
import io
import re
import struct
import threading
import warnings
import zlib

from PIL import ExifTags, Image, ImageCms

MAX_PHOTO_BYTES = 5 * 1024 * 1024
MAX_PIXELS = 25_000_000
MIN_SIDE = 400
SIDE = 600
QUALITY = 90

# A progressive photo has about ten scans. Some kilobytes can hold thousands, and each costs a pass over all pixels.
_MAX_JPEG_SCANS = 100
_MAX_ICC_BYTES = 1024 * 1024
_MAX_BASE64_CHARS = -(-MAX_PHOTO_BYTES // 3) * 4

_JPEG_SIGNATURE = b"\xff\xd8\xff"
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_DATA_PREFIX = re.compile(r"data:[\w.+/;=-]{0,100};base64,", re.ASCII | re.IGNORECASE)
# The next marker that means something: not a stuffed zero, not a restart inside a scan, not a fill byte.
_JPEG_MARKER = re.compile(rb"\xff+([\x02-\xcf\xd8-\xfe])")
_JPEG_WITHOUT_LENGTH = frozenset(b"\xd8")
_JPEG_END, _JPEG_SCAN = 0xD9, 0xDA

# What Pillow's readers are known to raise on broken input; OSError covers UnidentifiedImageError and cut files,
# Warning the bomb warning below and, where a process runs with -W error, the rest.
_UNREADABLE = (
    *(OSError, SyntaxError, ValueError, TypeError, LookupError, ArithmeticError, AttributeError, EOFError),
    *(struct.error, zlib.error, MemoryError, Image.DecompressionBombError, Warning),
)

# Not `catch_warnings` around the call: that swaps process-wide state and is not safe between web threads.
warnings.filterwarnings("error", category=Image.DecompressionBombWarning)

# One 25 MP photo takes up to 200 MB while it is decoded; a full web process must not do that in every thread.
_decoding = threading.BoundedSemaphore(2)

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class PhotoError(Exception):
    """A photo that is refused. `str(error)` is for the visitor, `code` for the API, `reason` (one word) for the log."""

    code = "invalid_image"

    def __init__(self, reason: str, message: str = "Please upload JPG or PNG image under 5MB") -> None:
        super().__init__(message)
        self.reason = reason


def decode_photo(text: str) -> bytes:
    """Strict base64, with or without a `data:…;base64,` prefix → at most 5 MB of bytes. Raises PhotoError."""
    prefix = _DATA_PREFIX.match(text)
    payload = text[prefix.end() :] if prefix else text
    if len(payload) > _MAX_BASE64_CHARS:
        raise PhotoError("too_many_bytes")
    try:
        data = base64.b64decode(payload, validate=True)
    except (binascii.Error, ValueError) as error:
        raise PhotoError("not_base64") from error
    if len(data) > MAX_PHOTO_BYTES:
        raise PhotoError("too_many_bytes")
    if not data:
        raise PhotoError("empty")
    return data


def safe_square_jpeg(data: bytes) -> bytes:
    """A JPEG or PNG (by its bytes; whole, 400x400 or larger, at most 25 MP and 5 MB) → the centre as a 600x600 JPEG.

    Orientation is applied, transparency lies on white, the colours are sRGB, an animation gives its first frame.
    Raises PhotoError.
    """
    if len(data) > MAX_PHOTO_BYTES:
        raise PhotoError("too_many_bytes")
    if data.startswith(_JPEG_SIGNATURE):
        _check_jpeg_whole(data)
    elif data.startswith(_PNG_SIGNATURE):
        _check_png_whole(data)
    else:
        raise PhotoError("wrong_format")
    with _decoding:
        try:
            return _rebuild(data)
        except _UNREADABLE as error:
            raise PhotoError("damaged") from error


def _check_jpeg_whole(data: bytes) -> None:
    """Walk the markers from start to end of image; what phones append after the end does not matter."""
    position, scans = 2, 0
    while marker := _JPEG_MARKER.search(data, position):
        kind = marker[1][0]
        position = marker.end()
        if kind == _JPEG_END:
            return
        if kind in _JPEG_WITHOUT_LENGTH:
            continue
        scans += kind == _JPEG_SCAN
        if scans > _MAX_JPEG_SCANS:
            raise PhotoError("too_many_scans")
        position += int.from_bytes(data[position : position + 2], "big")
    raise PhotoError("cut")


def _check_png_whole(data: bytes) -> None:
    """Walk the chunks up to a complete IEND: Pillow itself is content without the last ones."""
    position = len(_PNG_SIGNATURE)
    while position + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        position += 12 + length
        if kind == b"IEND" and position <= len(data):
            return
    raise PhotoError("cut")


def _rebuild(data: bytes) -> bytes:
    with Image.open(io.BytesIO(data), formats=("JPEG", "PNG")) as image:
        _check_size(*image.size)
        # JPEG only: decode at 1/2, 1/4 or 1/8 where that is still sharp; a fraction of the memory and time.
        image.draft(None, (2 * SIDE, 2 * SIDE))
        image.load()
        # Shrink first, then turn: a centred square is the same square either way, and the full-size copy is saved.
        square = _with_alpha_on_white(_centre_square(_plain_mode(image)))
        square = _as_srgb(square, image.info.get("icc_profile"))
        turn = _TURNS.get(_orientation(image))
    if turn is not None:
        square = square.transpose(turn)
    clean = Image.new("RGB", (SIDE, SIDE), "white")  # a new image has no metadata that a save could pass on
    clean.paste(square)
    out = io.BytesIO()
    clean.save(out, "JPEG", quality=QUALITY)
    return out.getvalue()


def _check_size(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise PhotoError("too_many_pixels")
    if min(width, height) < MIN_SIDE:
        raise PhotoError("too_small", f"This photo is too small. It must be at least {MIN_SIDE}x{MIN_SIDE} pixels")


def _plain_mode(image: Image.Image) -> Image.Image:
    """Any mode a JPEG or PNG can have → one that can be resized well: L, RGB, CMYK or RGBA."""
    if image.mode.startswith("I"):  # 16-bit grey: convert() alone would clip nearly everything to white
        return image.point(lambda value: value * (1 / 256)).convert("L")
    if image.mode != "RGBA" and image.has_transparency_data:
        return image.convert("RGBA")
    if image.mode in ("L", "RGB", "CMYK", "RGBA"):
        return image
    return image.convert("RGB")


def _centre_square(image: Image.Image) -> Image.Image:
    side = min(image.size)
    left, top = (image.width - side) / 2, (image.height - side) / 2
    return image.resize((SIDE, SIDE), Image.Resampling.LANCZOS, box=(left, top, left + side, top + side))


def _with_alpha_on_white(image: Image.Image) -> Image.Image:
    if image.mode != "RGBA":
        return image
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image).convert("RGB")


def _as_srgb(image: Image.Image, profile: object) -> Image.Image:
    """Phones photograph in wider colour spaces; without this their photos come out pale. A bad profile is ignored."""
    if isinstance(profile, bytes) and len(profile) <= _MAX_ICC_BYTES:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            converted = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
        except (ImageCms.PyCMSError, *_UNREADABLE):
            converted = None
        if converted is not None:
            return converted
    return image.convert("RGB")


def _orientation(image: Image.Image) -> int:
    """1-8, and 1 where the EXIF is missing or broken: a photo is not refused for its metadata."""
    try:
        value = image.getexif().get(ExifTags.Base.Orientation, 1)
    except _UNREADABLE:
        return 1
    return value if isinstance(value, int) else 1
