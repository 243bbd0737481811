"""The artwork's square background behind a frame of another shape."""

from PIL import Image, ImageFilter, ImageOps, ImageStat

# How the artwork goes out of focus beyond its edges: blur in pixels, complete so many pixels outside.
DEPTHS = ((20, 56), (44, 200))
DUSK = 0.8  # how much of it lies over the far end of the longer extension


def backdrop(art: Image.Image, size: tuple[int, int], middle: int) -> Image.Image:
    """`art` (RGB, square) on `size` pixels.

    A frame that is as wide as high, or wider, shows its middle. A taller one shows all of it with its middle `middle`
    pixels from the top; beyond its edges the picture goes on as its own reflection, further and further out of focus and
    into the dusk: light and colours go on, no edge shows, and text can be read on it.
    """
    width, height = size
    if width >= height:
        return ImageOps.fit(art, size, Image.Resampling.LANCZOS)
    sharp = art.resize((width, width), Image.Resampling.LANCZOS)
    top = middle - width // 2
    outside = [max(top - y, y - top - width + 1, 0) for y in range(height)]
    whole = _reflected(sharp, size, top)
    for blur, depth in DEPTHS:
        soft = whole.reduce(4).filter(ImageFilter.GaussianBlur(blur / 4)).resize(size, Image.Resampling.BICUBIC)
        whole.paste(soft, mask=_rows(width, [away / depth for away in outside]))
    whole.paste(_dusk(sharp), mask=_rows(width, [DUSK * away / max(outside) for away in outside]))
    return whole


def _reflected(art: Image.Image, size: tuple[int, int], top: int) -> Image.Image:
    whole = Image.new("RGB", size)
    flipped = ImageOps.flip(art)
    whole.paste(flipped, (0, top - art.height))
    whole.paste(art, (0, top))
    whole.paste(flipped, (0, top + art.height))
    return whole


def _dusk(art: Image.Image) -> tuple[int, int, int]:
    """The colour of the artwork's lower edge late in the evening: darker, and no greyer for it."""
    red, green, blue = ImageStat.Stat(art.crop((0, art.height * 7 // 8, art.width, art.height))).mean
    low = min(red, green, blue)
    return round(0.5 * (red - low * 0.3)), round(0.5 * (green - low * 0.3)), round(0.5 * (blue - low * 0.3))


def _rows(width: int, shares: list[float]) -> Image.Image:
    """A mask that is the same across: a row's share from 0 to 1, eased at both ends."""
    parts = (min(1.0, share) for share in shares)
    column = bytes(round(255 * part * part * (3 - 2 * part)) for part in parts)
    return Image.frombytes("L", (1, len(column)), column).resize((width, len(column)))
