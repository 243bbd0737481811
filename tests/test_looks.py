"""A campaign is data: its copy, colours and artwork reach the pages, and a song keeps the look of the one it was made in."""
import gzip
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from PIL import Image

from microsite import ROOT, Site
from petsong import database
from petsong.campaigns import colours
from petsong.campaigns.loader import CAMPAIGNS, load_campaign

SHIPPED = ("valentines", "birthday")
PAGES = ("/", "/waiting/song2", "/result/song1", "/result/song3", "/result/nobody", "/terms")


@pytest.fixture
def make_site(tmp_path: Path) -> Iterator[Callable[..., Site]]:
    yield lambda **changes: Site(tmp_path, "redis://127.0.0.1:1/0", **changes)
    if not database.db.is_closed():
        database.db.close()


def filled(site: Site, **changes: Any) -> FlaskClient:
    site.song("song1", **changes)
    site.song("song2", stage="queued", entry_status="pending", **changes)
    site.song("song3", stage="failed", entry_status="fail", **changes)
    return site.app.test_client()


def campaigns_in(html: str) -> set[str]:
    """Whose style sheets and pictures a page uses."""
    return set(re.findall(r'"(?:https?://[^"/]+)?/look/(\w+)/', html))


# ---- the shipped ones

@pytest.mark.parametrize("name", SHIPPED)
@pytest.mark.parametrize("language", ["en", "de"])
def test_each_shipped_campaign_is_whole(name: str, language: str) -> None:
    campaign = load_campaign(name, check_files=True, language=language)
    assert list(campaign.pet_types) == ["Dog", "Cat", "Bird", "Fish", "Other"]
    assert list(campaign.vibes) == ["Chill", "Energetic", "Romantic", "Party", "Relaxing", "Other"]
    assert "Sonauto" in campaign.copy["credit"] and len(campaign.terms) > 500 and len(campaign.privacy) > 500
    order = campaign.song_order(owner_name="Zoë", pet_name="Rani", pet_type="Cat", music_vibe="Party")
    assert "Zoë" in order.prompt and "Rani" in order.prompt and order.tags


@pytest.mark.parametrize("name", SHIPPED)
def test_pictures_for_link_previews_have_their_size(name: str) -> None:
    share = load_campaign(name).artwork.share
    assert share.stat().st_size < 300 * 1024
    with Image.open(share) as picture:
        assert (picture.format, picture.size) == ("JPEG", (1200, 630))


@pytest.mark.parametrize("name", SHIPPED)
def test_drawings_hold_no_script_and_no_address(name: str) -> None:
    for path in (CAMPAIGNS / name / "art").glob("*.svg"):
        drawing = path.read_text("utf-8").replace('xmlns="http://www.w3.org/2000/svg"', "")
        assert not re.search(r"script|://|\son\w+=|<foreignObject|<image", drawing, re.I), path.name


def test_the_second_campaign_took_no_code() -> None:
    """Nothing outside of its folder and of what draws its artwork knows a campaign by name."""
    for folder in ("petsong", "jobs", "render"):
        for path in (ROOT / folder).rglob("*.py"):
            assert "birthday" not in path.read_text("utf-8"), path


# ---- on the pages

@pytest.mark.parametrize("name", SHIPPED)
def test_every_page_wears_its_campaign(make_site: Callable[..., Site], name: str) -> None:
    client, campaign = filled(make_site(campaign=name)), load_campaign(name)
    for path in PAGES:
        html = client.get(path).text
        assert campaigns_in(html) == {name}, path
        assert f'<meta name="theme-color" content="{campaign.colours["background"]}">' in html
    assert campaign.copy["headline"] in client.get("/").text
    style = client.get(re.findall(r'href="(/look/\w+/look.css\?v=\w+)"', client.get("/").text)[0])
    assert style.mimetype == "text/css" and "immutable" in style.headers["Cache-Control"]
    for key, colour in campaign.colours.items():
        assert f"--{key.replace('_', '-')}: {colour};" in style.text


@pytest.mark.parametrize(("now", "then"), [SHIPPED, SHIPPED[::-1]])
def test_a_song_keeps_the_look_and_the_words_of_its_campaign(make_site: Callable[..., Site], now: str, then: str) -> None:
    client, old = filled(make_site(campaign=now), campaign=then), load_campaign(then)
    for path in ("/waiting/song2", "/result/song1", "/result/song3"):
        assert campaigns_in(client.get(path).text) == {then}, path
    assert old.copy["result_eyebrow"] in client.get("/result/song1").text
    assert load_campaign(then, language="de").copy["result_eyebrow"] in client.get("/result/song1?lang=de").text
    assert campaigns_in(client.get("/").text) == {now}


def test_a_song_of_a_campaign_that_is_gone_wears_the_present_one(make_site: Callable[..., Site]) -> None:
    client = filled(make_site(), campaign="no-longer-here")
    assert campaigns_in(client.get("/result/song1").text) == {"valentines"}


