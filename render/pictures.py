"""Pictures from outside: read, decoded within bounds, and made square."""

import io
import warnings
from pathlib import Path

from PIL import Image, ImageOps

from render.spec import RenderError

MAX_PIXELS = 25_000_000
MAX_FILE_BYTES = 50 * 1024 * 1024


def read_photo(path: Path) -> bytes:
    """The photo's bytes. Raises RenderError photo_unreadable when it cannot be read or is larger than 50 MB."""
    return _read(path, "photo_unreadable", "the photo")


def read_artwork(path: Path) -> bytes:
    """A layer's bytes. Raises RenderError artwork_unreadable, naming the file."""
    return _read(path, "artwork_unreadable", f"the artwork {path.name}")


def square_photo(data: bytes, side: int) -> Image.Image:
    """RGB of `side` pixels: orientation applied, transparency on white, the middle of the longer side.

    Raises RenderError photo_unreadable.
    """
    picture = ImageOps.exif_transpose(_decoded(data, "photo_unreadable", "the photo"))
    if "A" in picture.getbands() or "transparency" in picture.info:
        white = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(white, picture.convert("RGBA"))
    return ImageOps.fit(picture.convert("RGB"), (side, side), Image.Resampling.LANCZOS)


def artwork(path: Path) -> Image.Image:
    """A layer as RGBA. Raises RenderError artwork_unreadable, naming the file."""
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
