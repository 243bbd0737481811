"""The record: what turns. Vinyl with grooves, run-out wax, a label ring around the hole for the photo."""

import math
import random

from PIL import Image, ImageDraw

from scripts.drawing_kit import (
    CREAM,
    DISC,
    FINE,
    GAPS,
    GOLD,
    GROOVES,
    HOLE,
    LABEL,
    RIM,
    VINYL,
    WAX,
    Point,
    around,
    heart,
    mix,
    ring_mask,
    scaled,
)


def record() -> Image.Image:
    """Vinyl with bands of grooves, run-out wax and a label ring of hearts around a round hole for the photo."""
    side = DISC * FINE
    middle = (DISC / 2, DISC / 2)
    disc = Image.new("RGB", (side, side), VINYL)
    pen = ImageDraw.Draw(disc)
    pen.ellipse(around(middle, RIM), fill=(52, 40, 46))
    pen.ellipse(around(middle, RIM - 1.6), fill=(30, 20, 25))
    pen.ellipse(around(middle, RIM - 7), fill=(17, 10, 14))
    pen.ellipse(around(middle, RIM - 8.5), fill=VINYL)
    _grooves(pen, middle)
    pen.ellipse(around(middle, WAX), fill=(20, 12, 17))
    pen.ellipse(around(middle, LABEL + 1.5), fill=(10, 5, 8))
    _label(pen, middle)
    small = disc.reduce(FINE).convert("RGBA")
    small.putalpha(ring_mask(DISC, HOLE, RIM - 0.5))
    return small


def _grooves(pen: ImageDraw.ImageDraw, middle: Point) -> None:
    """A groove a pixel: loud passages are cut wider and lighter than soft ones, the gaps between songs are smooth."""
    chance = random.Random(7)
    loud, radius = 10.0, GROOVES
    while radius > WAX:
        loud += (11.0 - loud) * 0.06 + chance.uniform(-1.7, 1.7)
        gap = min(abs(radius - at) for at in GAPS)
        light = 3.0 if gap < 2.2 else 17.0 if gap < 3.2 else max(2.0, loud + chance.uniform(-5, 5))
        pen.ellipse(around(middle, radius), fill=mix(VINYL, (156, 122, 132), light / 100))
        radius -= 1.0


def _label(pen: ImageDraw.ImageDraw, middle: Point) -> None:
    steps = 60
    for step in range(steps):
        radius = LABEL - (LABEL - HOLE) * step / steps
        pen.ellipse(around(middle, radius), fill=mix((196, 44, 78), (232, 92, 112), step / steps))
    for radius, width, colour in ((LABEL, 1.8, GOLD), (HOLE + 6.5, 5, CREAM), (HOLE + 1.5, 3, GOLD)):
        pen.ellipse(around(middle, radius), outline=colour, width=round(width * FINE))
    track = (LABEL + HOLE + 6) / 2
    for number in range(24):
        angle = 360 / 24 * number
        at = (middle[0] + track * math.sin(math.radians(angle)), middle[1] - track * math.cos(math.radians(angle)))
        if number % 2:
            pen.ellipse(around(at, 2.1), fill=(255, 214, 190))
        else:
            pen.polygon(scaled(heart(at, 15.5, angle)), fill=CREAM)
