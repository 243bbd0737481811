"""The filtered list as CSV, streamed: the first line goes out before the first query.

Spreadsheets take a cell that begins with = + - @ for a formula, whoever wrote it: such a cell gets an apostrophe in front.
"""
import csv
import io
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from flask import Response, request

from petsong import database
from petsong.openapi import Answer, documented
from petsong.schemas import iso
from petsong.web.desk import search
from petsong.web.desk.guard import DeskError, desk_api, desk_blueprint
from petsong.web.desk.search import Filter, WrongParameters
from petsong.web.errors import validation_failed

pages = desk_blueprint("export")
api = desk_api("export")
blueprints = (pages, api)
COLUMNS = {
    "session_id": "session_id", "created_at": "created_at", "campaign": "campaign", "status": "entry_status",
    "stage": "stage", "stage_since": "stage_since", "reason": "fail_reason", "pet_name": "pet_name", "pet_type": "pet_type",
    "music_vibe": "music_vibe", "owner_name": "owner_name", "refusals": "retry_count", "task_id": "llm_task_id",
    "service_status": "llm_status", "sent_at": "sent_to_llm", "song_at": "received_from_llm",
    "audio_seconds": "audio_seconds", "video_started_at": "video_creation_start", "video_ended_at": "video_creation_end",
    "erased_at": "files_removed_at",
}
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # the last four: their wide forms
BOM = "\ufeff"  # without it spreadsheets take UTF-8 for something else


@api.get("/submissions.csv")
@documented(
    "Submissions as CSV, newest first", tag="Operator", query=Filter, login=True, errors=("validation_failed",),
    answers={200: Answer("The file, with names: one line for each", media="text/csv")},
)
def export_api() -> Response:
    try:
        wanted = search.read(Filter, request.args)
    except WrongParameters as error:
        raise validation_failed(next(iter(error.fields.values())), error.fields) from None
    return _file(lines(wanted))


@pages.get("/submissions.csv")
def export_page() -> Response:
    """For a person, who opens it in a spreadsheet."""
    try:
        wanted = search.read(Filter, request.args)
    except WrongParameters as error:
        raise DeskError(400, "That filter is not right", " · ".join(error.fields.values())) from None
    return _file(with_mark(lines(wanted)))


def _file(content: Iterator[str]) -> Response:
    response = Response(content, mimetype="text/csv")
    response.headers.set("Content-Disposition", "attachment", filename="submissions.csv")
    return response


def with_mark(content: Iterator[str]) -> Iterator[str]:
    yield BOM
    yield from content


def lines(wanted: Filter) -> Iterator[str]:
    """The head, then some rows at a time. No connection is held while a slow reader takes his time."""
    yield _csv([list(COLUMNS)])
    chunks = search.in_chunks(wanted)
    while True:
        with database.connection():
            rows = next(chunks, None)
        if rows is None:
            return
        yield _csv([_cell(getattr(row, name)) for name in COLUMNS.values()] for row in rows)


def _csv(rows: Iterable[list[str]]) -> str:
    out = io.StringIO()
    csv.writer(out).writerows(rows)
    return out.getvalue()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    text = iso(value) if isinstance(value, datetime) else str(value)
    return f"'{text}" if text.startswith(FORMULA) else text