def test_style_sheets_take_every_colour_from_the_campaign() -> None:
    """But for whites, shades, notices and problems, which mean the same in every campaign."""
    fixed = {"#fff", "#ffffff", "#000", "#fff0cf", "#553400", "#4d2f00", "#a80f3a", "#fff6f6", "#1b0a13"}
    for name in ("base", "record", "form", "waiting", "result", "message"):
        css = (ROOT / "petsong" / "static" / "css" / f"{name}.css").read_text("utf-8")
        assert set(re.findall(r"#[0-9a-f]{3,8}\b", css)) <= fixed, name
        assert set(re.findall(r"var\(--([\w-]+)\)", css)) <= {
            *(key.replace("_", "-") for key in colours.DEFAULTS), *re.findall(r"^\s*--([\w-]+):", _base(), re.M),
        }, name


def _base() -> str:
    return (ROOT / "petsong" / "static" / "css" / "base.css").read_text("utf-8")


@pytest.mark.parametrize("path", ["nobody/look.css", "%00/look.css", "./look.css", "../look.css", "%2e%2e/look.css",
                                  "valentines/campaign.toml", "valentines/terms.md", "valentines/record.png"])
def test_nothing_else_of_a_campaigns_folder_is_served(make_site: Callable[..., Site], path: str) -> None:
    assert make_site().app.test_client().get(f"/look/{path}").status_code == 404


# ---- colours

def test_contrast_is_as_the_guidelines_define_it() -> None:
    assert colours.contrast("#000000", "#ffffff") == pytest.approx(21)
    assert colours.contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)
    assert colours.contrast("#c4154b", "#c4154b") == 1


def test_a_campaign_that_names_no_colour_has_all_of_them() -> None:
    assert colours.complete({}) == colours.DEFAULTS
    assert colours.complete({"spark": "#00ff00"})["spark"] == "#00ff00"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"soft_ink": "#c98aa0"}, "soft_ink on background"), ({"background": "#38091d"}, "ink on background"),
        ({"accent": "#ff9c92"}, "accent on paper"), ({"accent": "#d0506f"}, "white on accent"),
        ({"edge": "#eeeeee"}, "edge on paper"), ({"shade": "#000000"}, "not known"),
    ],
)
def test_colours_that_people_cannot_read_stop_the_start(changes: dict[str, str], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        colours.complete(changes)


# ---- packed

def fetch(client: FlaskClient, path: str, **headers: str) -> tuple[int, Any, bytes]:
    """(status, headers, body), with the file behind it closed."""
    with client.get(path, headers={name.replace("_", "-"): value for name, value in headers.items()}) as answer:
        return answer.status_code, answer.headers, answer.data


@pytest.mark.parametrize("path", ["/", "/static/css/base.css", "/static/js/form.js", "/result/song1"])
def test_texts_are_packed_for_those_who_take_it(make_site: Callable[..., Site], path: str) -> None:
    client = filled(make_site())
    _, plain, whole = fetch(client, path)
    _, packed, less = fetch(client, path, Accept_Encoding="br, gzip")
    assert packed["Content-Encoding"] == "gzip" and gzip.decompress(less) == whole and len(less) < len(whole)
    assert int(packed["Content-Length"]) == len(less)
    assert "Accept-Encoding" in plain["Vary"] and "Accept-Encoding" in packed["Vary"]
    for headers in (plain, fetch(client, path, Accept_Encoding="gzip;q=0")[1]):
        assert "Content-Encoding" not in headers


def test_what_is_small_or_packed_already_stays_as_it_is(make_site: Callable[..., Site]) -> None:
    client = make_site().app.test_client()
    for path in ("/look/valentines/sleeve.svg", "/look/valentines/share.jpg"):
        assert "Content-Encoding" not in fetch(client, path, Accept_Encoding="gzip")[1]


def test_a_packed_file_has_its_own_tag_and_is_revalidated_by_it(make_site: Callable[..., Site]) -> None:
    client = make_site().app.test_client()
    tag = fetch(client, "/static/css/base.css", Accept_Encoding="gzip")[1]["ETag"]
    assert tag != fetch(client, "/static/css/base.css")[1]["ETag"]
    assert fetch(client, "/static/css/base.css", Accept_Encoding="gzip", If_None_Match=tag)[::2] == (304, b"")
    assert fetch(client, "/static/css/base.css", If_None_Match=tag)[0] == 200


@pytest.mark.parametrize("path", ["/api/results/song1", "/api/availability"])
def test_answers_of_the_api_are_not_packed(make_site: Callable[..., Site], path: str) -> None:
    answer = filled(make_site()).get(path, headers={"Accept-Encoding": "gzip"})
    assert "Content-Encoding" not in answer.headers
