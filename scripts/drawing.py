"""Draws the campaigns' artwork: background, record, needle. The same bytes on every run.

    scripts/draw_assets [--campaign NAME] [--out DIR]

Everything is drawn at three times its size with Pillow's shapes and blurs, then reduced. What stands still with the
record (platter rim, shadow, the light on the grooves, the tone arm) is in needle.png: light on a turning record does
not turn with it, and the frame around it may have another shape than the square video.
"""

import argparse
from pathlib import Path

from scripts import drawing_birthday
from scripts.drawing_background import background
from scripts.drawing_needle import needle
from scripts.drawing_record import record

CAMPAIGNS = Path(__file__).resolve().parent.parent / "petsong" / "campaigns"
DRAWN = {
    "valentines": {"background": background, "record": record, "needle": needle},
    "birthday": {
        "background": drawing_birthday.background, "record": drawing_birthday.record, "needle": drawing_birthday.needle,
    },
}


def draw_all(folder: Path, campaign: str = "valentines") -> list[Path]:
    """Write the three files into `folder` and return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, draw in DRAWN[campaign].items():
        path = folder / f"{name}.png"
        draw().save(path, optimize=True)
        paths.append(path)
    return paths


def main() -> None:
    parser = argparse.ArgumentParser("scripts/draw_assets", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--campaign", choices=DRAWN, default="valentines", help="default: %(default)s")
    parser.add_argument("--out", type=Path, metavar="DIR", help="default: the art of the campaign's folder")
    options = parser.parse_args()
    for path in draw_all(options.out or CAMPAIGNS / options.campaign / "art", options.campaign):
        print(f"{path} {path.stat().st_size // 1024} KB")


if __name__ == "__main__":
    main()
