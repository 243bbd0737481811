"""A friendly cartoon dog, drawn when a demo has no photo: 800x800 JPEG."""

import io

from PIL import Image, ImageDraw

SIZE = 800
WALL, CARPET = (190, 222, 236), (226, 178, 150)
FUR, EAR, MUZZLE, DARK, TONGUE = (214, 160, 98), (150, 98, 58), (246, 226, 196), (58, 40, 34), (236, 120, 132)
COLLAR, TAG = (196, 58, 72), (250, 208, 92)


def cartoon_pet() -> bytes:
    """The JPEG's bytes."""
    image = Image.new("RGB", (SIZE, SIZE), WALL)
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 620, SIZE, SIZE), fill=CARPET)
    _body(draw)
    _head(draw)
    out = io.BytesIO()
    image.save(out, "JPEG", quality=92)
    return out.getvalue()


def _body(draw: ImageDraw.ImageDraw) -> None:
    draw.ellipse((250, 520, 550, 900), fill=FUR)
    draw.ellipse((320, 600, 480, 880), fill=MUZZLE)
    draw.rounded_rectangle((285, 570, 515, 615), 22, fill=COLLAR)
    draw.ellipse((370, 590, 430, 650), fill=TAG)


def _head(draw: ImageDraw.ImageDraw) -> None:
    draw.ellipse((215, 170, 585, 600), fill=FUR)
    for left in (150, 530):
        draw.ellipse((left, 190, left + 120, 500), fill=EAR)
    draw.ellipse((285, 390, 515, 585), fill=MUZZLE)
    for left in (300, 440):
        draw.ellipse((left, 300, left + 60, 370), fill=DARK)
        draw.ellipse((left + 14, 310, left + 34, 330), fill="white")
    draw.ellipse((350, 400, 450, 465), fill=DARK)
    draw.rounded_rectangle((372, 515, 428, 580), 28, fill=TONGUE)
    for box in ((315, 440, 405, 535), (395, 440, 485, 535)):
        draw.arc(box, 10, 170, fill=DARK, width=7)
