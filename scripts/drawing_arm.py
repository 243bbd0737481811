"""The tone arm: counterweight, pivot, tube, and a head shell in line with the groove that its stylus lies in."""

import math
from collections.abc import Sequence

from PIL import Image, ImageChops, ImageDraw, ImageFilter

from scripts.drawing_kit import (
    FINE,
    FRAME,
    MIDDLE,
    Colour,
    Point,
    dot,
    fan,
    heart,
    mask_of,
    mix,
    scaled,
    tint,
)

PIVOT: Point = (950.0, 222.0)
STYLUS: Point = (806.0, 664.0)
METAL: Sequence[Colour] = ((120, 82, 74), (226, 186, 162), (255, 248, 240), (208, 156, 132), (112, 68, 62))
DARK: Sequence[Colour] = ((22, 12, 16), (74, 54, 60), (118, 96, 100), (50, 32, 38), (16, 8, 12))
ENAMEL: Sequence[Colour] = ((120, 16, 44), (204, 48, 82), (255, 146, 156), (226, 74, 104), (176, 36, 70), (98, 10, 36))
SHADE: Colour = (22, 2, 12)


def tone_arm(layer: Image.Image) -> None:
    """Draw the arm with the shadow it casts: close to it at the stylus, further off at the pivot, where it is higher."""
    arm = Image.new("RGBA", (FRAME, FRAME))
    _base(arm)
    _weight(arm)
    _bar(arm, _along(-0.02), _along(0.985), (15, 11.5), METAL)
    _pivot(arm)
    _head(arm)
    for shift, soft, strength in (((17, 24), 9, 0.46), ((6, 8), 3.5, 0.42)):
        shade = Image.new("L", (FRAME, FRAME))
        shade.paste(arm.getchannel("A"), shift)
        layer.alpha_composite(tint(FRAME, SHADE, shade.filter(ImageFilter.GaussianBlur(soft)), strength))
    layer.alpha_composite(arm)


def _along(share: float) -> Point:
    """A point of the tube's axis: 0 at the pivot, 1 at the head shell's neck, below 0 behind the pivot."""
    neck = _at(-64, 0)
    return PIVOT[0] + (neck[0] - PIVOT[0]) * share, PIVOT[1] + (neck[1] - PIVOT[1]) * share


def _groove() -> Point:
    """The direction in which the groove leads away at the stylus: square to the line to the record's middle."""
    away = (STYLUS[0] - MIDDLE[0], STYLUS[1] - MIDDLE[1])
    length = math.hypot(*away)
    return -away[1] / length, away[0] / length


def _at(forward: float, aside: float) -> Point:
    """A point in the head shell's own measure: pixels along the groove from the stylus, and outwards from it."""
    ahead = _groove()
    return STYLUS[0] + ahead[0] * forward + ahead[1] * aside, STYLUS[1] + ahead[1] * forward - ahead[0] * aside


def _bar(layer: Image.Image, one: Point, two: Point, widths: tuple[float, float], tones: Sequence[Colour]) -> None:
    """A round bar between two points, shaded across by `tones`."""
    layer.alpha_composite(_shaded(one, two, widths, tones))


