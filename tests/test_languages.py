"""Languages: one file each with the same keys and braces, chosen by the link or the browser, in pages and scripts alike."""
import json
import re
import tomllib
from collections.abc import Iterator
from datetime import UTC, datetime
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from microsite import ROOT, Site
from petsong import database
from petsong.campaigns.loader import CAMPAIGNS, FORMATS
from petsong.web.languages import TRANSLATIONS, date_in_words, fill, fill_marked, texts_in

LANGUAGES = sorted(path.stem for path in TRANSLATIONS.glob("*.toml"))
OTHERS = [language for language in LANGUAGES if language != "en"]
OPERATORS = ("docs.html",)  # pages for people who build on the API speak English, as the API does
TEMPLATES = sorted(path for path in (ROOT / "petsong" / "templates").glob("*.html") if path.name not in OPERATORS)
SCRIPTS = sorted((ROOT / "petsong" / "static" / "js").glob("*.js"))
BRACES = re.compile(r"\{(\w+)\}")
PATHS = ("/", "/terms", "/privacy", "/waiting/song2", "/result/song1", "/result/song3", "/result/nobody", "/nothing")


@pytest.fixture
def client(tmp_path: Path) -> Iterator[FlaskClient]:
    site = Site(tmp_path, "redis://127.0.0.1:1/0", public_base_url="https://songs.example.com")
    site.song("song1", word_timing=[{"word": "la", "start": 0, "end": 1}])
    site.song("song2", stage="queued", entry_status="pending")
    site.song("song3", stage="failed", entry_status="fail")
    yield site.app.test_client()
    if not database.db.is_closed():
        database.db.close()


def flat(texts: dict[str, Any]) -> dict[str, list[str]]:
    """{"section.key": its text, or its lines}."""
    found = {}
    for section, lines in texts.items():
        for key, text in lines.items():
            found[f"{section}.{key}"] = text if isinstance(text, list) else [text]
    return found


def language_of(html: str) -> str:
    found = re.search(r'<html lang="(\w+)">', html)
    assert found
    return found[1]


# ---- the files

def test_there_are_two_languages_at_least() -> None:
    assert {"en", "de"} <= set(LANGUAGES)


@pytest.mark.parametrize("language", OTHERS)
def test_every_language_has_the_same_keys_and_braces(language: str) -> None:
    english, other = flat(texts_in("en")), flat(texts_in(language))
    assert list(other) == list(english)
    for key, lines in english.items():
        assert len(other[key]) == len(lines), key
        if key != "language.name":
            assert all(line.strip() for line in other[key]), key
        for one, two in zip(lines, other[key], strict=True):
            assert sorted(BRACES.findall(one)) == sorted(BRACES.findall(two)), key


@pytest.mark.parametrize("language", OTHERS)
def test_a_translation_is_no_copy(language: str) -> None:
    english, other = flat(texts_in("en")), flat(texts_in(language))
    alike = {key for key, lines in english.items() if lines == other[key]}
    assert alike <= {"campaign.owner_name_example", "result.format_hd", "result.format_story"}


@pytest.mark.parametrize("campaign", ["valentines", "birthday"])
def test_a_campaigns_copy_has_the_same_braces_in_every_language(campaign: str) -> None:
    document = tomllib.loads((CAMPAIGNS / campaign / "campaign.toml").read_text("utf-8"))
    assert document["languages"][0] == "en" and len(document["languages"]) > 1
    for language in document["languages"][1:]:
        words = tomllib.loads((CAMPAIGNS / campaign / f"{language}.toml").read_text("utf-8"))
        for key, text in document["copy"].items():
            assert sorted(BRACES.findall(text)) == sorted(BRACES.findall(words["copy"][key])), key


def test_templates_name_every_text_of_theirs_and_no_other() -> None:
    found = {f"{section}.{key}" for path in TEMPLATES for section, key in
             re.findall(r"\bt\.(\w+)\.(\w+)", path.read_text("utf-8"))}
    by_name = {f"result.format_{kind}" for kind in FORMATS} | {"result.until"}
    elsewhere = ("script", "campaign", "failures", "language", "message")  # for scripts, or looked up in petsong/web
    assert {key for key in found if not key.startswith("script")} | by_name == {
        key for key in flat(texts_in("en")) if not key.startswith(elsewhere)
    }


