"""The calls to the song service: submit, fetch, balance. None of them raises; `answers` says what came back."""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol
from urllib.parse import quote

import requests
from urllib3.exceptions import HTTPError

from petsong.sonauto.answers import (
    MAX_DETAIL,
    Answer,
    TaskAnswer,
    classify_exception,
    classify_submit,
    read_balance,
    read_task,
)
from petsong.transport import guarded_session, log_call

log = logging.getLogger("petsong.sonauto")

_MAX_BODY = 1024 * 1024
_CALL_SECONDS = 75  # any call is over by then: shorter than the 90 s for which a sender owns its row


class Order(Protocol):
    """What is bought. `tags` may be empty."""

    @property
    def prompt(self) -> str: ...

    @property
    def tags(self) -> Sequence[str]: ...


class SongService:
    """One account at one address. Safe to share between threads: each call has a connection of its own."""

    def __init__(self, base_url: str, api_key: str, timeout_seconds: float = 30, *, song_host: str = "cdn.sonauto.ai") -> None:
        """`base_url` with its version (…/v1); `timeout_seconds` for connecting and for each silence while reading;
        `song_host` (the first of SONG_HOSTS) is where a song without a host lies."""
        self._base_url = base_url.rstrip("/")
        self._api_key = api_key
        self._timeout = timeout_seconds
        self._song_host = song_host

    def submit(self, order: Order, webhook_url: str | None = None, *, send_within: float | None = None) -> Answer:
        """Buy one song. Sent at most once, whatever happens, and never raises: the meaning tells what may be done.

        `send_within`: seconds left of the caller's lease. No order leaves after them, however slow the connection is.
        """
        body: dict[str, Any] = {"prompt": order.prompt, "instrumental": False, "output_format": "mp3"}
        body["align_lyrics"] = True
        if order.tags:
            body["tags"] = list(order.tags)
        if webhook_url:
            body["webhook_url"] = webhook_url
        answer = self._submit(body, send_within)
        return replace(answer, detail=_without_secrets(answer.detail, self._api_key, webhook_url))

    def _submit(self, body: dict[str, Any], send_within: float | None) -> Answer:
        reply = self._call("POST", "/generations/v3", body, send_within=send_within)
        if reply.error is not None:
            return classify_exception(reply.error, sent=reply.sent)
        return classify_submit(reply.status, reply.body)

    def fetch(self, task_id: str) -> TaskAnswer:
        """What has become of a task. Never raises."""
        reply = self._call("GET", f"/generations/{quote(task_id, safe='')}", task_id=task_id)
        if reply.error is not None or reply.broken:
            return TaskAnswer(reachable=False)
        return read_task(reply.status, reply.body, self._song_host)

    def balance(self) -> int | None:
        """Usable credits; None where the service does not say, which is not 0."""
        reply = self._call("GET", "/credits/balance")
        return None if reply.error is not None or reply.broken else read_balance(reply.status, reply.body)

    def _call(
        self, method: str, path: str, body: Any = None, *, task_id: str = "", send_within: float | None = None
    ) -> "_Reply":
        started, reply = time.monotonic(), _Reply()
        headers = {"Authorization": f"Bearer {self._api_key}", "Accept": "application/json", "User-Agent": "petsong"}
        headers["Accept-Encoding"] = "identity"
        seconds = min(2 * self._timeout, _CALL_SECONDS)
        with guarded_session(seconds, send_within=send_within) as (session, guard):
            try:
                with session.request(
                    method, self._base_url + path, json=body, headers=headers, timeout=self._timeout, stream=True,
                    allow_redirects=False,  # a redirect must not carry the key away
                ) as answer:  # fmt: skip
                    reply.status = answer.status_code
                    reply.body, reply.broken = _read_body(answer)
                    reply.broken = reply.broken or guard.expired
            # ValueError: an address or a key that cannot be sent at all (requests' own are ValueErrors in part)
            except (requests.RequestException, HTTPError, OSError, ValueError) as error:
                reply.error = error
            reply.sent = guard.sent
        outcome = str(reply.status) if reply.error is None else type(reply.error).__name__
        if method == "POST" and reply.error is None:
            task_id = classify_submit(reply.status, reply.body).task_id or ""
        log_call(log, method, path, outcome, started, task_id)
        return reply


@dataclass
class _Reply:
    status: int = 0
    body: bytes = b""
    broken: bool = False  # the body is not whole, so it says nothing
    sent: bool = False
    error: BaseException | None = None


def _read_body(answer: requests.Response) -> tuple[bytes, bool]:
    """At most 1 MB, and whether it is broken. The status stands even where the body does not come."""
    parts, size = [], 0
    try:
        for chunk in answer.iter_content(64 * 1024):
            size += len(chunk)
            if size > _MAX_BODY:
                return b"", True
            parts.append(chunk)
    except (requests.RequestException, HTTPError, OSError):
        return b"", True
    return b"".join(parts), False


def _without_secrets(text: str, *secrets: str | None) -> str:
    for secret in secrets:
        if secret:
            text = text.replace(secret, "***")
    return text[:MAX_DETAIL]
