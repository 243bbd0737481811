"""Draws the Valentine's campaign's artwork: background, record, needle. The same bytes on every run.

    scripts/draw_assets [--out DIR]

Everything is drawn at three times its size with Pillow's shapes and blurs, then reduced. What stands still with the
record (platter rim, shadow, the light on the grooves, the tone arm) is in needle.png: light on a turning record does
not turn with it, and the frame around it may have another shape than the square video.
"""

import argparse
import math
import random
from collections.abc import Callable, Sequence
from pathlib import Path

from PIL import Image, ImageChops, ImageDraw, ImageFilter

FINE = 3
FRAME = 1080
DISC = 736
ART = Path(__file__).resolve().parent.parent / "petsong" / "campaigns" / "valentines" / "art"

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
PIVOT: Point = (950.0, 222.0)
STYLUS: Point = (806.0, 664.0)
LIGHT_DEGREES = -52.0


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
    """Cut paper: a shadow, a body lit from above, a fold down the middle."""
    for middle, size, tilt, colour in (
        ((104, 934), 128, -18, (255, 112, 124)), ((206, 1014), 74, 14, (255, 200, 188)), ((62, 812), 54, 22, CREAM),
        ((1006, 890), 92, 20, (244, 112, 118)), ((930, 1000), 60, -12, BLUSH), ((84, 96), 66, -16, CREAM),
        ((176, 66), 40, 18, (255, 160, 150)),
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
    """Rings of slightly different darkness; the gaps between songs are wider and smooth."""
    chance = random.Random(7)
    gaps = (258.0, 289.0, 322.0)
    radius = GROOVES
    while radius > WAX:
        gap = any(abs(radius - at) < 2.2 for at in gaps)
        light = 8 if gap else chance.uniform(4, 22)
        pen.ellipse(around(middle, radius), fill=mix(VINYL, (150, 118, 128), light / 100))
        radius -= 1.5


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


def needle() -> Image.Image:
    """All that stands still above or around the record: shadow, platter rim, light, tone arm."""
    layer = Image.new("RGBA", (FRAME, FRAME))
    _shadow(layer)
    _platter(layer)
    _sheen(layer)
    _arm(layer)
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
    lit = _fan(((LIGHT_DEGREES - 38, 46, 1.0), (LIGHT_DEGREES + 150, 60, 0.55)))
    layer.alpha_composite(tint(FRAME, (255, 222, 196), ImageChops.multiply(lit, rim), 0.95))
    layer.alpha_composite(tint(FRAME, (255, 240, 226), ring_mask(FRAME, PLATTER - 2.2, PLATTER), 0.55))
    layer.alpha_composite(tint(FRAME, (30, 8, 16), ring_mask(FRAME, RIM - 1.2, RIM + 3.4), 0.92))
    layer.alpha_composite(tint(FRAME, (255, 214, 186), ring_mask(FRAME, RIM + 5, RIM + 6.4), 0.35))


def _fan(beams: Sequence[tuple[float, float, float]]) -> Image.Image:
    """Light fanning out from the middle: (direction in degrees, width in degrees, strength 0-1) each."""
    mask = Image.new("L", (FRAME, FRAME))
    pen = ImageDraw.Draw(mask)
    step = 0.5
    for number in range(720):
        at = number * step
        light = 0.0
        for direction, width, strength in beams:
            away = (at - direction + 180) % 360 - 180
            light += strength * math.exp(-((away / width) ** 2) * 2)
        pen.pieslice((-300, -300, FRAME + 300, FRAME + 300), at - 0.1, at + step + 0.1, fill=round(255 * min(1, light)))
    return mask.filter(ImageFilter.GaussianBlur(2))


def _sheen(layer: Image.Image) -> None:
    """Two bow ties of light across the grooves, one broad and faint, one narrow; none on label and photo."""
    vinyl = ring_mask(FRAME, LABEL + 3, RIM - 3, 1.2)
    beams = []
    for direction, width, strength in ((LIGHT_DEGREES, 30, 0.62), (LIGHT_DEGREES + 7, 9, 0.38),
                                       (LIGHT_DEGREES - 62, 13, 0.16)):
        beams += [(direction, width, strength), (direction + 180, width, strength * 0.8)]
    light = ImageChops.multiply(_fan(beams), vinyl)
    layer.alpha_composite(tint(FRAME, (255, 226, 220), light, 0.38))
    # The photo lies a little deeper than the label.
    dip = ImageChops.offset(ring_mask(FRAME, HOLE - 1, HOLE + 40, 6), 2, 5)
    layer.alpha_composite(tint(FRAME, (30, 6, 16), ImageChops.multiply(dip, ring_mask(FRAME, 0, HOLE - 0.5)), 0.55))
    layer.alpha_composite(tint(FRAME, (255, 236, 230), ring_mask(FRAME, RIM - 8.6, RIM - 7.2), 0.16))


def _bar(layer: Image.Image, one: Point, two: Point, widths: tuple[float, float], tones: Sequence[Colour]) -> None:
    """A round bar between two points, shaded across by `tones` from its left side to its right."""
    length = math.dist(one, two)
    across = ((two[1] - one[1]) / length, -(two[0] - one[0]) / length)
    slices = 24
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
    layer.alpha_composite(big.reduce(FINE))


METAL: Sequence[Colour] = ((126, 88, 78), (236, 200, 176), (255, 246, 236), (214, 164, 138), (120, 74, 66))
DARK: Sequence[Colour] = ((26, 14, 18), (84, 62, 68), (120, 98, 102), (58, 38, 44), (18, 8, 12))


def _along(share: float) -> Point:
    """A point of the arm's axis: 0 at the pivot, 1 at the stylus, below 0 behind the pivot."""
    return PIVOT[0] + (STYLUS[0] - PIVOT[0]) * share, PIVOT[1] + (STYLUS[1] - PIVOT[1]) * share


def _arm(layer: Image.Image) -> None:
    arm = Image.new("RGBA", (FRAME, FRAME))
    _base(arm)
    _bar(arm, _along(-0.15), _along(0.0), (15, 15), METAL)
    _bar(arm, _along(-0.25), _along(-0.11), (46, 46), DARK)
    _bar(arm, _along(-0.125), _along(-0.115), (47, 47), METAL)
    _bar(arm, _along(0.0), _along(0.87), (16, 12.5), METAL)
    _pivot(arm)
    _head(arm)
    shade = Image.new("L", (FRAME, FRAME))
    shade.paste(arm.getchannel("A"), (16, 22))
    layer.alpha_composite(tint(FRAME, (22, 2, 12), shade.filter(ImageFilter.GaussianBlur(9)), 0.5))
    near = Image.new("L", (FRAME, FRAME))
    near.paste(arm.getchannel("A"), (5, 7))
    layer.alpha_composite(tint(FRAME, (22, 2, 12), near.filter(ImageFilter.GaussianBlur(3)), 0.4))
    layer.alpha_composite(arm)


def _base(arm: Image.Image) -> None:
    for radius, colour in ((64, (92, 44, 48)), (62, (196, 146, 124)), (58, (246, 214, 192)), (55, (150, 92, 82))):
        arm.alpha_composite(tint(FRAME, colour, _dot(PIVOT, radius)))
    arm.alpha_composite(tint(FRAME, (96, 46, 52), _dot(PIVOT, 53)))
    arm.alpha_composite(tint(FRAME, (214, 150, 136), _dot((PIVOT[0] - 9, PIVOT[1] - 12), 34, 12), 0.5))


def _pivot(arm: Image.Image) -> None:
    for radius, colour in ((27, (84, 46, 46)), (25.5, (228, 188, 160)), (22, (255, 240, 226)), (20, (196, 146, 122))):
        arm.alpha_composite(tint(FRAME, colour, _dot(PIVOT, radius)))
    arm.alpha_composite(tint(FRAME, (255, 246, 238), _dot((PIVOT[0] - 5, PIVOT[1] - 6), 9, 3), 0.8))
    shape = scaled(heart((PIVOT[0], PIVOT[1] + 1), 19))
    arm.alpha_composite(tint(FRAME, (196, 44, 78), mask_of(FRAME, lambda pen: pen.polygon(shape, fill=255))))


def _head(arm: Image.Image) -> None:
    """Collar, head shell with a finger lift, cartridge, stylus: bent inwards, as real ones are."""
    collar, end = _along(0.845), (STYLUS[0] - 13, STYLUS[1] + 5)
    _bar(arm, collar, _along(0.885), (19, 19), DARK)
    neck = _along(0.88)
    _bar(arm, (neck[0], neck[1] + 18), (neck[0] + 40, neck[1] + 34), (6, 3.5), METAL)
    _bar(arm, neck, end, (24, 34), ((150, 24, 56), (226, 74, 104), (255, 150, 158), (206, 52, 86), (124, 16, 44)))
    _bar(arm, (end[0] + 5, end[1] - 14), (end[0] - 3, end[1] + 6), (25, 25), DARK)
    arm.alpha_composite(tint(FRAME, (255, 236, 224), _dot((end[0] - 4, end[1] + 9), 3.2)))


def _dot(middle: Point, radius: float, soft: float = 0.0) -> Image.Image:
    return mask_of(FRAME, lambda pen: pen.ellipse(around(middle, radius), fill=255), soft)


def draw_all(folder: Path) -> list[Path]:
    """Write the three files into `folder` and return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, draw in (("background", background), ("record", record), ("needle", needle)):
        path = folder / f"{name}.png"
        draw().save(path, optimize=True)
        paths.append(path)
    return paths


def main() -> None:
    parser = argparse.ArgumentParser("scripts/draw_assets", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=ART, metavar="DIR", help="default: %(default)s")
    for path in draw_all(parser.parse_args().out):
        print(f"{path} {path.stat().st_size // 1024} KB")


if __name__ == "__main__":
    main()
