"""The small pictures that are kept: those of the README, and the campaigns' pictures for link previews."""
import base64
import io
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page

from microsite import Site
from petsong.campaigns.loader import Campaign
from scripts.cartoon import cartoon_pet
from scripts.gallery.states import STATES

README_BYTES = 60 * 1024
SHARE_BYTES = 300 * 1024
# Width and height of the window, width in the README.
SCENES = {"form": (1280, 860, 640), "waiting-singing": (360, 740, 280), "result": (1280, 860, 640)}

# What a campaign's songs are made of: its sleeve, and the record of its videos coming out of it, on its background.
SCENE = """<!doctype html><style>
* {{ position: absolute; margin: 0 }}
html, body {{ width: 1200px; height: 630px; overflow: hidden }}
.ground {{ width: 1200px; height: 1200px; top: -285px }}
.sleeve {{ width: 455px; left: 90px; top: 88px; transform: rotate(-7deg); border-radius: 12px }}
.sleeve {{ box-shadow: 0 40px 70px -20px #0009 }}
.frame {{ width: 830px; height: 830px; left: 395px; top: -100px }}
.frame img {{ width: 100% }}
.frame .disc {{ width: 68.15%; left: 15.93%; top: 15.93% }}
.frame .pet {{ width: 33.4%; left: 33.3%; top: 33.3%; border-radius: 50% }}
</style><img class="ground" src="{background}"><img class="sleeve" src="{sleeve}">
<div class="frame"><img class="pet" src="{pet}"><img class="disc" src="{record}"><img src="{needle}"></div>"""


def share_picture(browser: Browser, campaign: Campaign) -> Path:
    art = campaign.artwork
    page = browser.new_page(viewport={"width": 1200, "height": 630})
    pictures = {name: _address(getattr(art, name).read_bytes(), getattr(art, name).suffix) for name in
                ("background", "sleeve", "record", "needle")}
    page.set_content(SCENE.format(**pictures, pet=_address(cartoon_pet(), ".jpg")), wait_until="load")
    _save(page, art.share, 1200, SHARE_BYTES)
    page.close()
    return art.share


def readme_pictures(browser: Browser, site: Site, campaign: str, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, (width, height, side) in SCENES.items():
        context = browser.new_context(
            viewport={"width": width, "height": height}, locale="en", reduced_motion="reduce", device_scale_factor=2,
        )
        page = context.new_page()
        STATES[name].prepare(page, site)
        page.wait_for_timeout(300)
        file = folder / f"{campaign}-{name}.jpg"
        _save(page, file, side * 2 if width < 600 else side, README_BYTES)
        context.close()
        print(file)


def _address(content: bytes, suffix: str) -> str:
    kind = {".svg": "svg+xml", ".png": "png", ".jpg": "jpeg"}[suffix]
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def _save(page: Page, file: Path, width: int, most_bytes: int) -> None:
    """As a JPEG of that width, as good as the size allows."""
    picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    picture = picture.resize((width, round(picture.height * width / picture.width)), Image.Resampling.LANCZOS)
    for quality in range(92, 30, -4):
        content = io.BytesIO()
        picture.save(content, "JPEG", quality=quality, optimize=True, progressive=True)
        if content.tell() <= most_bytes:
            break
    file.write_bytes(content.getvalue())
