"""Submissions: the list, one of them with all that is known, and its files."""
import json
from collections.abc import Iterator
from math import ceil
from typing import Any

from flask import Response, abort, jsonify, render_template, request, send_file
from werkzeug.wrappers import Response as AnyResponse

from petsong.models import find_submission
from petsong.openapi import documented
from petsong.storage import MissingFile, StorageError
from petsong.web.desk import actions, search
from petsong.web.desk.guard import DeskError, desk_api, desk_blueprint
from petsong.web.desk.search import Listing, WrongParameters
from petsong.web.desk.story import next_step, story
from petsong.web.desk.submission_answers import Details, SubmissionsPage, Summary
from petsong.web.desk.timeline import timeline
from petsong.web.errors import session_not_found, validation_failed
from petsong.web.extension import parts

pages = desk_blueprint("submissions")
api = desk_api("submissions")
blueprints = (pages, api)
MEDIA = {"photo": "image/jpeg", "song": "audio/mpeg", "video": "video/mp4", "poster": "image/jpeg", "preview": "image/jpeg"}


# ---- the list

@api.get("/submissions")
@documented(
    "Submissions, newest first", tag="Operator", query=Listing, answers={200: SubmissionsPage}, errors=("validation_failed",),
    login=True,
)
def list_submissions() -> Response:
    try:
        wanted = search.read(Listing, request.args)
    except WrongParameters as error:
        raise validation_failed(next(iter(error.fields.values())), error.fields) from None
    return jsonify(_page(wanted).model_dump(mode="json"))


@pages.get("/submissions")
def list_page() -> tuple[str, int]:
    try:
        wanted = search.read(Listing, request.args)
    except WrongParameters as error:
        return render_template("admin/submissions.html", found=None, given=request.args, wrong=error.fields, **_choices()), 400
    found = _page(wanted)
    return render_template(
        "admin/submissions.html", found=found, given=request.args, wanted=wanted, wrong={}, around=_around(found), **_choices()
    ), 200


def _page(wanted: Listing) -> SubmissionsPage:
    total = search.count(wanted)
    return SubmissionsPage(
        submissions=[_summary(row) for row in search.one_page(wanted, total)], page=wanted.page, page_size=wanted.page_size,
        total=total, total_pages=ceil(total / wanted.page_size),
    )


def _summary(row: Any) -> Summary:
    return Summary(
        session_id=row.session_id, created_at=row.created_at, campaign=row.campaign, status=row.entry_status,
        stage=row.stage, stage_since=row.stage_since, reason=row.fail_reason, pet_name=row.pet_name, pet_type=row.pet_type,
        music_vibe=row.music_vibe, owner_name=row.owner_name, erased=row.files_removed_at is not None,
    )


def _choices() -> dict[str, Any]:
    return {"statuses": search.STATUSES, "stages": list(search.Stage)}


def _around(found: SubmissionsPage) -> list[int]:
    """Numbers of the pages to link to: the first, the neighbours, the last."""
    last = found.total_pages
    return sorted({n for n in (1, *range(found.page - 2, found.page + 3), last) if 1 <= n <= last})


# ---- one of them

@api.get("/submissions/<session_id>")
@documented(
    "One submission", tag="Operator", answers={200: Details}, errors=("session_not_found",), login=True,
    details="With names, lyrics and the song service's own answer: not for a ticket.",
)
def one_submission(session_id: str) -> Response:
    row = find_submission(session_id)
    if row is None:
        raise session_not_found()
    return jsonify(Details(
        **story(row), person=_person(row), service_answer=row.llm_full_response, actions=sorted(actions.possible(row))
    ).model_dump(mode="json"))


def _person(row: Any) -> dict[str, Any]:
    names = ("pet_name", "owner_name", "pet_name_said", "owner_name_said", "pet_type", "music_vibe", "cookie_id", "lyrics")
    return {name: getattr(row, name) for name in names}


@pages.get("/submissions/<session_id>")
def one_page(session_id: str) -> str:
    row = row_or_404(session_id)
    told = story(row)
    answer = json.dumps(row.llm_full_response, indent=2, ensure_ascii=False) if row.llm_full_response else ""
    return render_template(
        "admin/submission.html", row=row, s=told["submission"], told=told, next_step=next_step(told["submission"]),
        timeline=timeline(told), answer=answer, files={file["kind"]: file for file in told["files"] if file["bytes"]},
        possible=actions.possible(row), cost=_cost(row), did=DID.get(request.args.get("did", "")),
    )


DID = {
    "retry": "It goes on.", "cancel": "It was cancelled.",
    "rerender": "Its video is made anew; the old one is shown until then.",
    "delete": "Its files and personal data are gone.",
}


def _cost(row: Any) -> actions.Estimate | None:
    return actions.estimate_one(row) if "retry" in actions.possible(row) else None


def row_or_404(session_id: str) -> Any:
    row = find_submission(session_id)
    if row is None:
        raise DeskError(404, "There is no such submission", "Its id is the last part of its page's address.")
    return row


# ---- its files, which visitors never see but for the finished video

@pages.get("/submissions/<session_id>/file/<kind>")
def file(session_id: str, kind: str) -> AnyResponse:
    key = dict(_keys(row_or_404(session_id))).get(kind)
    if not key:
        abort(404)
    try:
        with parts().storage.open_local(key) as path:
            return send_file(path, mimetype=MEDIA.get(kind, "video/mp4"), conditional=True)
    except (MissingFile, StorageError):
        abort(404)


def _keys(row: Any) -> Iterator[tuple[str, str]]:
    if row.files_removed_at is not None:
        return
    yield from (("photo", row.photo_path), ("song", row.generated_song_path), ("video", row.generated_video_path))
    yield from ((rendition.kind, rendition.path) for rendition in row.renditions)
