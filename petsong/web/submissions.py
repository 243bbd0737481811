"""POST /api/submissions, and what a visitor may ask about a song on its way."""
import hashlib
import re
import secrets
from typing import Any

from cuid2 import Cuid
from flask import Blueprint, Response, g, jsonify, request
from flask_limiter import Limiter
from flask_limiter.errors import RateLimitExceeded
from pydantic import ValidationError

from petsong import database, estimates, limits, switch
from petsong.lifecycle.arrival import Arrival, Idempotency, KeyMismatch, LimitReached, accept, earlier_answer
from petsong.models import find_submission
from petsong.openapi import JSON, Answer, documented
from petsong.photos import PhotoError, decode_photo, safe_square_jpeg
from petsong.schemas import Accepted, Availability, GoneError, Range, Status, SubmissionForm, iso, messages_of
from petsong.settings import Settings
from petsong.web.bodies import json_object, read_json_body
from petsong.web.errors import PHOTO_MESSAGE, ApiError, expired, session_not_found, validation_failed
from petsong.web.extension import Parts, parts

MAX_BODY = 7 * 1024 * 1024
COOKIE = re.compile(r"cookie_[a-z0-9]{2,32}")
KEY = re.compile(r"[\x21-\x7e]{1,200}")
new_session_id = Cuid(length=24).generate
STATUS_MESSAGES = {
    "queued": "Your song is waiting for its turn.",
    "sending": "Your song is being ordered.",
    "generating": "Your song is being written and sung.",
    "downloading": "Your song is ready and on its way to us.",
    "rendering": "Your record is being pressed.",
    "done": "Your song is ready.",
    "failed": "Your song could not be made.",
}
POLL_SECONDS = {"downloading": 2.0, "rendering": 1.0}


def make_blueprint(settings: Settings, limiter: Limiter) -> Blueprint:
    blueprint = Blueprint("submissions", __name__)
    per_hour = settings.submissions_per_hour_per_ip
    # Looked at before the work, counted in one step right before the row: parallel posts must not slip through between.
    look = limiter.limit(f"{per_hour}/hour", scope="accepted", deduct_when=lambda _: False)
    count = limiter.limit(f"{per_hour}/hour", scope="accepted")
    rejected = limiter.limit(f"{per_hour * 10}/hour", scope="rejected", deduct_when=lambda r: r.status_code != 200)
    check, store = look(rejected(_check)), count(_store)

    def take_in(data: dict[str, Any], idempotency: Idempotency | None) -> Any:
        try:
            return store(*check(data), idempotency)
        except (ApiError, RateLimitExceeded):
            twin = _answered_before(idempotency)  # the same form may have been taken in meanwhile
            if twin is None:
                raise
            return twin

    @blueprint.post("/api/submissions")
    @documented(
        "Order a song", tag="Songs", request=SubmissionForm, headers=("Idempotency-Key",), answers={200: Accepted},
        errors=("validation_failed", "invalid_image", "idempotency_mismatch", "too_large", "unsupported_media_type",
                "rate_limit_exceeded", "too_many_requests", "sold_out", "busy"),
        details="Unknown keys are ignored; a key twice, NaN and endless nesting are refused. At most 7 MB.",
    )
    def submit() -> Response:
        body = read_json_body(MAX_BODY)
        data = json_object(body)
        idempotency = _idempotency(body)
        answer = _answered_before(idempotency)
        if answer is None:
            _require_open(parts())
            answer = take_in(data, idempotency)
        return jsonify(answer)

    blueprint.get("/api/submissions/<session_id>/status")(status)
    blueprint.get("/api/availability")(availability)
    return blueprint


# ---- the checks, cheapest first

def _idempotency(body: bytes) -> Idempotency | None:
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return None
    if not KEY.fullmatch(key):
        raise validation_failed("Idempotency-Key must be 1 to 200 printable ASCII characters without spaces.")
    return Idempotency(key, hashlib.sha256(body).hexdigest())


def _answered_before(idempotency: Idempotency | None) -> Any:
    try:
        return earlier_answer(idempotency) if idempotency else None
    except KeyMismatch as error:
        raise _mismatch() from error


def _mismatch() -> ApiError:
    return ApiError(
        409, "idempotency_mismatch", "idempotency_mismatch",
        "This Idempotency-Key was used with another form. Use a new key for a new form.",
    )


def _require_open(shared: Parts) -> None:
    closed = limits.closing_reason(shared.settings, shared.campaign)
    if closed is None:
        return
    code, message = closed
    if code == "sold_out":
        raise ApiError(503, code, code, message, retry_after=600, opens_at=_announced_opening(shared))
    raise ApiError(503, code, code, message, retry_after=120)


def _announced_opening(shared: Parts) -> str | None:
    """While the form is closed: the opening that its message tells, for pages to tell it in their own words."""
    announced = switch.standing(shared.campaign, database.now()).announced
    return iso(announced) if announced else None


# ---- taking it in

