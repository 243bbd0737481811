"""The birthday campaign's artwork, with the brushes of the other one: a petrol evening of balloons and confetti, a yellow
label, and the same turntable in cooler metal."""

import math
import random

from PIL import Image, ImageChops, ImageDraw

from scripts.drawing_arm import PIVOT
from scripts.drawing_kit import (
    DISC,
    FINE,
    FRAME,
    HOLE,
    LABEL,
    Colour,
    Point,
    around,
    dot,
    glow,
    mask_of,
    mix,
    ring_mask,
    scaled,
    tint,
)
from scripts.drawing_needle import needle as rose_needle
from scripts.drawing_record import record as heart_record

DEEP: Colour = (8, 42, 52)
PETROL: Colour = (11, 110, 116)
MINT: Colour = (126, 214, 196)
SUN: Colour = (255, 197, 51)
ORANGE: Colour = (255, 138, 92)
CREAM: Colour = (255, 250, 236)
TURN = 138  # of 256: from rose to petrol on the wheel of hues


def background() -> Image.Image:
    picture = Image.new("RGBA", (FRAME, FRAME), (*mix(PETROL, DEEP, 0.45), 255))
    for middle, radius, colour, strength in (
        ((160, 120), 820, MINT, 0.6), ((940, 1000), 700, PETROL, 0.7), ((1000, 90), 520, SUN, 0.35),
        ((60, 1000), 460, ORANGE, 0.3),
    ):
        picture.alpha_composite(glow(FRAME, middle, radius, colour, strength))
    _lights(picture)
    picture.alpha_composite(tint(FRAME, DEEP, ImageChops.invert(ring_mask(FRAME, 0, 650, 150)), 0.4))
    for middle, size, colour in (
        ((96, 842), 120, ORANGE), ((196, 930), 92, SUN), ((1000, 870), 104, MINT), ((92, 150), 84, SUN),
        ((186, 92), 62, ORANGE),
    ):
        _balloon(picture, middle, size, colour)
    _confetti(picture)
    return picture.convert("RGB")


def _lights(picture: Image.Image) -> None:
    chance = random.Random(5)
    for soft, count, sizes in ((14, 12, (40, 90)), (6, 20, (16, 40)), (2, 26, (5, 13))):
        for _ in range(count):
            middle = (chance.uniform(0, FRAME), chance.uniform(0, FRAME))
            mask = dot(middle, chance.uniform(*sizes), soft)
            picture.alpha_composite(tint(FRAME, chance.choice((SUN, CREAM, MINT)), mask, chance.uniform(0.08, 0.24)))


def _balloon(picture: Image.Image, middle: Point, size: float, colour: Colour) -> None:
    """A shadow, a body, light on its upper left, a knot and a string."""
    x, y = middle
    box = (x - size * 0.42, y - size * 0.5, x + size * 0.42, y + size * 0.5)
    knot = [(x, y + size * 0.48), (x - size * 0.07, y + size * 0.57), (x + size * 0.07, y + size * 0.57)]
    string = [(x + math.sin(step / 3) * size * 0.04, y + size * (0.57 + step * 0.03)) for step in range(26)]

    def shape(pen: ImageDraw.ImageDraw) -> None:
        pen.ellipse([value * FINE for value in box], fill=255)
        pen.polygon(scaled(knot), fill=255)

    thread = mask_of(FRAME, lambda pen: pen.line(scaled(string), fill=255, width=round(1.6 * FINE)))
    picture.alpha_composite(tint(FRAME, CREAM, thread, 0.55))
    body = mask_of(FRAME, shape)
    cast = ImageChops.offset(mask_of(FRAME, shape, size * 0.08), round(size * 0.07), round(size * 0.12))
    picture.alpha_composite(tint(FRAME, DEEP, cast, 0.45))
    picture.alpha_composite(tint(FRAME, colour, body))
    under = ImageChops.multiply(body, dot((x + size * 0.3, y + size * 0.42), size * 0.42, size * 0.16))
    picture.alpha_composite(tint(FRAME, mix(colour, DEEP, 0.6), under, 0.55))
    picture.alpha_composite(tint(FRAME, CREAM, dot((x - size * 0.16, y - size * 0.24), size * 0.1, size * 0.04), 0.8))


def _confetti(picture: Image.Image) -> None:
    """Paper strips around the record, none near the upper or lower edge, where taller frames mirror the picture."""
    chance = random.Random(29)
    for _ in range(60):
        middle = (chance.uniform(20, FRAME - 20), chance.uniform(60, FRAME - 60))
        long, wide, turn = chance.uniform(12, 24), chance.uniform(5, 8), chance.uniform(0, math.pi)
        along = (math.cos(turn) * long / 2, math.sin(turn) * long / 2)
        across = (-math.sin(turn) * wide / 2, math.cos(turn) * wide / 2)
        corners = [
            (middle[0] + a * along[0] + b * across[0], middle[1] + a * along[1] + b * across[1])
            for a, b in ((-1, -1), (1, -1), (1, 1), (-1, 1))
        ]
        mask = mask_of(FRAME, lambda pen, shape=corners: pen.polygon(scaled(shape), fill=255))  # type: ignore[misc]
        cast = ImageChops.offset(mask, 3, 5)
        picture.alpha_composite(tint(FRAME, DEEP, cast, 0.35))
        picture.alpha_composite(tint(FRAME, chance.choice((SUN, ORANGE, CREAM, MINT)), mask))


def record() -> Image.Image:
    """The same vinyl with a yellow label of paper bunting."""
    disc = heart_record()
    side, middle = DISC * FINE, (DISC / 2, DISC / 2)
    label = Image.new("RGB", (side, side), SUN)
    pen = ImageDraw.Draw(label)
    for step in range(48):
        start, colour = step * 7.5, (SUN, ORANGE, CREAM, PETROL)[step % 4]
        pen.pieslice(around(middle, LABEL - 6), start, start + 7.5, fill=colour)
    pen.ellipse(around(middle, HOLE + 16), fill=SUN)
    for radius, width, colour in ((LABEL, 2.4, CREAM), (HOLE + 16, 2, CREAM), (HOLE + 5, 4, CREAM)):
        pen.ellipse(around(middle, radius), outline=colour, width=round(width * FINE))
    disc.paste(label.reduce(FINE), (0, 0), ring_mask(DISC, HOLE, LABEL))
    return disc


def needle() -> Image.Image:
    """The other turntable under another light: every hue turned, a plain cap on the pivot."""
    layer = rose_needle()
    hue, saturation, value = layer.convert("RGB").convert("HSV").split()
    turned = hue.point([(at + TURN) % 256 for at in range(256)])
    cool = Image.merge("HSV", (turned, saturation.point([round(at * 0.8) for at in range(256)]), value)).convert("RGB")
    cool.putalpha(layer.getchannel("A"))
    cool.alpha_composite(tint(FRAME, SUN, dot(PIVOT, 13)))
    return cool
