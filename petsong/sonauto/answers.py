"""What the song service's answers mean: bytes in, judgements out; nothing is sent from here.

Nothing the service says is trusted beyond its meaning; what it does not say clearly is "unknown", because an order that
may have been accepted may have been paid. `classify_submit` and `classify_exception` hold all of these judgements.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError

MAX_DETAIL = 2000
_MAX_HINT = 64 * 1024
_MAX_RAW = 256 * 1024
_MAX_DEPTH = 12
_MAX_WORDS = 5000
_TASK_ID = re.compile(r"[A-Za-z0-9_-]{1,255}", re.ASCII)
_STATUS = re.compile(r"[A-Za-z_]{1,50}", re.ASCII)
_TAGS = re.compile(r"\btags?\b", re.IGNORECASE)
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")  # PostgreSQL's text refuses NUL, UTF-8 lone surrogates


class Meaning(StrEnum):
    """What the answer to an order means for the money and for the row."""

    ACCEPTED = "accepted"  # paid, by this task id
    PERMANENT = "permanent"  # refused; the same order would be refused again
    TAGS_REFUSED = "tags_refused"  # refused because of the tags: once more with the prompt alone
    FREE_EVERYONE = "free_everyone"  # not paid, and any other order would have fared the same
    FREE_ROW = "free_row"  # not paid; the service failed on this order
    UNKNOWN = "unknown"  # may have been accepted and paid


@dataclass(frozen=True)
class Answer:
    meaning: Meaning
    task_id: str | None = None
    http_status: int | None = None
    detail: str = ""  # for operators, at most 2000 characters, without key and webhook address


@dataclass(frozen=True)
class TaskAnswer:
    """What the service says of a task. With `reachable` False it said nothing, and the rest means nothing."""

    reachable: bool
    known: bool = False
    state: str = "working"  # working, success, failure
    song_url: str | None = None
    lyrics: str | None = None
    error_message: str | None = None
    word_timing: list[dict[str, Any]] | None = None  # [{"word": str, "start": seconds, "end": seconds}], by start
    alignment: str = "none"  # none, working, done, failed
    raw: dict[str, Any] = field(default_factory=dict)  # the whole answer, fit for a JSON column


@dataclass(frozen=True)
class Hint:
    task_id: str | None = None
    status: str | None = None


# --- from answers to meanings ---

_BY_STATUS = {
    400: Meaning.PERMANENT,
    422: Meaning.PERMANENT,
    **dict.fromkeys((401, 402, 403, 429), Meaning.FREE_EVERYONE),
    # Not in the contract's table. The way to the service is wrong (address, method, proxy): waiting costs nothing, and
    # failing a whole queue for a mistyped base address would.
    **dict.fromkeys((404, 405, 407, 410, 421), Meaning.FREE_EVERYONE),
    # Said in the name of an order that may stand: too slow, in conflict with an earlier one, sent too early, given up.
    **dict.fromkeys((408, 409, 425, 499), Meaning.UNKNOWN),
}


def classify_submit(status: int, body: bytes) -> Answer:
    """The answer to an order, by its status and (decompressed) body.

    2xx with a usable task_id is accepted, without one unknown. 5xx is free only in the service's own words,
    `{"detail": text or list}`: proxies answer 5xx for orders that went through. A 4xx that `_BY_STATUS` does not name
    is permanent; redirects and the rest are unknown.
    """
    document = _parse(body)
    detail = _detail(document, body)
    if 200 <= status < 300:
        task_id = _task_id(document.get("task_id")) if isinstance(document, dict) else None
        meaning = Meaning.ACCEPTED if task_id else Meaning.UNKNOWN
        return Answer(meaning, task_id, status, "" if task_id else f"no task_id: {detail}"[:MAX_DETAIL])
    if status == 422 and _TAGS.search(detail) and _is_services_error(document):
        return Answer(Meaning.TAGS_REFUSED, None, status, detail)
    if status >= 500:
        meaning = Meaning.FREE_ROW if _is_services_error(document) else Meaning.UNKNOWN
        return Answer(meaning, None, status, detail)
    default = Meaning.PERMANENT if 400 <= status < 500 else Meaning.UNKNOWN
    return Answer(_BY_STATUS.get(status, default), None, status, detail)


def classify_exception(error: BaseException, *, sent: bool = True) -> Answer:
    """No answer at all. Free where nothing can have been accepted: refused, no address, no connection in time.

    requests raises one ConnectionError for "refused" and for "closed without an answer"; the cause tells them apart.
    `sent=False`: it is known that not one byte of the request left (a TLS handshake that failed, say): free as well.
    """
    detail = " <- ".join(f"{type(cause).__name__}" for cause in _causes(error))
    free = (ConnectTimeoutError, NewConnectionError, NameResolutionError, requests.ConnectTimeout)
    if not sent or any(isinstance(cause, free) for cause in _causes(error)):
        return Answer(Meaning.FREE_EVERYONE, None, None, f"no connection: {detail}"[:MAX_DETAIL])
    return Answer(Meaning.UNKNOWN, None, None, f"no answer: {detail}"[:MAX_DETAIL])


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and what it wraps: MaxRetryError has a reason, requests puts urllib3's error into its arguments."""
    seen: set[int] = set()
    waiting: list[BaseException] = [error]
    while waiting:
        cause = waiting.pop(0)
        if id(cause) in seen:
            continue
        seen.add(id(cause))
        yield cause
        inner = [getattr(cause, "reason", None), *cause.args, cause.__cause__]
        waiting.extend(item for item in inner if isinstance(item, BaseException))


