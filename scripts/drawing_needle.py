"""What stands still above and around the record: shadow, platter, grooves with the light on them, the tone arm above all.

Grooves look the same turned, so they stand still as well: turned pixel by pixel they would flicker, and cost more of
the video than the photo does.
"""

import random

from PIL import Image, ImageChops, ImageDraw

from scripts.drawing_arm import tone_arm
from scripts.drawing_kit import (
    DISC,
    FRAME,
    GAPS,
    GROOVES,
    HOLE,
    LABEL,
    MIDDLE,
    PLATTER,
    RIM,
    WAX,
    around,
    dot,
    fan,
    mask_of,
    ring_mask,
    tint,
)
from scripts.drawing_record import record

LIGHT_DEGREES = -52.0


def needle() -> Image.Image:
    layer = Image.new("RGBA", (FRAME, FRAME))
    _shadow(layer)
    _platter(layer)
    _vinyl(layer)
    _sheen(layer)
    tone_arm(layer)
    return layer


def _shadow(layer: Image.Image) -> None:
    outside = ImageChops.invert(ring_mask(FRAME, 0, RIM - 1.5))
    for drop, radius, soft, strength in ((30, PLATTER + 4, 34, 0.5), (8, PLATTER + 2, 8, 0.4)):
        cast = ImageChops.offset(ring_mask(FRAME, 0, radius, soft), drop // 2, drop)
        layer.alpha_composite(tint(FRAME, (40, 4, 24), ImageChops.multiply(cast, outside), strength))


def _platter(layer: Image.Image) -> None:
    """A rose-gold rim whose light comes from the upper left, and a dark slit where the record lies in it."""
    rim = ring_mask(FRAME, RIM + 1.5, PLATTER)
    layer.alpha_composite(tint(FRAME, (122, 66, 62), rim))
    lit = fan(((LIGHT_DEGREES - 38, 46, 1.0), (LIGHT_DEGREES + 150, 60, 0.55)))
    layer.alpha_composite(tint(FRAME, (255, 222, 196), ImageChops.multiply(lit, rim), 0.95))
    layer.alpha_composite(tint(FRAME, (255, 240, 226), ring_mask(FRAME, PLATTER - 2.2, PLATTER), 0.55))
    layer.alpha_composite(tint(FRAME, (30, 8, 16), ring_mask(FRAME, RIM - 1.2, RIM + 3.4), 0.92))
    layer.alpha_composite(tint(FRAME, (255, 214, 186), ring_mask(FRAME, RIM + 5, RIM + 6.4), 0.35))


def _vinyl(layer: Image.Image) -> None:
    """The record but for its label's band of hearts and the photo."""
    disc = Image.new("RGBA", (FRAME, FRAME))
    disc.paste(record(), ((FRAME - DISC) // 2, (FRAME - DISC) // 2))
    rings = ImageChops.lighter(ring_mask(FRAME, LABEL - 2.5, RIM - 0.5), ring_mask(FRAME, HOLE, HOLE + 8))
    disc.putalpha(rings)
    layer.alpha_composite(disc)


def _sheen(layer: Image.Image) -> None:
    """Bow ties of light that lie across the grooves, as fine as they are; none on label and photo."""
    beams = []
    for direction, width, strength in ((LIGHT_DEGREES, 26, 0.52), (LIGHT_DEGREES + 4, 9, 0.4), (LIGHT_DEGREES - 9, 4, 0.2),
                                       (LIGHT_DEGREES + 17, 3.5, 0.14), (LIGHT_DEGREES - 64, 12, 0.22)):
        beams += [(direction, width, strength), (direction + 180, width, strength * 0.78)]
    light = ImageChops.multiply(fan(beams), _glints())
    layer.alpha_composite(tint(FRAME, (255, 224, 216), light, 0.6))
    # The photo lies a little deeper than the label.
    dip = ImageChops.offset(ring_mask(FRAME, HOLE - 1, HOLE + 40, 6), 2, 5)
    layer.alpha_composite(tint(FRAME, (30, 6, 16), ImageChops.multiply(dip, ring_mask(FRAME, 0, HOLE - 0.5)), 0.55))
    _gloss(layer)
    layer.alpha_composite(tint(FRAME, (255, 236, 230), ring_mask(FRAME, RIM - 8.6, RIM - 7.2), 0.16))


def _glints() -> Image.Image:
    """How much light each radius sends back: much the grooves, each a little differently, less the smooth wax."""
    chance = random.Random(21)

    def draw(pen: ImageDraw.ImageDraw) -> None:
        pen.ellipse(around(MIDDLE, RIM - 3), fill=120)
        radius = GROOVES
        while radius > WAX:
            gap = min(abs(radius - at) for at in GAPS) < 2.6
            pen.ellipse(around(MIDDLE, radius), fill=120 if gap else round(chance.uniform(150, 255)))
            radius -= 1.0
        pen.ellipse(around(MIDDLE, WAX), fill=105)
        pen.ellipse(around(MIDDLE, LABEL + 2), fill=0)

    return mask_of(FRAME, draw)


def _gloss(layer: Image.Image) -> None:
    """A breath of light on label and photo, as on paper under lacquer."""
    ring = ring_mask(FRAME, HOLE, LABEL, 0.8)
    lit = fan(((LIGHT_DEGREES, 34, 0.9), (LIGHT_DEGREES + 180, 26, 0.5)))
    layer.alpha_composite(tint(FRAME, (255, 240, 232), ImageChops.multiply(lit, ring), 0.2))
    ball = ImageChops.multiply(dot((MIDDLE[0] + 90, MIDDLE[1] - 114), 85, 20), ring_mask(FRAME, 0, HOLE - 2))
    layer.alpha_composite(tint(FRAME, (255, 250, 246), ball, 0.06))
