"""Public files of finished songs. Uploads and audio are never served.

Sent by the proxy (SENDFILE), by a CDN (MEDIA_BASE_URL), by the bucket (a presigned link), else by us, with ranges.
"""
import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

from flask import Blueprint, Response, abort, redirect, request
from werkzeug.wrappers import Response as AnyResponse

from petsong.campaigns.loader import FORMATS
from petsong.captions import as_webvtt
from petsong.lifecycle.stages import Stage
from petsong.models import Rendition, find_submission
from petsong.openapi import Answer, View, documented
from petsong.schemas import FileQuery
from petsong.storage import FileFacts, MissingFile
from petsong.web.extension import parts
from petsong.web.results import friendly_name

blueprint = Blueprint("media", __name__, url_prefix="/storage")
RANGE = re.compile(r"\s*bytes\s*=\s*([0-9]{0,18})\s*-\s*([0-9]{0,18})\s*", re.ASCII | re.IGNORECASE)
INTERNAL_PREFIX = "/internal-storage/"  # what the proxy maps to the storage folders


def _file(summary: str, media: str) -> Callable[[View], View]:
    """Describe the address of a file. Its errors are pages, as everywhere outside /api/."""
    return documented(summary, tag="Files", query=FileQuery, headers=("If-None-Match", "Range"), bare=True, answers={
        200: Answer(summary, media=media, headers=("ETag",)),
        206: Answer("A part of it", media=media, headers=("ETag", "Accept-Ranges", "Content-Range")),
        302: Answer("It is elsewhere", media="text/html", headers=("Location",)),
        304: Answer("As before", headers=("ETag",)),
        404: Answer("There is no such file", media="text/html"),
        416: Answer("It has no such part", media=media, headers=("Content-Range",)),
        500: Answer("Our fault", media="text/html"),
        503: Answer("Not at the moment", media="text/html", headers=("Retry-After",)),
    })


@blueprint.get("/video/<session_id>.mp4")
@_file("The video", "video/mp4")
def video(session_id: str) -> AnyResponse:
    row = _public_row(session_id)
    return _send(row, row.generated_video_path, "video/mp4", "mp4")


@blueprint.get(f"/video/<session_id>.<any({','.join(FORMATS[1:])}):kind>.mp4")
@_file("A further format", "video/mp4")
def further_format(session_id: str, kind: str) -> AnyResponse:
    return _send_rendition(session_id, kind, "video/mp4", "mp4")


@blueprint.get("/poster/<session_id>.jpg")
@_file("The poster", "image/jpeg")
def poster(session_id: str) -> AnyResponse:
    return _send_rendition(session_id, "poster", "image/jpeg", "jpg")


@blueprint.get("/preview/<session_id>.jpg")
@_file("The picture for link previews", "image/jpeg")
def preview(session_id: str) -> AnyResponse:
    return _send_rendition(session_id, "preview", "image/jpeg", "jpg")


@blueprint.get("/captions/<session_id>.vtt")
@_file("The words, timed", "text/vtt")
def captions(session_id: str) -> AnyResponse:
    row = _public_row(session_id)
    if not row.word_timing:
        abort(404)
    response = Response(as_webvtt(row.word_timing), mimetype="text/vtt")
    response.add_etag()
    return _private(response).make_conditional(request)


def _public_row(session_id: str) -> Any:
    row = find_submission(session_id)
    if row is None or row.stage != Stage.DONE or row.files_removed_at is not None:
        abort(404)
    return row


def _send_rendition(session_id: str, kind: str, mimetype: str, ending: str) -> AnyResponse:
    row = _public_row(session_id)
    rendition = Rendition.get_or_none(Rendition.submission == session_id, Rendition.kind == kind)
    if rendition is None:
        abort(404)
    return _send(row, rendition.path, mimetype, ending, kind)


def _send(row: Any, key: str | None, mimetype: str, ending: str, kind: str = "square") -> AnyResponse:
    shared = parts()
    facts = shared.storage.stat(key) if key else None
    if key is None or facts is None:
        abort(404)
    if shared.settings.media_base_url:
        return _private(redirect(f"{shared.settings.media_base_url}/{quote(key)}"))
    elsewhere = shared.storage.url(key)
    if elsewhere:
        return _private(redirect(elsewhere))
    try:
        response = _by_proxy(key, shared.settings.sendfile) or _by_us(key, facts)
    except MissingFile:  # removed since the look above
        abort(404)
    response.mimetype = mimetype
    if request.args.get("download") == "1":
        response.headers.set("Content-Disposition", _attachment(friendly_name(row, ending, kind)))
    return _private(response)


def _private(response: AnyResponse) -> AnyResponse:
    response.headers["Cache-Control"] = "private, no-cache"
    response.headers["X-Robots-Tag"] = "noindex"
    return response


def _attachment(name: str) -> str:
    plain = name.encode("ascii", "replace").decode().replace("?", "_").replace('"', "_")
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"


def _by_proxy(key: str, how: str) -> Response | None:
    if how == "x-accel":
        return Response(headers={"X-Accel-Redirect": INTERNAL_PREFIX + quote(key)})
    if how == "x-sendfile":
        with parts().storage.open_local(key) as path:
            return Response(headers={"X-Sendfile": str(path.resolve())})
    return None


def _by_us(key: str, facts: FileFacts) -> Response:
    """One range where one well-formed range was asked for; anything else gets the whole file, as the standard allows."""
    if request.if_none_match.contains_weak(facts.etag):  # before the range: RFC 9110, 13.2.2
        return _tagged(Response(status=304), facts)
    start, end, status = 0, facts.size, 200
    wanted = _single_range(facts)
    if wanted == "unsatisfiable":
        return Response(status=416, headers={"Content-Range": f"bytes */{facts.size}", "Accept-Ranges": "bytes"})
    if isinstance(wanted, tuple):
        start, end, status = *wanted, 206
    body: Iterator[bytes] | None = None if request.method == "HEAD" else parts().storage.stream(key, start, end)
    response = _tagged(Response(body, status=status, direct_passthrough=True), facts)
    response.content_length = end - start
    if status == 206:
        response.headers["Content-Range"] = f"bytes {start}-{end - 1}/{facts.size}"
    return response


def _tagged(response: Response, facts: FileFacts) -> Response:
    response.headers["Accept-Ranges"] = "bytes"
    response.set_etag(facts.etag)
    return response


def _single_range(facts: FileFacts) -> tuple[int, int] | str | None:
    """(start, end) with end excluded; "unsatisfiable"; None for the whole file. Ranges are defined for GET alone."""
    asked = RANGE.fullmatch(request.headers.get("Range", ""))
    if asked is None or request.method != "GET" or not _same_file(facts):
        return None
    first, last = (int(number) if number else None for number in asked.groups())
    if first is None and last is None or first is not None and last is not None and last < first:
        return None
    if first is None:  # the last N bytes
        start, end = max(0, facts.size - (last or 0)), facts.size
    else:
        start, end = first, facts.size if last is None else min(last + 1, facts.size)
    return (start, end) if start < end else "unsatisfiable"


def _same_file(facts: FileFacts) -> bool:
    condition = request.headers.get("If-Range")
    return condition is None or condition == f'"{facts.etag}"'
