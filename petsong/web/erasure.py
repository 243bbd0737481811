"""POST /api/submissions/<id>/delete: a visitor's own "delete my song", from the browser that made it."""
import hmac
import logging
from typing import Any

from flask import Blueprint, Response, jsonify
from flask_limiter import Limiter
from pydantic import ValidationError

from petsong.erasure import erase
from petsong.lifecycle.arrival import hashed_cookie
from petsong.models import find_submission
from petsong.openapi import documented
from petsong.schemas import Deletion, Done, messages_of
from petsong.web.bodies import json_object, read_json_body
from petsong.web.errors import session_not_found, unavailable, validation_failed
from petsong.web.extension import parts

log = logging.getLogger(__name__)
MAX_BODY = 4096


def make_blueprint(limiter: Limiter) -> Blueprint:
    blueprint = Blueprint("erasure", __name__)

    @blueprint.post("/api/submissions/<session_id>/delete")
    @limiter.limit("30/hour")
    @documented(
        "Delete a song", tag="Songs", request=Deletion, answers={200: Done},
        errors=("validation_failed", "session_not_found", "too_large", "unsupported_media_type", "too_many_requests"),
        details="Photo, song, video, names and lyrics go at once, also of a song that is not finished. Only the cookie_id that "
                "ordered it may; any other one is answered as if there were no such song. A repeat is answered alike.",
    )
    def delete(session_id: str) -> Response:
        cookie_id = _read_cookie()
        shared, row = parts(), find_submission(session_id)
        if row is None or not _made_by(row, cookie_id):
            raise session_not_found()
        try:
            erase(shared.settings, shared.storage, shared.queues, session_id, who="the visitor")
        except OSError as error:  # the row still names its files: a repeat goes on
            log.error("could not remove files", extra={"session_id": session_id, "error": type(error).__name__})
            raise unavailable() from error
        return jsonify(Done(message="Your song was deleted.").model_dump())

    return blueprint


def _read_cookie() -> str:
    try:
        return Deletion.model_validate(json_object(read_json_body(MAX_BODY)), strict=True).cookie_id
    except ValidationError as error:
        fields = messages_of(error.errors(include_url=False, include_context=False, include_input=False))
        raise validation_failed(next(iter(fields.values())), fields) from None


def _made_by(row: Any, cookie_id: str) -> bool:
    """Of a song whose data are gone only its cookie's hash is left. Compared in constant time."""
    gone = row.files_removed_at is not None
    given = hashed_cookie(parts().settings, cookie_id) if gone else cookie_id
    return hmac.compare_digest(row.cookie_id.encode(), given.encode())
