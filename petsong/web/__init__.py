"""The web app: one blueprint a file, headers and connections here."""
import logging
import re
import secrets
import time
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from flask import Flask, Response, g, request
from werkzeug.middleware.proxy_fix import ProxyFix

from petsong import alerts, database, logs, migrate, outbox
from petsong.disk import warn_when_full
from petsong.doctor import PROXY_NOTE
from petsong.limits import client_key, make_limiter
from petsong.pools import mark
from petsong.queues import Queues, impatient_client
from petsong.settings import Settings, load_settings
from petsong.web import (
    commands,
    desk,
    docs,
    erasure,
    errors,
    health,
    looks,
    media,
    metrics,
    pages,
    results,
    submissions,
    webhook,
)
from petsong.web.extension import Parts
from petsong.web.extension import parts as current_parts

log = logging.getLogger("petsong.access")
REQUEST_ID = re.compile(r"[A-Za-z0-9_.-]{8,64}")
NO_DATABASE = ("static", "looks.look", "health.live", "health.health", "docs.openapi", "docs.viewer")
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:{media}; "
    "media-src 'self' blob:{media}; connect-src 'self'{media}; font-src 'self'; manifest-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
}


def create_app(settings: Settings | None = None) -> Flask:
    """Raises SettingsError and MigrationsPending, each with the way out in its message."""
    settings = settings or load_settings()
    logs.configure(settings.log_level, settings.log_format)
    logs.report_errors(settings.sentry_dsn)
    made = database.connect_to(settings.database_url, pooled=True)
    migrate.require_migrated(made)
    app = Flask("petsong")
    app.url_map.merge_slashes = False  # its redirects would be HTML under /api/, too
    app.config["MAX_CONTENT_LENGTH"] = 64 * 1024
    app.json.ensure_ascii = False  # type: ignore[attr-defined]
    app.before_request(_name_request)  # before the limiter's, which may already answer
    limiter = make_limiter(settings)
    limiter.init_app(app)
    parts = Parts(settings, Queues(impatient_client(settings.redis_url)), limiter)
    app.extensions["petsong"] = parts
    if settings.trusted_proxies:
        hops = settings.trusted_proxies
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops, x_host=hops)  # type: ignore[method-assign]
    _register(app, parts)
    settings.video_storage.mkdir(parents=True, exist_ok=True)
    warn_when_full(settings.video_storage, log)
    return app


def _register(app: Flask, parts: Parts) -> None:
    errors.register(app)
    app.register_blueprint(submissions.make_blueprint(parts.settings, parts.limiter))
    app.register_blueprint(results.make_blueprint(parts.settings, parts.limiter))
    app.register_blueprint(erasure.make_blueprint(parts.limiter))
    for module in (webhook, media, health, docs, metrics):
        app.register_blueprint(module.blueprint)
    desk.register(app)
    app.register_blueprint(looks.blueprint)
    app.register_blueprint(pages.pages)
    commands.register(app)
    app.before_request(_open)
    app.after_request(_headers)
    app.after_request(_log_access)
    app.teardown_request(_close)


def _name_request() -> None:
    """One id for every line that the request causes, to the last of its song. A trusted proxy may have given it."""
    given = request.headers.get("X-Request-ID", "") if current_parts().settings.trusted_proxies else ""
    g.request_id = given if REQUEST_ID.fullmatch(given) else secrets.token_hex(8)
    logs.begin_request(g.request_id)


def _open() -> None:
    g.started = time.monotonic()
    if request.endpoint not in NO_DATABASE:
        database.open_connection()
        _warn_of_untrusted_proxy()


def _close(_: BaseException | None) -> None:
    if not database.db.is_closed():
        alerts.write_down_criticals()
        database.db.close()
    if outbox.take_written():
        current_parts().queues.enqueue("deliver_outbox")
    logs.end_request()


def _headers(response: Response) -> Response:
    response.headers["X-Request-ID"] = g.request_id
    for name, value in SECURITY_HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers.setdefault("Content-Security-Policy", _content_policy(current_parts().settings.media_base_url))
    if request.path.startswith("/api/"):
        response.headers.setdefault("Cache-Control", "no-store")
        _cors(response)
    return response


@lru_cache(maxsize=1)
def _content_policy(media_base_url: str) -> str:
    """Nothing but ourselves, and where MEDIA_BASE_URL redirects to, that origin for pictures and videos."""
    parts = urlsplit(media_base_url)
    return CONTENT_SECURITY_POLICY.format(media=f" {parts.scheme}://{parts.netloc}" if media_base_url else "")


def _cors(response: Response) -> None:
    from_settings = current_parts().settings.allowed_origins
    if not from_settings:
        return
    response.vary.add("Origin")
    origin = request.headers.get("Origin", "")
    if origin in from_settings:
        response.headers["Access-Control-Allow-Origin"] = origin
        response.headers["Access-Control-Allow-Methods"] = "GET, POST, OPTIONS"
        response.headers["Access-Control-Allow-Headers"] = "Content-Type, Idempotency-Key"
        response.headers["Access-Control-Expose-Headers"] = "Retry-After, ETag"
        response.headers["Access-Control-Max-Age"] = "600"


def _log_access(response: Response) -> Response:
    if request.endpoint in ("static", "health.live"):
        return response
    fields: dict[str, Any] = {
        "method": request.method, "path": logs.mask_token(request.path), "status": response.status_code,
        "ms": round((time.monotonic() - g.get("started", time.monotonic())) * 1000),
    }
    log.info("request", extra=fields)
    return response


_warned: set[str] = set()


def _warn_of_untrusted_proxy() -> None:
    if "proxy" in _warned or current_parts().settings.trusted_proxies:
        return
    if "X-Forwarded-For" in request.headers or "Forwarded" in request.headers:
        _warned.add("proxy")
        mark(PROXY_NOTE)
        log.warning(
            "forwarding headers arrive, but TRUSTED_PROXIES is 0: every visitor counts as the proxy's address. "
            "Set TRUSTED_PROXIES to the number of proxies in front.", extra={"counted_as": "proxy" if client_key() else ""},
        )
