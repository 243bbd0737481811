"""The pages as a crawler or a browser without scripts receives them."""
import io
import json
import re
import shutil
from collections.abc import Callable, Iterator
from datetime import timedelta
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from PIL import Image

from microsite import ROOT, Site, make_assets
from petsong import database
from petsong.campaigns.loader import CAMPAIGNS, load_campaign
from petsong.models import Rendition
from petsong.web.languages import texts_in
from petsong.web.lyrics import split_lyrics

HOSTILE = "Zoë\"><script>alert(1)</script>"


@pytest.fixture
def make_site(tmp_path: Path, empty_redis: str) -> Iterator[Callable[..., Site]]:
    make_assets()
    yield lambda **changes: Site(tmp_path, empty_redis, **changes)
    if not database.db.is_closed():
        database.db.close()


@pytest.fixture
def site(make_site: Callable[..., Site]) -> Site:
    return make_site(public_base_url="https://songs.example.com")


@pytest.fixture
def client(site: Site) -> FlaskClient:
    return site.app.test_client()


def meta(html: str, name: str) -> str:
    found = re.search(rf'<meta (?:name|property)="{re.escape(name)}" content="([^"]*)">', html)
    assert found, f"no {name} in the page"
    return unescape(found[1])


def text_of(html: str) -> str:
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", "", html)))


def page_data(html: str) -> Any:
    found = re.search(r'<script type="application/json" id="page-data">(.*?)</script>', html, re.S)
    assert found
    return json.loads(found[1])


# ---- the form

def test_form_has_its_fields_in_order(client: FlaskClient) -> None:
    names = re.findall(r'<(?:input)[^>]* name="(\w+)"', client.get("/").text)
    order = ["pet_name", "pet_type", "photo", "music_vibe", "owner_name", "pet_name_said", "owner_name_said"]
    assert list(dict.fromkeys(names)) == order


def test_form_offers_the_campaigns_choices(client: FlaskClient) -> None:
    choices = page_data(client.get("/").text)["choices"]
    assert choices["pet_type"] == ["Dog", "Cat", "Bird", "Fish", "Other"]
    assert choices["music_vibe"] == ["Chill", "Energetic", "Romantic", "Party", "Relaxing", "Other"]


def test_form_explains_itself_without_scripts(client: FlaskClient) -> None:
    assert "needs JavaScript" in re.findall(r"<noscript><p.*?</noscript>", client.get("/").text, re.S)[0]


def test_form_carries_the_campaigns_link_preview(client: FlaskClient) -> None:
    html = client.get("/").text
    assert meta(html, "og:url") == "https://songs.example.com/"
    assert meta(html, "twitter:card") == "summary_large_image"
    assert meta(html, "og:image").startswith("https://songs.example.com/")
    with client.get(meta(html, "og:image").removeprefix("https://songs.example.com")) as answer:
        assert answer.status_code == 200 and len(answer.data) < 300 * 1024
        assert Image.open(io.BytesIO(answer.data)).size == (1200, 630)


@pytest.mark.parametrize("path", ["/waiting/", "/result/"])
def test_addresses_without_a_song_lead_to_the_form(client: FlaskClient, path: str) -> None:
    answer = client.get(path)
    assert (answer.status_code, answer.location) == (302, "/")


def test_form_tells_its_scripts_how_long_songs_are_kept(make_site: Callable[..., Site]) -> None:
    client = make_site(file_retention_days=7).app.test_client()
    assert page_data(client.get("/").text)["limits"]["retention_days"] == 7


@pytest.mark.parametrize(("path", "heading"), [("/terms", "Terms & Conditions"), ("/privacy", "Privacy Policy")])
def test_legal_texts_are_linked_and_shown(client: FlaskClient, path: str, heading: str) -> None:
    assert f'href="{path}"' in client.get("/").text
    html = client.get(path).text
    assert f"<h1>{heading}</h1>" in unescape(html)
    assert len(text_of(html)) > 300


@pytest.mark.parametrize("campaign", ["valentines", "birthday"])
@pytest.mark.parametrize(("language", "kept"), [
    ("en", ["your pet's name and a small copy of the cropped photo", "until the form is sent or the tab is closed"]),
    ("de", ["den Namen deines Tiers und eine kleine Kopie", "bis das Formular abgeschickt oder der Tab geschlossen ist"]),
])
def test_privacy_says_what_the_browser_keeps_and_whom_to_write_to(
    make_site: Callable[..., Site], campaign: str, language: str, kept: list[str]
) -> None:
    site = make_site(campaign=campaign)
    page = text_of(site.app.test_client().get(f"/privacy?lang={language}").text)
    for words in (*kept, f"({load_campaign(campaign).contact})"):
        assert words in page
    assert "{" not in page