def _check(data: dict[str, Any]) -> tuple[Arrival, bytes, dict[str, Any]]:
    """The row to be, its photo, and the answer to give."""
    shared = parts()
    form = _read_form(data, shared)
    cookie_id, is_new = _cookie(form.cookie_id)
    jpeg = _read_photo(form.photo)
    used, most = limits.attempts_used(cookie_id), shared.settings.form_submit_retry
    if used >= most:  # decided under a lock later; known now, it does not count as one of the address's accepted posts
        raise _limit_reached(LimitReached(used, most))
    session_id = new_session_id()
    answer = Accepted(session_id=session_id, cookie_id=cookie_id if is_new else None).model_dump(exclude_none=True)
    arrival = Arrival(
        session_id=session_id, cookie_id=cookie_id, campaign=shared.campaign.name, owner_name=form.owner_name,
        pet_name=form.pet_name, pet_type=form.pet_type, music_vibe=form.music_vibe,
        photo_path=f"uploads/{session_id}.jpg", owner_name_said=form.owner_name_said or "",
        pet_name_said=form.pet_name_said or "", request_id=g.request_id,
    )
    return arrival, jpeg, answer


def _read_form(data: dict[str, Any], shared: Parts) -> SubmissionForm:
    try:
        return SubmissionForm.model_validate(data, context={"campaign": shared.campaign}, strict=True)
    except ValidationError as error:
        fields = messages_of(error.errors(include_url=False, include_context=False, include_input=False))
        raise validation_failed(next(iter(fields.values())), fields) from None


def _cookie(given: str | None) -> tuple[str, bool]:
    if given and COOKIE.fullmatch(given):
        return given, False
    return f"cookie_{secrets.token_hex(12)}", True


def _read_photo(text: str) -> bytes:
    try:
        return safe_square_jpeg(decode_photo(text))
    except PhotoError as error:
        # One message for all; what exactly is wrong, such as its size in pixels, stands beside the field.
        raise ApiError(400, "invalid_image", "Invalid image format", PHOTO_MESSAGE, fields={"photo": str(error)}) from None


def _store(arrival: Arrival, jpeg: bytes, answer: dict[str, Any], idempotency: Idempotency | None) -> dict[str, Any]:
    """The photo first, then the row: a row always has its photo. A photo that stays without a row is the sweep's."""
    shared = parts()
    shared.storage.put_bytes(arrival.photo_path, jpeg)
    try:
        given: dict[str, Any] = accept(shared.settings, arrival, answer, idempotency)
    except LimitReached as error:
        shared.storage.delete(arrival.photo_path)
        raise _limit_reached(error) from None
    except KeyMismatch:
        shared.storage.delete(arrival.photo_path)
        raise _mismatch() from None
    if given["session_id"] == arrival.session_id:
        shared.queues.enqueue("process_pending_queue")
    else:
        shared.storage.delete(arrival.photo_path)
    return given


def _limit_reached(error: LimitReached) -> ApiError:
    return ApiError(
        429, "rate_limit_exceeded", "rate_limit_exceeded",
        "You have reached the maximum number of submissions. Please check back later.",
        attempts_used=error.used, max_attempts=error.limit,
    )


# ---- on its way

@documented(
    "How far the song is", tag="Songs", headers=("If-None-Match",), errors=("session_not_found", ("expired", GoneError)),
    answers={200: Answer("Where it is", Status, JSON, ("ETag",)), 304: Answer("As before", headers=("ETag",))},
)
def status(session_id: str) -> Response:
    row = find_submission(session_id)
    if row is None:
        raise session_not_found()
    if row.files_removed_at is not None:
        raise expired(session_id=row.session_id, status=row.entry_status)
    shared, moment = parts(), database.now()
    remaining = estimates.seconds_remaining(shared.settings, row, moment)
    answer = Status(
        session_id=row.session_id, status=row.entry_status, created_at=row.created_at, stage=row.stage,
        progress=estimates.progress(shared.settings, row, moment), queue_position=estimates.queue_position(row),
        estimated_seconds=Range(low=remaining[0], high=remaining[1]) if remaining else None,
        poll_after_seconds=POLL_SECONDS.get(row.stage, 10.0), reason=row.fail_reason,
        message=STATUS_MESSAGES[row.stage],
    )
    return etagged(jsonify(answer.model_dump(mode="json")))


def etagged(response: Response) -> Response:
    response.add_etag()
    response.headers["Cache-Control"] = "private, no-cache"
    response.make_conditional(request)
    return response


@documented("Whether songs are taken", tag="Songs", answers={200: Availability})
def availability() -> Response:
    shared = parts()
    closed = limits.closing_reason(shared.settings, shared.campaign)
    expected = round(estimates.expected_wait(shared.settings))
    return jsonify(Availability(
        open=closed is None, reason=closed[0] if closed else None, message=closed[1] if closed else "",
        opens_at=_announced_opening(shared) if closed else None, estimated_seconds=None if closed else expected,
    ).model_dump())
