"""What visitors see: the form, the waiting page, the result and the legal texts. Everything else is the API's.

Pages are complete in the HTML: names, lyrics and link previews are there without a script running.
"""
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

from flask import Blueprint, Response, g, redirect, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from petsong.campaigns.loader import PetType, Vibe
from petsong.models import find_submission
from petsong.switch import CLOSED
from petsong.web import languages
from petsong.web.compression import compress
from petsong.web.extension import parts
from petsong.web.frame import Frame, Preview, alternates, chosen, everywhere, page, private, site
from petsong.web.lyrics import split_lyrics
from petsong.web.results import downloads_of, expires_at, more_to_come
from petsong.web.static_files import cache_for_a_year

pages = Blueprint("pages", __name__)
pages.after_app_request(cache_for_a_year)
pages.after_app_request(compress)
pages.app_context_processor(everywhere)
pages.url_defaults(languages.carry_choice)

ICONS = {
    "Dog": "dog", "Cat": "cat", "Bird": "bird", "Fish": "fish", "Other": "paw",
    "Chill": "waves", "Energetic": "bolt", "Romantic": "heart", "Party": "party", "Relaxing": "leaf",
}
TOOK_TOO_LONG = ("timeout", "queue_timeout", "no_answer", "download_unreachable")
# How the reasons begin for which a song that was sung got no video.
NO_VIDEO = ("render", "video", "ffmpeg_", "output_", "photo_", "artwork_", "file_missing")


# ---- pages

@pages.get("/")
def form() -> Response:
    frame = Frame()
    campaign, words = frame.campaign, frame.words
    choices: dict[str, Mapping[str, PetType | Vibe]] = {"pet_type": campaign.pet_types, "music_vibe": campaign.vibes}
    data = {
        "texts": {
            **frame.script_texts("form"), **{key: words[key] for key in ("submit", "sold_out_title", "sold_out_text")},
            "closed": campaign.opening.message, "closed_served": parts().campaign.opening.message or CLOSED,
        },
        "choices": {field: list(of) for field, of in choices.items()},
        "choice_labels": {field: [choice.label for choice in of.values()] for field, of in choices.items()},
        "submit_path": "/api/submissions",
        "availability_path": "/api/availability",
        "waiting_path": "/waiting/",
        "result_path": "/result/",
        "query": chosen(),
        "label": frame.look("label.svg"),
        "limits": {
            "submissions": parts().settings.form_submit_retry,
            "name_min": 2, "name_max": 100, "name_extra": campaign.extra_name_characters,
            "said_min": 2, "said_max": 60, "retention_days": parts().settings.file_retention_days,
        },
    }
    return page(
        "form.html", data=data, icons=ICONS, vibe_icons={**ICONS, "Other": "note"},
        preview=frame.preview(site() + url_for(".form")), alternates=alternates(frame, ".form"),
    )


@pages.get("/waiting/")
@pages.get("/result/")
def no_song() -> AnyResponse:
    return redirect(url_for(".form"))


@pages.get("/waiting/<session_id>")
def waiting(session_id: str) -> AnyResponse:
    row = find_submission(session_id)
    if row is None:
        return private(_unknown_song())
    g.campaign = parts().campaign_of(row)
    result_path = url_for(".result", session_id=session_id)
    if row.entry_status in ("success", "fail") or row.files_removed_at:
        return private(redirect(result_path))
    frame = Frame()
    data = {
        "texts": frame.script_texts("waiting"),
        "session_id": session_id,
        "status_path": f"/api/submissions/{session_id}/status",
        "result_path": result_path,
        "stage": row.stage,
        "pet_name": row.pet_name,
    }
    address = site() + url_for(".waiting", session_id=session_id, lang=None)
    return private(page(
        "waiting.html", data=data, page_url=address, result_path=result_path, preview=frame.preview(address),
        first_words=frame.texts["script_waiting"][f"stage_{row.stage}"],
    ))


@pages.get("/result/<session_id>")
def result(session_id: str) -> AnyResponse:
    row = find_submission(session_id)
    if row is None:
        return private(_unknown_song())
    g.campaign = parts().campaign_of(row)
    frame = Frame()
    if row.files_removed_at:
        return private(_message_page(frame, "expired", status=410))
    if row.entry_status == "fail":
        data = _erasable(frame, session_id)
        return private(_message_page(frame, "failed", _failure(frame, row.fail_reason), data=data))
    if row.entry_status != "success":
        return private(redirect(url_for(".waiting", session_id=session_id)))
    return private(_song_page(frame, row))


