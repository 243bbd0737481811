"""The song service's calls. A body is a hint: it is noted, the row becomes due, and the truth is read from the service."""
import hashlib
import logging
import re

from flask import Blueprint, Response, jsonify, request

from petsong.lifecycle.readback import receive_hint
from petsong.openapi import documented
from petsong.schemas import Done
from petsong.sonauto import read_hint
from petsong.web.errors import ApiError
from petsong.web.extension import parts

log = logging.getLogger(__name__)
MAX_BODY = 64 * 1024
TOKEN = re.compile("[0-9a-f]{64}")  # PostgreSQL takes no NUL, which an address may hold
blueprint = Blueprint("webhook", __name__)


@blueprint.post("/api/webhook")
@blueprint.post("/api/webhook/<token>")
@documented(
    "The song service has news", tag="Song service", any_json={"task_id": "no-such-task", "status": "SUCCESS"},
    answers={200: Done}, errors=("unknown_task",),
    details="Any JSON of at most 64 KB; more is not read. Without a token the task must be known. It moves nothing by "
            "itself: the truth is read from the service.",
)
def receive(token: str = "") -> Response:
    body = _read_body()
    session_id = None
    if not token or TOKEN.fullmatch(token):
        session_id = receive_hint(read_hint(body), hashlib.sha256(body).hexdigest(), token=token)
    if session_id is None:
        log.warning("webhook for an unknown task", extra={"with_token": bool(token)})
        raise ApiError(404, "unknown_task", "Unknown task_id", "No order of ours has this task.")
    parts().queues.enqueue("fetch_generation_details", session_id, front=True)
    return jsonify({"success": True, "message": "Webhook processed"})


def _read_body() -> bytes:
    """At most 64 KB; of a longer body nothing is used, and the rest is not read."""
    if (request.content_length or 0) > MAX_BODY:
        return b""
    request.max_content_length = MAX_BODY + 2  # a streamed body is cut there in silence: a byte too many tells
    body = request.stream.read(MAX_BODY + 1)
    return body if len(body) <= MAX_BODY else b""