def test_scripts_name_every_text_of_theirs_and_no_other() -> None:
    scripts = " ".join(path.read_text("utf-8") for path in SCRIPTS)
    names = {key.partition(".")[2] for key in flat(texts_in("en")) if key.startswith("script")}
    missing = {name for name in names if not re.search(rf"[\"'.`]{name}\b", scripts)}
    assert {name for name in missing if not name.startswith(("stage_", "required_"))} == set()  # those are put together
    from_campaign = {"closed", "closed_served", "sold_out_text", "sold_out_title", "submit"}
    assert set(re.findall(r'petsong\.text\("(\w+)"', scripts)) <= names | from_campaign


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_templates_hold_no_words_of_their_own(path: Path) -> None:
    text = re.sub(r"\{#.*?#\}|\{%.*?%\}|\{\{.*?\}\}", "", path.read_text("utf-8"), flags=re.S)
    spoken = re.sub(r"<[^>]*>", " ", text)
    attributes = " ".join(re.findall(r'\s(?:alt|title|placeholder|aria-label|label|content)="([^"]*)"', text))
    found = set(re.findall(r"[A-Za-z]{3,}", re.sub(r"\b(?:width|initial|device|viewport|scale|fit|cover|noindex|image|jpeg|"
                                                   r"summary_large_image)\b", "", f"{spoken} {attributes}")))
    assert found == set()


# ---- which one a visitor gets

@pytest.mark.parametrize(
    ("accepted", "language"),
    [
        ("de", "de"), ("de-AT,en;q=0.5", "de"), ("en-GB,de;q=0.9", "en"), ("fr,de;q=0.2", "de"), ("fr,ja", "en"), ("", "en"),
        ("*", "en"), ("de;q=0", "en"),
    ],
)
def test_the_browser_is_asked(client: FlaskClient, accepted: str, language: str) -> None:
    answer = client.get("/", headers={"Accept-Language": accepted} if accepted else {})
    assert language_of(answer.text) == language
    assert "Accept-Language" in answer.headers["Vary"]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("language", LANGUAGES)
def test_the_link_wins_on_every_page(client: FlaskClient, path: str, language: str) -> None:
    html = client.get(f"{path}?lang={language}", headers={"Accept-Language": "en" if language == "de" else "de"}).text
    assert language_of(html) == language
    texts = texts_in(language)
    assert texts["frame"]["privacy"] in unescape(html)
    for other in LANGUAGES:
        assert (f'<a href="?lang={other}" lang="{other}" hreflang="{other}">' in html) == (other != language)


@pytest.mark.parametrize("lang", ["xx", "", "../en", "en%00", "de-AT"])
def test_an_unknown_language_is_none(client: FlaskClient, lang: str) -> None:
    html = client.get(f"/?lang={lang}").text
    assert language_of(html) == "en" and 'href="/terms"' in html


def test_a_choice_travels_with_links_and_redirects_but_not_with_what_is_shared(client: FlaskClient) -> None:
    html = client.get("/result/song1?lang=de").text
    assert 'href="/?lang=de"' in html and 'href="/terms?lang=de"' in html
    assert client.get("/waiting/song1?lang=de").location == "/result/song1?lang=de"
    assert client.get("/result/?lang=de").location == "/?lang=de"
    data = json.loads(re.findall(r'id="page-data">(.*?)</script>', html, re.S)[0])
    assert data["share"]["url"] == "https://songs.example.com/result/song1"
    assert 'data-url="https://songs.example.com/result/song1"' in html


@pytest.mark.parametrize("path", ["/", "/terms", "/privacy"])
def test_pages_for_search_engines_name_their_other_languages(client: FlaskClient, path: str) -> None:
    html = client.get(path).text
    alternates = dict(re.findall(r'<link rel="alternate" hreflang="([\w-]+)" href="([^"]+)">', html))
    site = "https://songs.example.com"
    assert alternates == {"en": f"{site}{path}?lang=en", "de": f"{site}{path}?lang=de", "x-default": f"{site}{path}"}


def test_previews_and_legal_texts_speak_the_language(client: FlaskClient) -> None:
    html = client.get("/privacy?lang=de").text
    assert '<meta property="og:locale" content="de_DE">' in html
    assert "Deine Rechte" in html and "Liebeslieder für Tiere zum Valentinstag" in html


def test_the_expiry_date_is_in_words(client: FlaskClient) -> None:
    moment = datetime(2027, 3, 1, 12, tzinfo=UTC)
    assert date_in_words(moment, texts_in("en")) == "1 March 2027"
    assert date_in_words(moment, texts_in("de")) == "1. März 2027"
    assert re.search(r'bis zum <time datetime="[^"]+">\d+\. \w+ \d{4}</time> hier', client.get("/result/song1?lang=de").text)


def test_filling_in_reads_no_name_as_a_template() -> None:
    assert fill("{a} and {b} {c}", a="{b}", b="{0.__class__}") == "{b} and {0.__class__} {c}"
    assert fill_marked("<{pet_name}>", pet_name="<b>") == "&lt;<bdi>&lt;b&gt;</bdi>&gt;"
