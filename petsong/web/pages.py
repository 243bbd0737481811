"""What visitors see: the form, the waiting page, the result and the legal texts. Everything else is the API's.

Pages are complete in the HTML: names, lyrics and link previews are there without a script running.
"""
import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import quote, urlencode

from flask import Blueprint, Response, g, make_response, redirect, render_template, request, url_for
from markupsafe import Markup, escape
from werkzeug.wrappers import Response as AnyResponse

from petsong.campaigns.loader import Campaign
from petsong.models import find_submission
from petsong.web import texts
from petsong.web.extension import parts
from petsong.web.static_files import cache_for_a_year, static_url

pages = Blueprint("pages", __name__)
pages.after_app_request(cache_for_a_year)

ICONS = {
    "Dog": "dog", "Cat": "cat", "Bird": "bird", "Fish": "fish", "Other": "paw",
    "Chill": "waves", "Energetic": "bolt", "Romantic": "heart", "Party": "party", "Relaxing": "leaf",
}
TOOK_TOO_LONG = ("timeout", "queue_timeout", "no_answer", "download_unreachable")
FIELD = re.compile(r"\{(\w+)\}")
SECTION = re.compile(r"\s*\[([^\[\]\n]{1,60})\]\s*(.*)")


@dataclass(frozen=True)
class Preview:
    """What a link looks like elsewhere; addresses are absolute, the image is 1200x630."""

    url: str
    title: str
    description: str
    image: str
    image_alt: str
    type: str = "website"


@dataclass(frozen=True)
class Verse:
    label: str  # "" where the song names no section
    text: str  # lines separated by newlines


# ---- pages

@pages.get("/")
def form() -> Response:
    words, campaign = _words(), _campaign()
    page_texts = {**texts.FORM, **{key: words[key] for key in ("submit", "sold_out_title", "sold_out_text")}}
    choices = {"pet_type": list(campaign.pet_types), "music_vibe": list(campaign.vibes)}
    data = {
        "texts": page_texts,
        "choices": choices,
        "submit_path": "/api/submissions",
        "availability_path": "/api/availability",
        "waiting_path": "/waiting/",
        "result_path": "/result/",
        "limits": {
            "submissions": parts().settings.form_submit_retry,
            "name_min": 2, "name_max": 100, "name_extra": campaign.extra_name_characters,
            "said_min": 2, "said_max": 60,
        },
    }
    return _page(
        "form.html", data=data, texts=page_texts, icons=ICONS, vibe_icons={**ICONS, "Other": "note"},
        preview=_campaign_preview(),
    )


@pages.get("/waiting/")
@pages.get("/result/")
def no_song() -> AnyResponse:
    return redirect(url_for(".form"))


@pages.get("/waiting/<session_id>")
def waiting(session_id: str) -> AnyResponse:
    row = find_submission(session_id)
    if row is None:
        return _private(_unknown_song())
    g.campaign = parts().campaign_of(row)
    result_path = url_for(".result", session_id=session_id)
    if row.entry_status in ("success", "fail") or row.files_removed_at:
        return _private(redirect(result_path))
    data = {
        "texts": texts.WAITING,
        "session_id": session_id,
        "status_path": f"/api/submissions/{session_id}/status",
        "result_path": result_path,
    }
    address = _site() + url_for(".waiting", session_id=session_id)
    page = _page(
        "waiting.html", data=data, texts=texts.WAITING, page_url=address, result_path=result_path,
        preview=_campaign_preview(address),
    )
    return _private(page)


@pages.get("/result/<session_id>")
def result(session_id: str) -> AnyResponse:
    row = find_submission(session_id)
    if row is None:
        return _private(_unknown_song())
    g.campaign = parts().campaign_of(row)
    if row.files_removed_at:
        return _private(_message_page(*texts.EXPIRED, status=410))
    if row.entry_status == "fail":
        heading, action = texts.FAILED
        return _private(_message_page(heading, _failure(row.fail_reason), action))
    if row.entry_status != "success":
        return _private(redirect(url_for(".waiting", session_id=session_id)))
    return _private(_song_page(row))


@pages.get("/terms")
def terms() -> Response:
    return _text_page("Terms & Conditions", _campaign().terms)


@pages.get("/privacy")
def privacy() -> Response:
    return _text_page("Privacy Policy", _campaign().privacy)


# ---- the song's page

def _song_page(row: Any) -> Response:
    words, kinds = _words(), {rendition.kind for rendition in row.renditions}
    names = {"pet_name": row.pet_name, "owner_name": row.owner_name}
    address = _site() + url_for(".result", session_id=row.session_id)
    title = _fill(words["result_title"], names)
    share_text = _fill(words["share_text"], names)
    preview = Preview(
        url=address, title=title, description=_fill(words["result_description"], names), type="video.other",
        image=_preview_image(row.session_id if "preview" in kinds else None), image_alt=title,
    )
    video_path = f"/storage/video/{row.session_id}.mp4"
    data = {
        "texts": texts.RESULT,
        "video_path": video_path,
        "file_name": f"{row.pet_name}.mp4",
        "share": {"title": title, "text": share_text, "url": address},
    }
    return _page(
        "result.html", data=data, preview=preview, page_url=address, video_path=video_path,
        heading=_heading(words["result_title"], names),
        poster_path=f"/storage/poster/{row.session_id}.jpg" if "poster" in kinds else "",
        captions_path=f"/storage/captions/{row.session_id}.vtt" if row.word_timing else "",
        verses=split_lyrics(row.lyrics), share_links=_share_links(address, share_text),
        available_until=row.created_at + timedelta(days=parts().settings.file_retention_days),
        banners=_campaign().banners,
    )


