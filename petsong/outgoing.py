"""Delivering the outbox over HTTP: one signed POST a message, per Standard Webhooks (https://www.standardwebhooks.com).

Addresses are the operator's own, yet a name in them may lead elsewhere tomorrow: it is resolved once and that address is
dialled, private ones only where OUTGOING_ORIGINS lists the origin. No redirects; 10 s; of the answer at most 1 KB is read.
"""
import base64
import hashlib
import hmac
import json
import logging
import time
from dataclasses import dataclass
from typing import Any

import requests
from urllib3.exceptions import HTTPError

from petsong.outbox import ALERT, Outcome
from petsong.schemas import iso
from petsong.settings import Settings
from petsong.transport import (
    Place,
    PrivateAddress,
    Resolver,
    guarded_session,
    log_call,
    only,
    parse_address,
    pin,
    system_resolver,
)

log = logging.getLogger(__name__)
TIMEOUT = 10.0
MAX_ANSWER = 1024


@dataclass(frozen=True)
class Receiver:
    url: str
    secrets: tuple[str, ...]
    allowed_origins: tuple[str, ...]


def receiver_of(settings: Settings, destination: str) -> Receiver | None:
    """Where messages of this kind go; None where no address is set."""
    alert = destination == ALERT
    url = settings.alert_webhook_url if alert else settings.events_webhook_url
    secrets = settings.alert_webhook_secret if alert else settings.events_webhook_secret
    return Receiver(url, tuple(secrets.split()), settings.outgoing_origins) if url else None


# ---- what is sent

def body_of(settings: Settings, message: Any) -> bytes:
    """The same at every try. Alerts have a top-level `text`, so that a chat's incoming webhook shows them as they are."""
    data = dict(message.payload)
    if message.destination == ALERT:
        whole = {"text": data.pop("text"), "type": f"alert.{message.kind}", "timestamp": iso(message.created_at), "data": data}
    else:
        links = _links(settings, data)
        whole = {"type": message.kind, "timestamp": iso(message.created_at), "data": {**data, **links}}
    return json.dumps(whole, ensure_ascii=False, separators=(",", ":")).encode()


def _links(settings: Settings, data: dict[str, Any]) -> dict[str, str | None]:
    """Null where our own address is not known, and the video's where there is none."""
    site, session_id = settings.site_url, data["session_id"]
    video = f"{site}/storage/video/{session_id}.mp4" if site and data.get("status") == "success" else None
    return {"page_url": f"{site}/result/{session_id}" if site else None, "video_url": video}


def signature(secrets: tuple[str, ...], message_id: str, timestamp: int, body: bytes) -> str:
    """The header webhook-signature: `v1,` and base64 of HMAC-SHA256 over id.timestamp.body, once for each secret."""
    signed = f"{message_id}.{timestamp}.".encode() + body
    return " ".join(f"v1,{_mac(secret, signed)}" for secret in secrets)


def _mac(secret: str, signed: bytes) -> str:
    key = base64.b64decode(secret.removeprefix("whsec_"))
    return base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


# ---- sending it

def send(
    settings: Settings, receiver: Receiver, message: Any, *, timeout: float = TIMEOUT, resolver: Resolver = system_resolver
) -> Outcome:
    """One try. Never raises for what the receiver or the network does."""
    started = time.monotonic()
    status, note = _post(receiver, message.id, body_of(settings, message), timeout, resolver)
    # Of the address only the host: a chat's hooks are secret by their path.
    log_call(log, "POST", f"webhook of {message.destination}s", str(status or note), started)
    return Outcome(status, note, round((time.monotonic() - started) * 1000))


def _post(
    receiver: Receiver, message_id: str, body: bytes, timeout: float, resolver: Resolver
) -> tuple[int | None, str]:
    """(HTTP status or None, what else there is to say)."""
    try:
        place = _place(receiver)
        resolve = only(place, pin(place, resolver))
    except PrivateAddress as error:
        return None, f"{error}; if that is meant to be, list its origin in OUTGOING_ORIGINS"
    except ValueError as error:
        return None, f"the address is refused: {error}"
    except OSError as error:
        return None, f"the address can't be resolved: {error}"
    headers = _headers(receiver, message_id, body)
    with guarded_session(timeout, resolve) as (session, guard):
        try:
            with session.post(
                receiver.url, data=body, headers=headers, timeout=timeout, stream=True, allow_redirects=False
            ) as answer:
                return answer.status_code, _said(answer)
        except (requests.RequestException, HTTPError, OSError, ValueError) as error:
            late = guard.expired or isinstance(error, requests.Timeout)
            return None, f"no answer within {timeout:g} s" if late else f"no answer: {type(error).__name__}"


def _place(receiver: Receiver) -> Place:
    """Raises ValueError."""
    scheme, host, port = parse_address(receiver.url)
    exact = (scheme, host, port) in [parse_address(origin) for origin in receiver.allowed_origins]
    if scheme != "https" and not exact:
        raise ValueError("it is neither https nor in OUTGOING_ORIGINS")
    return Place(host, port, exact)


def _headers(receiver: Receiver, message_id: str, body: bytes) -> dict[str, str]:
    moment = int(time.time())
    headers = {
        "Content-Type": "application/json", "User-Agent": "petsong", "Accept-Encoding": "identity",
        "webhook-id": message_id, "webhook-timestamp": str(moment),
    }
    if receiver.secrets:
        headers["webhook-signature"] = signature(receiver.secrets, message_id, moment, body)
    return headers


def _said(answer: requests.Response) -> str:
    """The beginning of a refusal, in one line; of a success nothing is read."""
    if 200 <= answer.status_code < 300:
        return ""
    if 300 <= answer.status_code < 400:
        return "redirects are not followed"
    try:
        text = next(answer.iter_content(MAX_ANSWER), b"").decode(errors="replace")
    except (requests.RequestException, HTTPError, OSError):
        return ""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())[:200]
