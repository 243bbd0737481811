import subprocess

import pytest
from PIL import Image, ImageChops

from render_media import ART
from scripts.drawing import CAMPAIGNS, DRAWN, draw_all


@pytest.mark.slow
@pytest.mark.parametrize("campaign", DRAWN)
def test_the_script_draws_the_artwork_that_is_shipped(tmp_path, campaign):
    for path in draw_all(tmp_path, campaign):
        with Image.open(path) as drawn, Image.open(CAMPAIGNS / campaign / "art" / path.name) as shipped:
            assert drawn.mode == shipped.mode
            assert ImageChops.difference(drawn, shipped).getbbox(alpha_only=False) is None, path.name


def test_the_artwork_has_the_promised_sizes_and_holes():
    with Image.open(ART / "background.png") as background:
        assert (background.size, background.mode) == ((1080, 1080), "RGB")
    with Image.open(ART / "record.png") as record:
        assert (record.size, record.mode) == ((736, 736), "RGBA")
        alpha = [record.getpixel((x, 368))[3] for x in range(736)]
        assert (alpha[20], alpha[368], record.getpixel((9, 9))[3]) == (255, 0, 0)
        assert alpha[192:544].count(0) == 352  # the photo shows through, its 360 px edge does not
        assert alpha[188] == alpha[547] == 255
    with Image.open(ART / "needle.png") as needle:
        assert (needle.size, needle.mode) == ((1080, 1080), "RGBA")
        assert needle.getpixel((540, 540))[3] == 0
        assert needle.getpixel((950, 222))[3] == 255


@pytest.mark.slow
def test_the_script_writes_where_it_is_told(tmp_path):
    done = subprocess.run(["scripts/draw_assets", "--out", tmp_path], capture_output=True, text=True, check=True,
                          cwd=ART.parents[3])
    assert len(done.stdout.splitlines()) == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["background.png", "needle.png", "record.png"]
