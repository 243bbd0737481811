"""What a request brings, read as a bounded JSON object."""
from typing import Any

from flask import request
from werkzeug.exceptions import RequestEntityTooLarge

from petsong.strict_json import BadJson, parse
from petsong.web.errors import ApiError, validation_failed


def read_json_body(most: int) -> bytes:
    """At most `most` bytes of JSON, not parsed yet. Raises RequestEntityTooLarge, and ApiError 415 for another type."""
    request.max_content_length = most + 1  # a streamed body is cut there in silence: the byte too many tells
    if (request.content_length or 0) > most:
        raise RequestEntityTooLarge
    if request.mimetype != "application/json":
        raise ApiError(415, "unsupported_media_type", "Unsupported media type", "Please send application/json.")
    body = request.get_data(cache=False)
    if len(body) > most:
        raise RequestEntityTooLarge
    return body


def json_object(body: bytes) -> dict[str, Any]:
    """Raises ApiError validation_failed."""
    try:
        data = parse(body)
    except BadJson as error:
        raise validation_failed(str(error)) from error
    if not isinstance(data, dict):
        raise validation_failed("The body must be a JSON object.")
    return data