def _shaded(one: Point, two: Point, widths: tuple[float, float], tones: Sequence[Colour]) -> Image.Image:
    length = math.dist(one, two)
    across = ((two[1] - one[1]) / length, -(two[0] - one[0]) / length)
    slices = 32
    big = Image.new("RGBA", (FRAME * FINE, FRAME * FINE), (*tones[len(tones) // 2], 0))
    pen = ImageDraw.Draw(big)
    for number in range(slices):
        low, high = number / slices - 0.5, (number + 1.15) / slices - 0.5
        place = (number + 0.5) / slices * (len(tones) - 1)
        colour = mix(tones[int(place)], tones[min(int(place) + 1, len(tones) - 1)], place % 1)
        corners = [(end[0] + across[0] * width * edge, end[1] + across[1] * width * edge)
                   for end, width, edge in ((one, widths[0], low), (one, widths[0], high),
                                            (two, widths[1], high), (two, widths[1], low))]
        pen.polygon(scaled(corners), fill=(*colour, 255))
    return big.reduce(FINE)


def _plate(layer: Image.Image, outline: Sequence[Point], shading: Image.Image) -> None:
    """The part of a shaded bar that lies within an outline."""
    inside = mask_of(FRAME, lambda pen: pen.polygon(scaled(outline), fill=255))
    shading.putalpha(ImageChops.multiply(inside, shading.getchannel("A")))
    layer.alpha_composite(shading)


def _base(arm: Image.Image) -> None:
    """A turned metal foot, its rings lit like the platter's rim, and a dark well in it."""
    for radius, colour, lit in ((64, (94, 46, 48), 0.5), (61, (168, 112, 98), 1.0), (53, (84, 40, 46), 0.35)):
        ring = dot(PIVOT, radius)
        arm.alpha_composite(tint(FRAME, colour, ring))
        shine = fan(((-128, 30, 0.9), (52, 24, 0.6), (150, 12, 0.25), (-30, 12, 0.25)), PIVOT)
        arm.alpha_composite(tint(FRAME, (255, 230, 210), ImageChops.multiply(shine, ring), 0.8 * lit))
    arm.alpha_composite(tint(FRAME, (58, 22, 32), dot(PIVOT, 46)))
    arm.alpha_composite(tint(FRAME, (112, 58, 62), dot((PIVOT[0] + 3, PIVOT[1] + 5), 40, 6), 0.8))


def _weight(arm: Image.Image) -> None:
    """Behind the pivot: the stub of the tube, a scale ring, a knurled weight with a cap."""
    _bar(arm, _along(-0.175), _along(0.0), (13, 15), METAL)
    _bar(arm, _along(-0.137), _along(-0.121), (38, 38), METAL)
    _bar(arm, _along(-0.270), _along(-0.140), (46, 46), DARK)
    notch = [mix(tone, (0, 0, 0), 0.5) for tone in DARK]
    for share in (-0.169, -0.192, -0.215, -0.238):
        _bar(arm, _along(share), _along(share - 0.005), (46, 46), notch)
    _bar(arm, _along(-0.284), _along(-0.268), (41, 46), METAL)


def _pivot(arm: Image.Image) -> None:
    for radius, colour in ((29, (66, 30, 34)), (27.5, (222, 178, 150)), (24, (255, 242, 230)), (22, (190, 136, 114))):
        arm.alpha_composite(tint(FRAME, colour, dot(PIVOT, radius)))
    shine = ImageChops.multiply(fan(((-128, 34, 1.0), (52, 26, 0.6)), PIVOT), dot(PIVOT, 22))
    arm.alpha_composite(tint(FRAME, (255, 246, 238), shine, 0.75))
    shape = scaled(heart((PIVOT[0], PIVOT[1] + 1), 20))
    arm.alpha_composite(tint(FRAME, (196, 44, 78), mask_of(FRAME, lambda pen: pen.polygon(shape, fill=255))))


def _head(arm: Image.Image) -> None:
    _lift(arm)
    # The pick-up below the shell shows at the front, with a mark where the stylus is.
    _bar(arm, _at(-34, 0), _at(5, 0), (20, 18), DARK)
    _bar(arm, _at(1, 0), _at(5.5, 0), (3.2, 2.4), ((255, 250, 240), (255, 250, 240)))
    _shell(arm)
    _bar(arm, _along(0.955), _along(1.012), (16, 17.5), DARK)
    _bar(arm, _along(0.962), _along(0.969), (17.5, 17.5), METAL)
    _bar(arm, _along(1.008), _along(1.016), (18.5, 18.5), METAL)
    arm.alpha_composite(tint(FRAME, (255, 250, 244), dot(_at(6.5, 0), 1.7)))


def _shell(arm: Image.Image) -> None:
    """Red enamel, narrow at the collar, with a round front, two screws and a slot."""
    half = [(forward, 8.6 + 7.0 * _ease((forward + 66) / 30)) for forward in range(-66, -8, 2)]
    quarter = [step / 12 * math.pi / 2 for step in range(13)]
    side = [*half, *((-9 + 7 * math.sin(angle), 8.6 + 7 * math.cos(angle)) for angle in quarter)]
    outline = [_at(forward, wide) for forward, wide in side] + [_at(forward, -wide) for forward, wide in reversed(side)]
    inner = [_at(f - 0.5, w - 2.2) for f, w in side] + [_at(f - 0.5, 2.2 - w) for f, w in reversed(side)]
    _plate(arm, outline, _shaded(_at(-70, 0), _at(0, 0), (32, 32), [mix(tone, (40, 0, 16), 0.45) for tone in ENAMEL]))
    _plate(arm, inner, _shaded(_at(-70, 0), _at(0, 0), (30, 30), ENAMEL))
    slot = [_at(-44, 2.6), _at(-22, 2.6), _at(-22, -2.6), _at(-44, -2.6)]
    arm.alpha_composite(tint(FRAME, (86, 6, 30), mask_of(FRAME, lambda pen: pen.polygon(scaled(slot), fill=255), 0.5), 0.75))
    for aside in (-8.6, 8.6):
        arm.alpha_composite(tint(FRAME, (80, 8, 30), dot(_at(-16, aside), 3.2)))
        arm.alpha_composite(tint(FRAME, (250, 222, 196), dot(_at(-16.4, aside), 2.4)))


def _lift(arm: Image.Image) -> None:
    """The finger lift: thin metal that swings outwards from the shell's front."""
    points = [(-20 + 10 * _ease(step / 10), 12 + 26 * step / 10) for step in range(11)]
    for one, two in zip(points, points[1:], strict=False):
        _bar(arm, _at(*one), _at(two[0] + 0.3, two[1] + 0.6), (4.4, 4.2), METAL)
    arm.alpha_composite(tint(FRAME, (255, 240, 226), dot(_at(*points[-1]), 2.6)))


def _ease(share: float) -> float:
    share = min(1.0, max(0.0, share))
    return share * share * (3 - 2 * share)
