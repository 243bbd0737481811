"""The operator's login, for every page below /admin and everything below /api/admin; 404 while no password is set.

Basic auth: no session to steal or to store. Browsers send it by themselves, also with a form that another site made, so
whatever changes something needs more: a form its token, the API a JSON content type, and neither may come from elsewhere.
"""
import hmac
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from hashlib import sha256
from typing import Any
from urllib.parse import urlsplit

from flask import Blueprint, Response, abort, g, make_response, render_template, request
from markupsafe import Markup

from petsong.web.errors import ApiError, respond
from petsong.web.extension import parts

SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
REALM = 'Basic realm="petsong", charset="UTF-8"'
FOREIGN = "This came from another site, so nothing was done. Open the page here and try again."
STALE = "This page was open for too long, so nothing was done. Go back, reload it and try again."


class DeskError(Exception):
    """Raise in a page of the desk; becomes one in the desk's look, where the operator is logged in."""

    def __init__(self, status: int, heading: str, message: str, *, back: str = "/admin/submissions") -> None:
        super().__init__(message)
        self.status, self.heading, self.message, self.back = status, heading, message, back


def desk_blueprint(name: str) -> Blueprint:
    """Pages below /admin behind the login. Their POST forms contain `{{ form_token() }}`."""
    blueprint = guard(Blueprint(f"desk_{name}", __name__, url_prefix="/admin"), _need_token)
    blueprint.context_processor(lambda: {"form_token": form_token})
    return blueprint


def desk_api(name: str) -> Blueprint:
    """JSON below /api/admin behind the login. POST needs Content-Type: application/json, also without a body."""
    return guard(Blueprint(f"desk_api_{name}", __name__, url_prefix="/api/admin"), _need_json)


def guard(blueprint: Blueprint, check_change: Callable[[], None] | None = None) -> Blueprint:
    """Put the login before a blueprint, also one that is not ours; without `check_change` a change must prove its origin."""
    blueprint.before_request(partial(_require_operator, check_change or _need_origin))
    blueprint.register_error_handler(DeskError, _as_page)
    blueprint.after_request(_keep_private)
    return blueprint


def operator_name() -> str:
    """Who is logged in, for the timeline."""
    name: str = g.operator
    return name


def form_token() -> Markup:
    """The hidden field of a form."""
    return Markup('<input type="hidden" name="token" value="{}">').format(_token(_today()))


# ---- the login

def _require_operator(check_change: Callable[[], None]) -> Response | None:
    settings = parts().settings
    if not settings.admin_password:
        abort(404)
    # Before the password is looked at: beyond five wrong ones a minute the right one must not tell itself apart.
    with parts().limiter.shared_limit("5/minute", "login", deduct_when=lambda answer: answer.status_code == 401):
        given = request.authorization
    name, password = (given.username or "", given.password or "") if given and given.type == "basic" else ("", "")
    right = hmac.compare_digest(name.encode(), settings.admin_username.encode())
    if not (hmac.compare_digest(password.encode(), settings.admin_password.encode()) and right):
        return _ask_to_log_in()
    g.operator = name
    if request.method not in SAFE_METHODS:
        if _is_foreign():
            raise _refused(FOREIGN)
        check_change()
    return None


def _ask_to_log_in() -> Response:
    if request.path.startswith("/api/"):
        response = respond(ApiError(401, "unauthorized", "Unauthorized", "Please log in."))
    else:
        response = message_page(401, "Please log in", "The operator's pages need ADMIN_USERNAME and ADMIN_PASSWORD.")
    response.headers["WWW-Authenticate"] = REALM
    return response


def message_page(status: int, heading: str, message: str, **values: Any) -> Response:
    """One thing to say, in the desk's look."""
    return make_response(render_template("admin/message.html", heading=heading, message=message, **values), status)


def _as_page(error: DeskError) -> Response:
    return message_page(error.status, error.heading, error.message, back=error.back)


def _keep_private(response: Response) -> Response:
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Robots-Tag"] = "noindex, nofollow"
    # Not no-referrer: browsers would then send "Origin: null" with our own forms.
    response.headers["Referrer-Policy"] = "same-origin"
    return response


# ---- changes

def _is_foreign() -> bool:
    """What the browser itself says about where a request comes from; it cannot be forged from within a page."""
    if request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
        return True
    origin = request.headers.get("Origin", "null")
    return origin != "null" and urlsplit(origin).netloc not in _own_hosts()


def _refused(message: str) -> Exception:
    if request.path.startswith("/api/"):
        return ApiError(403, "forbidden", "Forbidden", message)
    return DeskError(403, "Nothing was done", message)


def _own_hosts() -> set[str]:
    return {request.host, urlsplit(parts().settings.site_url).netloc} - {""}


def _need_origin() -> None:
    """For pages whose forms are not ours: the browser must say that the request is from here."""
    if "Sec-Fetch-Site" not in request.headers and request.headers.get("Origin", "null") == "null":
        raise _refused(FOREIGN)


def _need_token() -> None:
    given = request.form.get("token", "").encode()
    days = (_today(), _today() - timedelta(days=1))
    if not any([hmac.compare_digest(given, _token(day).encode()) for day in days]):
        raise _refused(STALE)


def _need_json() -> None:
    if request.mimetype != "application/json":
        abort(415)


def _today() -> datetime:
    return datetime.now(UTC)


def _token(day: datetime) -> str:
    message = f"desk|{operator_name()}|{day:%Y-%m-%d}".encode()
    return hmac.new(parts().settings.secret_key.encode(), message, sha256).hexdigest()