def _is_services_error(document: Any) -> bool:
    """`{"detail": …}` of the service itself. A `detail` beside `title` is RFC 9457, as gateways answer it."""
    if not isinstance(document, dict) or {"title", "instance"} & document.keys():
        return False
    return isinstance(document.get("detail"), str | list) and bool(document["detail"])


def _detail(document: Any, body: bytes) -> str:
    """A readable reason. Of a list only `loc` and `msg`: its `input` repeats the whole order."""
    detail = document.get("detail", document) if isinstance(document, dict) else document
    if isinstance(detail, list):
        parts = [_detail_item(item) for item in detail[:20]]
        return _clean("; ".join(parts))[:MAX_DETAIL]
    if detail is None:
        return _clean(body[:300].decode("utf-8", "replace"))
    return _clean(detail if isinstance(detail, str) else json.dumps(detail, default=str))[:MAX_DETAIL]


def _detail_item(item: Any) -> str:
    if not isinstance(item, dict):
        return str(item)[:300]
    place = item.get("loc")
    where = ".".join(str(part) for part in place) if isinstance(place, list) else ""
    return f"{where}: {item.get('msg', '')}"[:300]


# --- JSON of unknown origin ---


def _parse(body: bytes) -> Any:
    """The JSON in `body`, without anything a database refuses; None where it is not JSON (or is null)."""
    try:
        return _storable(json.loads(body))
    except (ValueError, RecursionError):  # not UTF-8, not JSON, a number of 5000 digits; a hundred thousand brackets
        return None


def _storable(value: Any, depth: int = 0) -> Any:
    """A copy without NUL, lone surrogates, NaN and infinities; what lies deeper than 12 levels becomes null."""
    if depth > _MAX_DEPTH:
        return None
    if isinstance(value, str):
        return _clean(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, list):
        return [_storable(item, depth + 1) for item in value]
    if isinstance(value, dict):
        return {_clean(key): _storable(item, depth + 1) for key, item in value.items()}
    return value


def _clean(text: str) -> str:
    return _UNSTORABLE.sub("", text)


def _task_id(value: Any) -> str | None:
    return value if isinstance(value, str) and _TASK_ID.fullmatch(value) else None


def read_hint(raw_body: bytes) -> Hint:
    """Task id and status that a webhook's body names, wherever they stand in the first levels. Never raises."""
    if len(raw_body) > _MAX_HINT:
        return Hint()
    document = _parse(raw_body)
    if isinstance(document, str):
        return Hint(None, document if _STATUS.fullmatch(document) else None)
    found = [Hint(_named_task(item), _named_status(item)) for item in _objects(document, 3)]
    named = [hint for hint in found if hint.task_id]
    return (named or [hint for hint in found if hint.status] or [Hint()])[0]


def _objects(value: Any, levels: int) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
    if levels > 0 and isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _objects(item, levels - 1)


def _named_task(item: Mapping[str, Any]) -> str | None:
    # A bare "id" is the task's only beside a status: alone it may be the delivery's.
    return _task_id(item.get("task_id")) or _task_id(item.get("taskId")) or (
        _task_id(item.get("id")) if "status" in item else None
    )  # fmt: skip


