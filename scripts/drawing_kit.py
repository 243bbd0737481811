"""Colours, measures and brushes of the artwork: shapes drawn finely and reduced, soft masks, tinted layers."""

import math
from collections.abc import Callable, Sequence

from PIL import Image, ImageDraw, ImageFilter

FINE = 3
FRAME = 1080
DISC = 736

Point = tuple[float, float]
Colour = tuple[int, int, int]

NIGHT: Colour = (70, 12, 44)
ROSE: Colour = (214, 66, 98)
CORAL: Colour = (248, 142, 122)
BLUSH: Colour = (255, 214, 200)
CREAM: Colour = (255, 244, 232)
GOLD: Colour = (226, 178, 120)
VINYL: Colour = (24, 15, 20)

# Radii at 1080 scale. The hole is a little smaller than the 360 px photo, whose edge it hides.
HOLE, LABEL, WAX, GROOVES, RIM, PLATTER = 177.0, 214.0, 226.0, 350.0, 368.0, 394.0
GAPS = (258.0, 289.0, 322.0)  # between songs
MIDDLE: Point = (FRAME / 2, FRAME / 2)


def mix(one: Colour, two: Colour, share: float) -> Colour:
    """`share` 0 is one, 1 is two."""
    first, second, third = (round(a + (b - a) * min(1.0, max(0.0, share))) for a, b in zip(one, two, strict=True))
    return first, second, third


def heart(middle: Point, width: float, tilt: float = 0.0) -> list[Point]:
    """A heart's outline as a polygon, `tilt` in degrees."""
    points, turn = [], math.radians(tilt)
    for step in range(180):
        angle = math.radians(step * 2)
        x = 16 * math.sin(angle) ** 3
        y = -(13 * math.cos(angle) - 5 * math.cos(2 * angle) - 2 * math.cos(3 * angle) - math.cos(4 * angle))
        x, y = x * width / 32, y * width / 32
        points.append((middle[0] + x * math.cos(turn) - y * math.sin(turn),
                       middle[1] + x * math.sin(turn) + y * math.cos(turn)))
    return points


def scaled(points: Sequence[Point], factor: float = FINE) -> list[Point]:
    return [(x * factor, y * factor) for x, y in points]


def around(middle: Point, radius: float, factor: float = FINE) -> tuple[float, float, float, float]:
    """The box of a circle."""
    x, y, reach = middle[0] * factor, middle[1] * factor, radius * factor
    return x - reach, y - reach, x + reach - 1, y + reach - 1


def mask_of(side: int, draw: Callable[[ImageDraw.ImageDraw], None], soft: float = 0.0) -> Image.Image:
    """A shape drawn at full fineness as a mask of `side` pixels; `soft` is the blur's radius in them."""
    mask = Image.new("L", (side * FINE, side * FINE))
    draw(ImageDraw.Draw(mask))
    mask = mask.reduce(FINE)
    return mask.filter(ImageFilter.GaussianBlur(soft)) if soft else mask


def ring_mask(side: int, inner: float, outer: float, soft: float = 0.0) -> Image.Image:
    middle = (side / 2, side / 2)

    def draw(pen: ImageDraw.ImageDraw) -> None:
        pen.ellipse(around(middle, outer), fill=255)
        if inner:
            pen.ellipse(around(middle, inner), fill=0)

    return mask_of(side, draw, soft)


def tint(side: int, colour: Colour, mask: Image.Image, strength: float = 1.0) -> Image.Image:
    """One colour as a layer that is as opaque as the mask says."""
    layer = Image.new("RGBA", (side, side), (*colour, 0))
    layer.putalpha(mask.point([round(value * strength) for value in range(256)]))
    return layer


def glow(side: int, middle: Point, radius: float, colour: Colour, strength: float) -> Image.Image:
    """A soft round light."""
    edge = Image.radial_gradient("L").getpixel((0, 128))  # Pillow's gradient has not ended where its square does
    fall = [round(255 * max(0.0, 1 - value / float(edge)) ** 1.6) for value in range(256)]  # type: ignore[arg-type]
    ball = Image.radial_gradient("L").point(fall)
    reach = round(radius * 2)
    mask = Image.new("L", (side, side))
    mask.paste(ball.resize((reach, reach), Image.Resampling.BICUBIC),
               (round(middle[0] - radius), round(middle[1] - radius)))
    return tint(side, colour, mask, strength)


def dot(middle: Point, radius: float, soft: float = 0.0) -> Image.Image:
    """A disc as a mask of the frame."""
    return mask_of(FRAME, lambda pen: pen.ellipse(around(middle, radius), fill=255), soft)


def fan(beams: Sequence[tuple[float, float, float]], middle: Point = MIDDLE) -> Image.Image:
    """Light fanning out from a point of the frame: (direction in degrees, width in degrees, strength 0-1) each."""
    mask = Image.new("L", (FRAME, FRAME))
    pen = ImageDraw.Draw(mask)
    box = (middle[0] - FRAME, middle[1] - FRAME, middle[0] + FRAME, middle[1] + FRAME)
    for number in range(720):
        at = number / 2
        light = 0.0
        for direction, width, strength in beams:
            away = (at - direction + 180) % 360 - 180
            light += strength * math.exp(-((away / width) ** 2) * 2)
        pen.pieslice(box, at - 0.1, at + 0.6, fill=round(255 * min(1, light)))
    return mask.filter(ImageFilter.GaussianBlur(1.5))
