"""Every error of every path under /api/ has one shape; pages get a friendly page. Tracebacks only ever go to the log."""
import logging
from typing import Any

from flask import Flask, Response, jsonify, request
from flask_limiter.errors import RateLimitExceeded
from werkzeug.exceptions import HTTPException

from petsong.database import CONNECTION_ERRORS, DatabaseLost
from petsong.web.extension import parts

log = logging.getLogger(__name__)
PHOTO_MESSAGE = "Please upload JPG or PNG image under 5MB"
TEXTS = {
    400: ("bad_request", "Bad request", "The request could not be understood."),
    401: ("unauthorized", "Unauthorized", "Please log in."),
    404: ("not_found", "Not found", "There is nothing at this address."),
    405: ("method_not_allowed", "Method not allowed", "This address does not take that method."),
    408: ("timeout", "Timeout", "The request took too long to arrive."),
    413: ("too_large", "Invalid image format", PHOTO_MESSAGE),
    415: ("unsupported_media_type", "Unsupported media type", "Please send application/json."),
    500: ("server_error", "server_error", "Something went wrong. Please try again."),
}


class ApiError(Exception):
    """Raise anywhere in a request; becomes the answer."""

    def __init__(
        self, http_status: int, code: str, error: str, message: str, *, retry_after: int | None = None, **extra: Any
    ) -> None:
        """`extra`: further keys of the body, such as the `status` of a song."""
        super().__init__(message)
        self.http_status, self.code, self.error, self.message = http_status, code, error, message
        self.retry_after, self.extra = retry_after, extra


def error_body(code: str, error: str, message: str, **extra: Any) -> dict[str, Any]:
    """`{"success": false, "code", "error", "message"}` and, where an error has them, further keys."""
    return {"success": False, "code": code, "error": error, "message": message, **extra}


def respond(error: ApiError) -> Response:
    response = jsonify(error_body(error.code, error.error, error.message, **error.extra))
    response.status_code = error.http_status
    if error.retry_after is not None:
        response.headers["Retry-After"] = str(error.retry_after)
    return response


def validation_failed(message: str, fields: dict[str, str] | None = None) -> ApiError:
    return ApiError(400, "validation_failed", "Validation failed", message, fields=fields or {})


def session_not_found() -> ApiError:
    message = "We don't know this song. Check the link, or make a new one."
    return ApiError(404, "session_not_found", "Session not found", message)


def expired(**known: Any) -> ApiError:
    return ApiError(410, "expired", "expired", "This song is gone: it was deleted, or its time was up.", **known)


def unavailable() -> ApiError:
    return ApiError(503, "unavailable", "unavailable", "Service temporarily unavailable", retry_after=10)


def register(app: Flask) -> None:
    app.register_error_handler(ApiError, respond)
    app.register_error_handler(RateLimitExceeded, _too_many)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(DatabaseLost, _database_lost)
    for kind in CONNECTION_ERRORS:
        app.register_error_handler(kind, _database_lost)
    app.register_error_handler(Exception, _crash)


def _wants_json() -> bool:
    return request.path.startswith("/api/")


def _too_many(error: RateLimitExceeded) -> Any:
    seconds = parts().seconds_to_reset()
    words = f"{seconds} seconds" if seconds < 120 else f"{round(seconds / 60)} minutes"
    message = f"Too many requests. Please try again in {words}."
    if _wants_json():
        return respond(ApiError(429, "too_many_requests", "too_many_requests", message, retry_after=seconds))
    page = parts().error_page(429, message)
    page.headers["Retry-After"] = str(seconds)
    return page


def _http_error(error: HTTPException) -> Any:
    status = error.code or 500
    if status < 400:
        return error  # a redirect
    other = "forbidden" if status == 403 else "http_error"  # whose reason whoever refused has told
    code, name, message = TEXTS.get(status, (other, error.name, error.description or error.name))
    response = respond(ApiError(status, code, name, message)) if _wants_json() else parts().error_page(status, message)
    for header, value in error.get_headers():
        if header in ("Allow", "WWW-Authenticate", "Retry-After"):
            response.headers[header] = value
    return response


def _database_lost(error: Exception) -> Any:
    log.critical("database lost", extra={"error": type(error).__name__})
    if _wants_json():
        return respond(unavailable())
    page = parts().error_page(503, "We'll be back in a moment. Please try again.")
    page.headers["Retry-After"] = "10"
    return page


def _crash(error: Exception) -> Any:
    log.error("request failed", exc_info=error)
    code, name, message = TEXTS[500]
    if _wants_json():
        return respond(ApiError(500, code, name, message))
    return parts().error_page(500, message)