# ---- a song's pages

def test_result_shows_video_and_lyrics_in_the_html(site: Site, client: FlaskClient) -> None:
    site.add_rendition(site.song("song1"), "poster")
    html = client.get("/result/song1").text
    video = re.search(r"<video.*?</video>", html, re.S)
    assert video
    poster, fallback = 'poster="/storage/poster/song1.jpg"', "can't play this video"
    for part in ("controls", "playsinline", poster, fallback, "/storage/video/song1.mp4"):
        assert part in unescape(video[0])
    assert "<h3>Chorus</h3>" in html and "Biscuit, oh Biscuit" in html
    assert "/storage/video/song1.mp4?download=1" in html
    assert "Sonauto" in text_of(html) and "AI" in text_of(html)


def test_result_offers_the_formats_that_are_there_and_says_that_more_come(site: Site, client: FlaskClient) -> None:
    site.song("song1")
    plain = client.get("/result/song1").text
    assert "More formats" not in plain and ".hd.mp4" not in plain
    site.order_formats("song1", "story")
    site.add_rendition("song1", "hd", width=1080, height=1080)
    html = client.get("/result/song1").text
    assert re.search(r'<a class="button" href="/storage/video/song1.hd.mp4\?download=1" download>', html)
    assert "Download HD 1080 × 1080" in text_of(html) and "story.mp4" not in html
    assert "More formats are on their way" in text_of(html)


def test_result_does_not_promise_a_format_that_was_given_up(site: Site, client: FlaskClient) -> None:
    site.order_formats(site.song("song1"), "hd")
    with database.connection():
        Rendition.update(next_try_at=None, tries=3).execute()
    assert "More formats" not in client.get("/result/song1").text


def test_result_carries_its_own_link_preview(site: Site, client: FlaskClient) -> None:
    site.add_rendition(site.song("song1"), "preview")
    html = client.get("/result/song1").text
    address = "https://songs.example.com/result/song1"
    assert meta(html, "og:url") == meta(html, "twitter:url") == address
    for name in ("og:title", "twitter:title"):
        assert "Biscuit" in meta(html, name) and "Marisol" in meta(html, name)
    assert meta(html, "og:image") == meta(html, "twitter:image") == "https://songs.example.com/storage/preview/song1.jpg"
    assert (meta(html, "og:image:width"), meta(html, "og:image:height")) == ("1200", "630")
    assert meta(html, "twitter:card") == "summary_large_image"
    assert meta(html, "og:locale") == "en_US"
    assert meta(html, "og:site_name") and meta(html, "og:description")


def test_a_song_without_pictures_borrows_the_sites_preview_and_has_no_poster(site: Site, client: FlaskClient) -> None:
    html = client.get(f"/result/{site.song('song1')}").text
    assert "/look/valentines/share.jpg" in meta(html, "og:image")
    assert "poster=" not in html


def test_addresses_follow_the_request_where_no_setting_names_one(make_site: Callable[..., Site]) -> None:
    site = make_site()
    html = site.app.test_client().get(f"/result/{site.song('song1')}", base_url="http://192.0.2.7:8000").text
    assert meta(html, "og:url") == "http://192.0.2.7:8000/result/song1"


def test_share_links_carry_the_songs_address(site: Site, client: FlaskClient) -> None:
    html = unescape(client.get(f"/result/{site.song('song1')}").text)
    links = re.findall(r'href="(https://[^"]*(?:wa\.me|facebook|x\.com)[^"]*)"', html)
    assert len(links) == 3
    assert all("songs.example.com%2Fresult%2Fsong1" in link for link in links)


@pytest.mark.parametrize("path", ["/result/song1", "/waiting/song2", "/result/unknown1", "/waiting/unknown1", "/result/song3"])
def test_songs_are_public_by_link_only(site: Site, client: FlaskClient, path: str) -> None:
    site.song("song1")
    site.song("song2", stage="queued", entry_status="pending")
    site.song("song3", stage="failed", entry_status="fail", fail_reason="service_failed")
    answer = client.get(path)
    assert answer.headers["X-Robots-Tag"] == "noindex"
    assert answer.headers["Referrer-Policy"] == "no-referrer"