@pages.get("/terms")
def terms() -> Response:
    return _text_page("terms")


@pages.get("/privacy")
def privacy() -> Response:
    return _text_page("privacy")


# ---- the song's page

def _song_page(frame: Frame, row: Any) -> Response:
    renditions = list(row.renditions)
    kinds = {rendition.kind for rendition in renditions}
    names = {"pet_name": row.pet_name, "owner_name": row.owner_name}
    address = site() + url_for(".result", session_id=row.session_id, lang=None)
    preview = _preview(frame, row.session_id if "preview" in kinds else None, names, address)
    share_text = languages.fill(frame.words["share_text"], **names)
    video_path = f"/storage/video/{row.session_id}.mp4"
    data = {
        **_erasable(frame, row.session_id),
        "video_path": video_path,
        "file_name": f"{row.pet_name}.mp4",
        "share": {"title": preview.title, "text": share_text, "url": address},
    }
    return page(
        "result.html", data=data, preview=preview, page_url=address, video_path=video_path,
        heading=languages.fill_marked(frame.words["result_title"], **names),
        poster_path=f"/storage/poster/{row.session_id}.jpg" if "poster" in kinds else "",
        captions_path=f"/storage/captions/{row.session_id}.vtt" if row.word_timing else "",
        verses=split_lyrics(row.lyrics), share_links=_share_links(address, share_text),
        further_downloads=downloads_of(row, renditions)[1:], more_to_come=more_to_come(renditions),
        until=_until(frame, row), banners=frame.campaign.banners,
    )


def _erasable(frame: Frame, session_id: str) -> dict[str, Any]:
    """For the scripts of a page whose song its visitor may delete."""
    texts, contact = frame.script_texts("result"), frame.campaign.contact
    if contact:
        texts["erase_foreign"] = languages.fill(frame.texts["message"]["erase_foreign_contact"], contact=contact)
    return {"texts": texts, "session_id": session_id, "erase_path": f"/api/submissions/{session_id}/delete"}


def _preview(frame: Frame, picture_of: str | None, names: dict[str, str], address: str) -> Preview:
    title = languages.fill(frame.words["result_title"], **names)
    description = languages.fill(frame.words["result_description"], **names)
    return Preview(address, title, description, frame.share_picture(picture_of), image_alt=title, type="video.other")


def _until(frame: Frame, row: Any) -> dict[str, str]:
    end = expires_at(parts().settings, row)
    before, _, after = frame.texts["result"]["until"].partition("{date}")
    date = languages.date_in_words(end, frame.texts)
    return {"before": before, "date": date, "moment": end.isoformat(), "after": after}


def _share_links(address: str, text: str) -> list[dict[str, str]]:
    return [
        {"name": "WhatsApp", "href": "https://wa.me/?" + urlencode({"text": f"{text} {address}"}, quote_via=quote)},
        {"name": "Facebook", "href": "https://www.facebook.com/sharer/sharer.php?" + urlencode({"u": address})},
        {"name": "X", "href": "https://x.com/intent/post?" + urlencode({"text": text, "url": address}, quote_via=quote)},
    ]


def _failure(frame: Frame, fail_reason: str | None) -> str:
    """What a visitor reads of a reason code: only whose fault it was, never details."""
    kind, reason = "service", fail_reason or ""
    if reason in TOOK_TOO_LONG:
        kind = "too_long"
    elif reason.startswith(NO_VIDEO):
        kind = "video"
    texts: dict[str, str] = {**frame.texts["failures"], **frame.campaign.fail_messages}
    return texts[kind]


# ---- pages with one message, and texts

def _message_page(
    frame: Frame, kind: str, message: str = "", *, status: int = 200, data: dict[str, Any] | None = None
) -> Response:
    texts = frame.texts["message"]
    return page(
        "message.html", status, heading=texts[kind], message=message or texts[f"{kind}_text"],
        action=texts[f"{kind}_action"], data=data,
    )


def _unknown_song() -> Response:
    return _message_page(Frame(), "unknown", status=404)


def _text_page(kind: str) -> Response:
    frame, endpoint = Frame(), f".{kind}"
    text = languages.fill(getattr(frame.campaign, kind), contact=frame.campaign.contact)
    return page(
        "text.html", heading=frame.texts["frame"][kind], parts=_parts(text),
        preview=frame.preview(site() + url_for(endpoint)), alternates=alternates(frame, endpoint),
    )


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


@pages.after_app_request
def _speak(response: Response) -> Response:
    if response.mimetype == "text/html" and request.endpoint != "static":
        response.vary.add("Accept-Language")
    return response