def _named_status(item: Mapping[str, Any]) -> str | None:
    status = item.get("status")
    return status if isinstance(status, str) and _STATUS.fullmatch(status) else None


# --- reading a task ---


def read_task(status: int, body: bytes, song_host: str) -> TaskAnswer:
    """The answer to "how is the task?", by status and body. Only JSON in the service's shape counts as its word."""
    document = _parse(body)
    if isinstance(document, str) and status == 200:
        document = {"status": document}
    if not isinstance(document, dict):
        return TaskAnswer(reachable=False)
    if status in (400, 404, 410, 422):  # 400, 422: the id is not even in the service's form
        return TaskAnswer(reachable=True, known=False, raw=_bounded(document))
    if status != 200 or not isinstance(document.get("status"), str):
        return TaskAnswer(reachable=False)
    return TaskAnswer(
        reachable=True,
        known=True,
        state={"SUCCESS": "success", "FAILURE": "failure"}.get(document["status"], "working"),
        song_url=_song_url(document.get("song_paths"), song_host),
        lyrics=_text(document.get("lyrics"), 20_000),
        error_message=_text(document.get("error_message"), MAX_DETAIL),
        word_timing=_word_timing(document.get("word_aligned_lyrics")),
        alignment=_alignment(document.get("alignment_status")),
        raw=_bounded(document),
    )


def _text(value: Any, limit: int) -> str | None:
    if value is None or value == "":
        return None
    return (value if isinstance(value, str) else json.dumps(value))[:limit]


def _alignment(value: Any) -> str:
    return "none" if value is None else {"SUCCESS": "done", "FAILURE": "failed"}.get(str(value), "working")


def _song_url(paths: Any, song_host: str) -> str | None:
    """The first usable of the song's addresses; a path alone lies on `song_host`."""
    base = "" if not song_host or song_host.startswith("*") else song_host if "://" in song_host else f"https://{song_host}"
    for path in [paths] if isinstance(paths, str) else paths if isinstance(paths, list) else []:
        if not isinstance(path, str) or not path.strip() or re.search(r"[\x00-\x20\x7f\\]", path.strip()):
            continue
        try:
            url = urljoin(f"{base}/", path.strip())
            parts = urlsplit(url)
        except ValueError:
            continue
        if parts.scheme in ("http", "https") and parts.hostname and parts.path.strip("/") and len(url) <= 2048:
            return url
    return None


def _word_timing(value: Any) -> list[dict[str, Any]] | None:
    """Both spellings of the keys, words with a sane time only, by their start."""
    if not isinstance(value, list):
        return None
    words = [word for item in value[:_MAX_WORDS] if isinstance(item, dict) and (word := _word(item))]
    return sorted(words, key=lambda word: float(word["start"])) or None


def _word(item: Mapping[str, Any]) -> dict[str, Any] | None:
    word = item.get("word")
    start, end = (_seconds(item.get(key, item.get(f"{key}_time"))) for key in ("start", "end"))
    if not isinstance(word, str) or not word.strip() or len(word) > 500 or start is None or end is None or end < start:
        return None
    return {"word": word, "start": start, "end": end}


def _seconds(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value <= 3600 else None


def _bounded(document: dict[str, Any]) -> dict[str, Any]:
    """The whole answer up to 256 KB; above that what is small of it, and a mark."""
    if len(json.dumps(document)) <= _MAX_RAW:
        return document
    kept: dict[str, Any] = {"truncated": True}
    left = _MAX_RAW - 100
    for key, value in document.items():
        size = len(json.dumps({key: value}))
        if size <= min(left, _MAX_RAW // 8):
            kept[key] = value
            left -= size
    return kept


# --- reading the balance ---


def read_balance(status: int, body: bytes) -> int | None:
    """Usable credits of both kinds; None where the service does not say."""
    document = _parse(body) if status == 200 else None
    if not isinstance(document, dict):
        return None
    given = [document[name] for name in ("num_credits", "num_credits_payg") if document.get(name) is not None]
    if not given or not all(isinstance(value, int | float) and not isinstance(value, bool) for value in given):
        return None
    usable = sum(int(value) for value in given)
    return None if usable == 0 and len(given) < 2 else usable  # none of one kind says nothing of the other