def _share_links(address: str, text: str) -> list[dict[str, str]]:
    return [
        {"name": "WhatsApp", "href": "https://wa.me/?" + urlencode({"text": f"{text} {address}"}, quote_via=quote)},
        {"name": "Facebook", "href": "https://www.facebook.com/sharer/sharer.php?" + urlencode({"u": address})},
        {"name": "X", "href": "https://x.com/intent/post?" + urlencode({"text": text, "url": address}, quote_via=quote)},
    ]


def split_lyrics(lyrics: str | None) -> list[Verse]:
    """Sections of a song's text by their [Headings]; empty ones are left out."""
    found: list[tuple[str, list[str]]] = [("", [])]
    for line in (lyrics or "").splitlines():
        heading = SECTION.fullmatch(line)
        if heading:
            found.append((heading[1].strip(), [heading[2]] if heading[2] else []))
        else:
            found[-1][1].append(line.strip())
    verses = (Verse(label, "\n".join(lines).strip()) for label, lines in found)
    return [verse for verse in verses if verse.text]


def _failure(fail_reason: str | None) -> str:
    """What a visitor reads of a reason code: only whose fault it was, never details."""
    kind, reason = "service", fail_reason or ""
    if reason in TOOK_TOO_LONG:
        kind = "too_long"
    elif reason.startswith(("render", "video")):
        kind = "video"
    return {**texts.FAILURES, **_campaign().fail_messages}[kind]


# ---- what every page needs

def _campaign() -> Campaign:
    """Of the song that this page is about, else the present one."""
    found: Campaign = g.get("campaign") or parts().campaign
    return found


def _words() -> dict[str, str]:
    return {**texts.CAMPAIGN_WORDS, **_campaign().copy}


@pages.app_context_processor
def _everywhere() -> dict[str, Any]:
    """For every template, also where an error handler renders it."""
    campaign = _campaign()
    return {
        "campaign": campaign,
        "words": _words(),
        "language": campaign.locale.replace("_", "-").split("-")[0],
        "static_url": static_url,
    }


def _site() -> str:
    """Our address for visitors, without a final slash: the setting, else as this request names us."""
    return parts().settings.site_url or request.url_root.rstrip("/")


def _campaign_preview(address: str | None = None) -> Preview:
    campaign = _campaign()
    return Preview(
        address or f"{_site()}/", campaign.title, campaign.description, image=_preview_image(None), image_alt=campaign.title
    )


def _preview_image(session_id: str | None) -> str:
    """Of this song, else the site's own."""
    return _site() + (f"/storage/preview/{session_id}.jpg" if session_id else static_url("img/share.jpg"))


def _page(template: str, status: int = 200, **values: Any) -> Response:
    response = make_response(render_template(template, **values), status)
    response.headers["Cache-Control"] = "no-cache"
    return response


def _message_page(heading: str, message: str, action: str, *, status: int = 200) -> Response:
    return _page("message.html", status, heading=heading, message=message, action=action)


def _unknown_song() -> Response:
    return _message_page(*texts.UNKNOWN_SONG, status=404)


def _text_page(heading: str, text: str) -> Response:
    return _page("text.html", heading=heading, parts=_parts(text), preview=_campaign_preview(_site() + request.path))


def _private(response: AnyResponse) -> AnyResponse:
    """Public by link only: no search engine, and the link does not travel on with a click."""
    response.headers["X-Robots-Tag"] = "noindex"
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["Cache-Control"] = "private, no-cache"
    return response


def _fill(template: str, names: dict[str, str]) -> str:
    """One pass of plain replacing: neither a campaign's text nor a name reaches Python's format language."""
    return FIELD.sub(lambda field: names.get(field[1], field[0]), template)


def _heading(template: str, names: dict[str, str]) -> Markup:
    """The text with each name in its own writing direction."""
    marked = {name: f"<bdi>{escape(value)}</bdi>" for name, value in names.items()}
    return Markup(_fill(str(escape(template)), marked))  # noqa: S704 - every part was escaped just above


def _parts(text: str) -> list[dict[str, Any]]:
    """Paragraphs of a plain text, of which lines beginning with # are headings and blocks of - are lists."""
    parts: list[dict[str, Any]] = []
    for block in re.split(r"\n\s*\n", text.strip()):
        lines = [line.strip() for line in block.splitlines()]
        while lines and lines[0].startswith("#"):
            parts.append({"kind": "heading", "text": lines.pop(0).lstrip("# ")})
        if lines and all(line.startswith("- ") for line in lines):
            parts.append({"kind": "list", "lines": [line[2:] for line in lines]})
        elif lines:
            parts.append({"kind": "text", "text": " ".join(lines)})
    return parts
