"""One line per event: JSON in production, readable text elsewhere. `bind()` stamps every line of a job or a request.

Names, photos, tokens, keys, full addresses and bodies never go here; they stand on the row and leave with it.
"""
import logging
import os
import re
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import sentry_sdk
from pythonjsonlogger.json import JsonFormatter

_bound: ContextVar[dict[str, Any] | None] = ContextVar("petsong_log_context", default=None)
_TOKEN = re.compile(r"(/api/webhook/+).+", re.DOTALL)
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_PLAIN = set(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class _Stamp(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        for key, value in (_bound.get() or {}).items():
            if value is not None and not hasattr(record, key):
                setattr(record, key, value)
        return True


class _Discreet(logging.Filter):
    """gunicorn names the visitor's address, and may quote the request line, of whatever is no HTTP."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name == "gunicorn.error" and "Invalid request from ip=" in str(record.msg):
            record.msg, record.args = "invalid request", ()
        return True


class _Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = super().format(record)
        extras = " ".join(f"{k}={_one_line(v)}" for k, v in vars(record).items() if k not in _PLAIN)
        return f"{line} {extras}".rstrip()


def _one_line(value: object) -> str:
    """A path may hold line breaks, and behind them what looks like a line of ours."""
    return _CONTROL.sub(lambda found: ascii(found[0])[1:-1], str(value))


def mask_token(path: str) -> str:
    """Whoever knows a webhook's address can speak in its song's name."""
    return _TOKEN.sub(r"\1…", path)


class Criticals(logging.Handler):
    """CRITICAL lines as (time, message), kept until somebody with a connection makes alerts of them."""

    def __init__(self) -> None:
        super().__init__(logging.CRITICAL)
        self.kept: deque[tuple[float, str]] = deque(maxlen=100)

    def emit(self, record: logging.LogRecord) -> None:
        self.kept.append((record.created, record.getMessage()))


CRITICALS = Criticals()
os.register_at_fork(after_in_child=CRITICALS.kept.clear)  # the parent tells its own


def configure(level: str, style: str) -> None:
    handler = logging.StreamHandler(sys.stderr)
    if style == "json":
        handler.setFormatter(JsonFormatter("%(levelname)s %(name)s %(message)s", timestamp=True))
    else:
        handler.setFormatter(_Text("%(asctime)s %(levelname)-7s %(name)s %(message)s"))
    handler.addFilter(_Stamp())
    handler.addFilter(_Discreet())
    root = logging.getLogger()
    root.handlers[:] = [handler, CRITICALS]
    root.setLevel(level)
    # peewee tells every statement with its values at DEBUG, the limiter visitors' addresses at INFO
    for chatty in ("urllib3", "PIL", "rq.worker", "rq_scheduler", "peewee", "flask-limiter", "werkzeug"):
        logging.getLogger(chatty).setLevel(max(logging.WARNING, root.level))


def report_errors(dsn: str) -> None:
    """Errors to Sentry, or what speaks its language; nothing personal with them."""
    if dsn:
        sentry_sdk.init(
            dsn=dsn, include_local_variables=False, max_request_body_size="never",
            before_send=_discreet, before_breadcrumb=_no_addresses,
            trace_propagation_targets=[],  # what we ask of others is nobody's business there
        )


def _discreet(event: Any, _: Any) -> Any:
    """Of a request only what the log tells, too: headers hold keys, an address may hold a token."""
    if "request" in event:
        request = event["request"]
        event["request"] = {"method": request.get("method"), "url": mask_token(request.get("url", ""))}
    return event


def begin_request(request_id: str) -> None:
    """Every line until `end_request` names this request."""
    _bound.set({"request_id": request_id})


def end_request() -> None:
    _bound.set(None)


@contextmanager
def bind(**fields: Any) -> Iterator[None]:
    token = _bound.set({**(_bound.get() or {}), **fields})
    try:
        yield
    finally:
        _bound.reset(token)


def _no_addresses(crumb: Any, _hint: Any) -> Any:
    """The path of a chat's webhook is its password."""
    return None if crumb.get("category") == "httplib" else crumb
