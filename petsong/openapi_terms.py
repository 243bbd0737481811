"""What the API's document calls things: its errors with their texts, headers, places in addresses, ways to log in."""
from typing import Any, NamedTuple

from pydantic import BaseModel

from petsong.schemas import ErrorAnswer, FieldErrors, LimitReachedError, SoldOutError

Model = type[BaseModel]


class ErrorKind(NamedTuple):
    status: int
    error: str
    message: str
    model: Model = ErrorAnswer


ERRORS = {
    "validation_failed": ErrorKind(400, "Validation failed", "Only letters and spaces allowed", FieldErrors),
    "invalid_image": ErrorKind(400, "Invalid image format", "Please upload JPG or PNG image under 5MB", FieldErrors),
    "bad_request": ErrorKind(400, "Bad request", "The request could not be understood."),
    "failed": ErrorKind(400, "Video generation failed", "Video generation failed. Please try again."),
    "unauthorized": ErrorKind(401, "Unauthorized", "Please log in."),
    "forbidden": ErrorKind(403, "Forbidden", "This came from another site, so nothing was done."),
    "session_not_found": ErrorKind(404, "Session not found", "We don't know this song. Check the link, or make a new one."),
    "unknown_task": ErrorKind(404, "Unknown task_id", "No order of ours has this task."),
    "not_found": ErrorKind(404, "Not found", "There is nothing at this address."),
    "not_ready": ErrorKind(409, "not_ready", "This song is not ready yet. Please check back later."),
    "idempotency_mismatch": ErrorKind(
        409, "idempotency_mismatch", "This Idempotency-Key was used with another form. Use a new key for a new form."
    ),
    "not_possible": ErrorKind(409, "Not possible", "This song is done; only failed ones can be retried."),
    "expired": ErrorKind(410, "expired", "This song is gone: it was deleted, or its time was up."),
    "too_large": ErrorKind(413, "Invalid image format", "Please upload JPG or PNG image under 5MB"),
    "unsupported_media_type": ErrorKind(415, "Unsupported media type", "Please send application/json."),
    "rate_limit_exceeded": ErrorKind(
        429, "rate_limit_exceeded", "You have reached the maximum number of submissions. Please check back later.",
        LimitReachedError,
    ),
    "too_many_requests": ErrorKind(429, "too_many_requests", "Too many requests. Please try again in 35 seconds."),
    "server_error": ErrorKind(500, "server_error", "Something went wrong. Please try again."),
    "sold_out": ErrorKind(503, "sold_out", "Sorry, we're all sold out!", SoldOutError),
    "busy": ErrorKind(503, "busy", "So many songs are being made right now. Please come back a little later."),
    "unavailable": ErrorKind(503, "unavailable", "Service temporarily unavailable"),
}
MEANINGS = {
    400: "Not as it must be", 401: "Without the right name and password", 403: "Not from there", 404: "Not here",
    409: "Not now", 410: "Gone", 413: "Too large", 415: "Not JSON", 429: "Too often", 500: "Our fault",
    503: "Not at the moment",
}
REQUEST_HEADERS = {
    "Idempotency-Key": (
        "Made once per filled-in form: a repeat within 24 hours gets the first answer again instead of a second song.",
        {"type": "string", "pattern": "^[\\x21-\\x7e]{1,200}$", "examples": ["5f0c3a9e-form-1"]},
    ),
    "If-None-Match": ("The ETag of an earlier answer; 304 while nothing changed.", {"type": "string"}),
    "Range": ("One range of bytes.", {"type": "string", "examples": ["bytes=0-1023"]}),
}
ANSWER_HEADERS: dict[str, tuple[str, dict[str, Any]]] = {
    "ETag": ("Names this state of the answer; send it back as If-None-Match.", {"type": "string"}),
    "Retry-After": ("Seconds until another try makes sense.", {"type": "integer", "minimum": 1}),
    "WWW-Authenticate": ("Basic, with the realm.", {"type": "string"}),
    "Content-Range": ("Which bytes of how many.", {"type": "string"}),
    "Accept-Ranges": ("bytes", {"type": "string"}),
    "Location": ("Where the file is.", {"type": "string"}),
}
HEADERS_OF_STATUS = {401: ("WWW-Authenticate",)}
WAITING = ("too_many_requests", "sold_out", "busy", "unavailable")  # errors that come with Retry-After
PLACES = {
    "session_id": ("The song's id, as POST /api/submissions gave it.", "a9dxkdjwt8cp3i4n141j8dw5"),
    "message_id": ("The message's id.", "msg_5a1c0ffee5a1c0ffee5a1c0f"),
    "token": ("The order's own token, from the address that we gave to the song service.", "0" * 64),
}
SECURITY = {
    "operator": {"type": "http", "scheme": "basic", "description": "ADMIN_USERNAME and ADMIN_PASSWORD"},
    "monitor": {"type": "http", "scheme": "bearer", "description": "METRICS_TOKEN"},
}