def test_names_and_lyrics_cannot_leave_their_place(site: Site, client: FlaskClient) -> None:
    site.song("song1", pet_name=HOSTILE, owner_name=HOSTILE, lyrics=f"[{HOSTILE}]\n{HOSTILE}")
    html = client.get("/result/song1").text
    assert "<script>alert" not in html
    assert page_data(html)["share"]["title"].count(HOSTILE) == 2


def test_a_campaigns_braces_are_text_and_names_are_not_templates(site: Site, client: FlaskClient) -> None:
    site.song("song1", pet_name="{owner_name}", owner_name="{{ 7*7 }}")
    title = meta(client.get("/result/song1").text, "og:title")
    assert "{owner_name}" in title and title.count("{{ 7*7 }}") == 1


@pytest.mark.parametrize(("language", "words"), [("en", "contact hello@petsong.example"), ("de", "bei hello@petsong.example")])
def test_who_cannot_delete_a_song_reads_whom_to_write_to(site: Site, client: FlaskClient, language: str, words: str) -> None:
    site.song("song1")
    site.song("song3", stage="failed", entry_status="fail")
    for path in ("/result/song1", "/result/song3"):
        assert words in page_data(client.get(f"{path}?lang={language}").text)["texts"]["erase_foreign"]


def test_a_campaign_without_a_contact_names_none(make_site: Callable[..., Site], tmp_path: Path) -> None:
    folder = tmp_path / "plain"
    shutil.copytree(CAMPAIGNS / "valentines", folder)
    file = folder / "campaign.toml"
    kept = [line for line in file.read_text("utf-8").splitlines() if not line.startswith("contact =")]
    file.write_text("\n".join(kept).replace('name = "valentines"', 'name = "plain"'), "utf-8")
    for text in ("privacy.md", "privacy.de.md"):
        (folder / text).write_text("# Your rights\n\nAsk us.", "utf-8")
    site = make_site(campaign=str(folder))
    site.song("song1", campaign="plain")
    html = site.app.test_client().get("/result/song1").text
    assert page_data(html)["texts"]["erase_foreign"] == texts_in("en")["script_result"]["erase_foreign"]


@pytest.mark.parametrize(
    ("reason", "message"),
    [
        ("service_failed", "We couldn't generate your song. Please try again with different inputs."),
        ("rendering_crashed", "Video creation failed. Please try again."),
        ("timeout", texts_in("en")["failures"]["too_long"]),
        ("queue_timeout", texts_in("en")["failures"]["too_long"]),
        (None, "We couldn't generate your song. Please try again with different inputs."),
    ],
)
def test_a_failed_song_says_why_and_offers_another_try(site: Site, client: FlaskClient, reason: str, message: str) -> None:
    site.song("song1", stage="failed", entry_status="fail", fail_reason=reason)
    page = text_of(client.get("/result/song1").text)
    assert message in page and "Retake the journey" in page


# The renderer's codes, and how else rendering ends a song.
NO_VIDEO = (
    "ffmpeg_failed", "ffmpeg_missing", "output_invalid", "output_unwritable", "render_timeout", "render_stopped",
    "photo_unreadable", "artwork_unreadable", "file_missing", "render_failed", "rendering_crashed",
)
BAD_SONG = ("audio_undecodable", "audio_cut", "audio_too_short", "audio_silent")


@pytest.mark.parametrize(("reason", "kind"), [*((code, "video") for code in NO_VIDEO), *((it, "service") for it in BAD_SONG)])
def test_every_end_of_a_render_says_whose_fault_it_was(site: Site, client: FlaskClient, reason: str, kind: str) -> None:
    site.song("song1", stage="failed", entry_status="fail", fail_reason=reason)
    assert texts_in("en")["failures"][kind] in text_of(client.get("/result/song1").text)


def test_the_renderer_has_no_other_codes() -> None:
    sources = " ".join(path.read_text("utf-8") for path in sorted((ROOT / "render").glob("*.py")))
    codes = {one or two for one, two in re.findall(r'RenderError\(\s*"(\w+)"|"(\w+_unreadable)"', sources)}
    assert codes >= {"ffmpeg_failed", "photo_unreadable"}
    assert codes - {"wrong_arguments"} == set(NO_VIDEO + BAD_SONG) - {"file_missing", "render_failed", "rendering_crashed"}


def test_an_expired_song_says_so_without_its_names(site: Site, client: FlaskClient) -> None:
    with database.connection():
        moment = database.now() - timedelta(days=1)
    site.song("song1", files_removed_at=moment, pet_name="", owner_name="", lyrics=None)
    answer = client.get("/result/song1")
    assert answer.status_code == 410
    assert "expired" in text_of(answer.text) and 'href="/"' in answer.text


