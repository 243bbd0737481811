"""One line per event: JSON in production, readable text elsewhere. `bind()` stamps every line of a job or a request.

Names, photos, tokens, keys, full addresses and bodies never go here; they stand on the row and leave with it.
"""
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import sentry_sdk
from pythonjsonlogger.json import JsonFormatter

_bound: ContextVar[dict[str, Any] | None] = ContextVar("petsong_log_context", default=None)
_PLAIN = set(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class _Stamp(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        for key, value in (_bound.get() or {}).items():
            if not hasattr(record, key):
                setattr(record, key, value)
        return True


class _Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = super().format(record)
        extras = " ".join(f"{k}={v}" for k, v in vars(record).items() if k not in _PLAIN)
        return f"{line} {extras}".rstrip()


def configure(level: str, style: str) -> None:
    handler = logging.StreamHandler(sys.stderr)
    if style == "json":
        handler.setFormatter(JsonFormatter("%(levelname)s %(name)s %(message)s", timestamp=True))
    else:
        handler.setFormatter(_Text("%(asctime)s %(levelname)-7s %(name)s %(message)s"))
    handler.addFilter(_Stamp())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for chatty in ("urllib3", "PIL", "rq.worker", "rq_scheduler"):
        logging.getLogger(chatty).setLevel(max(logging.WARNING, root.level))


def report_errors(dsn: str) -> None:
    """Errors to Sentry, or what speaks its language; nothing personal with them."""
    if dsn:
        sentry_sdk.init(dsn=dsn, send_default_pii=False, include_local_variables=False, max_request_body_size="never")


@contextmanager
def bind(**fields: Any) -> Iterator[None]:
    token = _bound.set({**(_bound.get() or {}), **fields})
    try:
        yield
    finally:
        _bound.reset(token)
