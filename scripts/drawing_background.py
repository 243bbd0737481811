"""The background: evening rose to coral, hearts of light out of focus, a few of paper."""

import math
import random

from PIL import Image, ImageChops

from scripts.drawing_kit import (
    BLUSH,
    CORAL,
    CREAM,
    FRAME,
    NIGHT,
    ROSE,
    glow,
    heart,
    mask_of,
    mix,
    ring_mask,
    scaled,
    tint,
)


def background() -> Image.Image:
    """Evening rose to coral, lit from the upper left, with hearts out of focus and a few of paper in the corners."""
    across = Image.linear_gradient("L").rotate(40, Image.Resampling.BICUBIC).crop((55, 55, 201, 201))
    ramp = across.resize((FRAME, FRAME), Image.Resampling.BICUBIC)
    low, high = ramp.getextrema()
    stops = [(v - float(low)) / (float(high) - float(low)) for v in range(256)]  # type: ignore[arg-type]
    colours = [mix(CORAL, ROSE, s / 0.5) if s < 0.5 else mix(ROSE, NIGHT, (s - 0.5) / 0.62) for s in stops]
    picture = Image.merge("RGB", [ramp.point([colour[band] for colour in colours]) for band in range(3)])
    picture = picture.convert("RGBA")
    for middle, radius, colour, strength in (
        ((170, 130), 760, BLUSH, 0.72), ((930, 980), 640, ROSE, 0.5), ((1000, 110), 520, CORAL, 0.4),
    ):
        picture.alpha_composite(glow(FRAME, middle, radius, colour, strength))
    _bokeh(picture)
    corners = ImageChops.invert(ring_mask(FRAME, 0, 640, 150))
    picture.alpha_composite(tint(FRAME, NIGHT, corners, 0.34))
    _paper_hearts(picture)
    return picture.convert("RGB")


def _bokeh(picture: Image.Image) -> None:
    chance = random.Random(14)
    for soft, count, sizes, strengths in ((16, 14, (90, 190), (0.08, 0.16)), (7, 22, (38, 95), (0.10, 0.22)),
                                          (2.5, 30, (12, 34), (0.14, 0.34))):
        for _ in range(count):
            middle = (chance.uniform(0, FRAME), chance.uniform(0, FRAME))
            size, tilt = chance.uniform(*sizes), chance.uniform(-28, 28)
            colour = chance.choice((BLUSH, CREAM, CORAL))
            shape = scaled(heart(middle, size, tilt))
            mask = mask_of(FRAME, lambda pen, shape=shape: pen.polygon(shape, fill=255), soft)  # type: ignore[misc]
            picture.alpha_composite(tint(FRAME, colour, mask, chance.uniform(*strengths)))


def _paper_hearts(picture: Image.Image) -> None:
    """Cut paper: a shadow, a body lit from above, a fold down the middle.

    None is near the upper or lower edge, where the picture goes on as its reflection in taller frames.
    """
    for middle, size, tilt, colour in (
        ((104, 914), 128, -18, (255, 112, 124)), ((210, 976), 70, 14, (255, 200, 188)), ((62, 796), 54, 22, CREAM),
        ((1002, 876), 92, 20, (244, 112, 118)), ((926, 972), 58, -12, BLUSH), ((84, 104), 66, -16, CREAM),
        ((178, 78), 40, 18, (255, 160, 150)),
    ):
        outline = heart(middle, size, tilt)
        shade = mask_of(FRAME, lambda pen, o=outline, s=size: pen.polygon(  # type: ignore[misc]
            scaled([(x + s * 0.06, y + s * 0.12) for x, y in o]), fill=255), size * 0.07)
        body = mask_of(FRAME, lambda pen, o=outline: pen.polygon(scaled(o), fill=255))  # type: ignore[misc]
        picture.alpha_composite(tint(FRAME, NIGHT, shade, 0.5))
        picture.alpha_composite(tint(FRAME, colour, body))
        lean = math.radians(tilt)
        right = [(middle[0] + math.sin(lean) * size, middle[1] - math.cos(lean) * size),
                 (middle[0] + math.cos(lean) * size, middle[1] + math.sin(lean) * size),
                 (middle[0] - math.sin(lean) * size, middle[1] + math.cos(lean) * size)]
        half = mask_of(FRAME, lambda pen, r=right: pen.polygon(scaled(r), fill=255), 1.2)  # type: ignore[misc]
        picture.alpha_composite(tint(FRAME, NIGHT, ImageChops.multiply(half, body), 0.14))