def test_a_song_in_the_making_waits_and_a_finished_one_does_not(site: Site, client: FlaskClient) -> None:
    site.song("song1", stage="rendering", entry_status="processing")
    assert client.get("/result/song1").location == "/waiting/song1"
    assert "Calculating results..." in client.get("/waiting/song1").text
    for stage, status in (("done", "success"), ("failed", "fail")):
        site.change("song1", stage=stage, entry_status=status)
        assert client.get("/waiting/song1").location == "/result/song1"


@pytest.mark.parametrize("path", ["/waiting/nobody", "/result/nobody", "/result/..%2f..", "/result/%00", "/no/such/page"])
def test_unknown_addresses_get_a_friendly_page(client: FlaskClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 404 and answer.mimetype == "text/html"
    assert 'class="site-header"' in answer.text and 'href="/"' in answer.text


# ---- how it is delivered

@pytest.mark.parametrize("path", ["/", "/waiting/song2", "/result/song1", "/result/song3", "/terms", "/privacy", "/nothing"])
def test_pages_have_nothing_inline_nothing_foreign_and_no_cookie(site: Site, client: FlaskClient, path: str) -> None:
    site.song("song1")
    site.song("song2", stage="queued", entry_status="pending")
    site.song("song3", stage="failed", entry_status="fail")
    answer = client.get(path)
    assert "Set-Cookie" not in answer.headers
    assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:", answer.text)
    for script in re.findall(r"<script([^>]*)>", answer.text):
        assert 'src="/static/' in script or 'type="application/json"' in script
    for address in re.findall(r'<(?:script|link|img|video|source|use|track)[^>]* (?:src|href|poster)="([^"]*)"', answer.text):
        assert address.startswith(("/static/", "/look/", "/storage/", "#", "https://songs.example.com"))
    assert "unsafe" not in answer.headers["Content-Security-Policy"]


def test_static_files_are_kept_for_a_year_by_their_content(client: FlaskClient) -> None:
    html = client.get("/").text
    addresses = re.findall(r'"(/(?:static|look)/[^"]+)"', html)
    assert len(addresses) > 12
    for address in set(addresses):
        assert re.search(r"\?v=[0-9a-f]{12}$", address), address
        with client.get(address) as answer:
            assert answer.status_code == 200, address
            assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"


@pytest.mark.parametrize("path", ["/static/css/base.css", "/look/valentines/look.css", "/look/valentines/sleeve.svg"])
@pytest.mark.parametrize("query", ["", "?v=", "?v=0123456789ab"])
def test_other_addresses_of_static_files_are_revalidated(client: FlaskClient, path: str, query: str) -> None:
    with client.get(path + query) as answer:
        assert answer.status_code == 200
        assert answer.headers["Cache-Control"] == "no-cache"


def test_a_changed_file_gets_a_new_address(site: Site, tmp_path: Path) -> None:
    site.app.static_folder = str(tmp_path / "static")
    (tmp_path / "static").mkdir()
    with site.app.test_request_context():
        from_page = site.app.jinja_env.from_string("{{ static_url('a.css') }}")
        addresses = []
        for content in ("a{}", "b{}"):
            (tmp_path / "static" / "a.css").write_text(content)
            context: dict[str, Any] = {}
            site.app.update_template_context(context)
            addresses.append(from_page.render(context))
    assert addresses[0] != addresses[1]


def test_the_lock_file_names_no_registry() -> None:
    lock = (ROOT / "package-lock.json").read_text()
    assert "resolved" not in lock and "://" not in lock
    wanted = json.loads((ROOT / "package.json").read_text())["dependencies"]
    packages = json.loads(lock)["packages"]
    assert {name: packages[f"node_modules/{name}"]["version"] for name in wanted} == wanted


# ---- lyrics

def test_lyrics_are_split_by_their_headings() -> None:
    verses = split_lyrics("Oh\n\n[Verse 1] First\nSecond\n[Bridge]\n\n[Chorus]\r\nLast ")
    assert [(verse.label, verse.text) for verse in verses] == [("", "Oh"), ("Verse 1", "First\nSecond"), ("Chorus", "Last")]


@pytest.mark.parametrize("nothing", [None, "", "\n\n", "[Verse]\n"])
def test_a_song_without_words_has_no_verses(nothing: str | None) -> None:
    assert split_lyrics(nothing) == []
