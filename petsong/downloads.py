"""Fetching songs: an address that the song service names is input from outside, and so is what it answers.

Only SONG_HOSTS are asked; their names are resolved once, judged, and that very address is dialled.
"""

import contextlib
import logging
import os
import re
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urljoin, urlsplit

import requests
from urllib3.exceptions import HTTPError, ReadTimeoutError

from petsong.transport import (
    Guard,
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

log = logging.getLogger("petsong.downloads")

_READ_TIMEOUT = 15.0  # seconds of silence; the deadline of the whole is separate
_MAX_REDIRECTS = 3
_CHUNK = 64 * 1024
_HEAD = 10  # bytes of an ID3v2 tag's header
_AUDIO_TYPE = re.compile(r"audio/[\w.+-]+|(application|binary)/octet-stream|application/(mp3|x-mp3)|", re.ASCII)


class DownloadError(Exception):
    """`code` names the failure. `permanent`: this try is over and counts; otherwise the service could not be reached
    or is busy, which says nothing about the song."""

    def __init__(self, code: str, message: str, permanent: bool) -> None:
        super().__init__(message)
        self.code = code
        self.permanent = permanent


@dataclass(frozen=True)
class DownloadFacts:
    bytes: int
    content_type: str  # lower case, without parameters; "" where none was sent


# --- which addresses ---


def _forbidden(why: str) -> DownloadError:
    return DownloadError("download_forbidden_host", why, permanent=True)


def _judge(url: str, allowed_hosts: Sequence[str]) -> Place:
    """The place that `url` names, where SONG_HOSTS allows it. Raises DownloadError."""
    try:
        scheme, host, port = parse_address(url)
    except ValueError as error:
        raise _forbidden(f"the song's address is refused: {error}") from error
    for entry in allowed_hosts:
        if "://" in entry:
            with contextlib.suppress(ValueError):  # a malformed entry allows nothing
                if (scheme, host, port) == parse_address(entry):
                    return Place(host, port, exact=True)
        elif scheme == "https" and port == 443 and _matches(host, entry.lower()):
            return Place(host, port, exact=False)
    raise _forbidden(f"{scheme}://{host}:{port} is not in SONG_HOSTS ({', '.join(allowed_hosts)})")


def _matches(host: str, entry: str) -> bool:
    return host.endswith(entry[1:]) and len(host) >= len(entry) if entry.startswith("*.") else host == entry


def _pin(place: Place, resolver: Resolver) -> list[str]:
    try:
        return pin(place, resolver)
    except PrivateAddress as error:
        raise _forbidden(str(error)) from error
    except OSError as error:
        raise _unreachable(f"{place.host} has no address: {error}") from error


# --- the download ---


def download_song(
    url: str,
    target: Path,
    *,
    allowed_hosts: Sequence[str],
    max_bytes: int = 20 * 1024 * 1024,
    total_seconds: float = 60,
    resolver: Resolver = system_resolver,
) -> DownloadFacts:
    """Stream the MP3 at `url` into `target`, which appears only when it is whole. Raises DownloadError.

    `allowed_hosts` are SONG_HOSTS: `host` or `*.domain` (https, port 443, public addresses only), or
    `scheme://host:port` for exactly that origin, wherever it is. A full disk stays OSError.
    """
    ends = time.monotonic() + total_seconds
    for _ in range(_MAX_REDIRECTS + 1):
        place = _judge(url, allowed_hosts)
        resolve = only(place, _pin(place, resolver))
        with guarded_session(max(0.001, ends - time.monotonic()), resolve) as (session, guard):
            result = _one_hop(session, guard, url, target, max_bytes)
        if isinstance(result, DownloadFacts):
            return result
        url = _next_url(url, result)
    raise _unreachable(f"more than {_MAX_REDIRECTS} redirects")


def _next_url(url: str, location: str) -> str:
    try:
        return urljoin(url, location)
    except ValueError as error:
        raise _forbidden("the song's address leads to a malformed one") from error


def _unreachable(why: str) -> DownloadError:
    return DownloadError("service_unreachable", why, permanent=False)


def _one_hop(session: requests.Session, guard: Guard, url: str, target: Path, max_bytes: int) -> DownloadFacts | str:
    """One request: the facts of the stored file, or where it was sent on to."""
    started, status = time.monotonic(), "error"
    headers = {"Accept-Encoding": "identity", "User-Agent": "petsong"}
    try:
        with session.get(url, headers=headers, stream=True, timeout=_READ_TIMEOUT, allow_redirects=False) as answer:
            status = str(answer.status_code)
            if answer.is_redirect:
                return answer.headers["Location"]
            _check_status(answer.status_code)
            return _store(answer, guard, target, max_bytes)
    except ValueError as error:  # requests' InvalidURL and its like
        raise _forbidden(f"the song's address is refused: {type(error).__name__}") from error
    except (requests.RequestException, HTTPError) as error:
        late = "the deadline passed" if guard.expired else type(error).__name__
        raise _unreachable(f"the song could not be fetched: {late}") from error
    finally:
        log_call(log, "GET", urlsplit(url).path, status, started)


def _check_status(status: int) -> None:
    if status == HTTPStatus.OK:
        return
    if status in (HTTPStatus.NOT_FOUND, HTTPStatus.GONE):
        raise DownloadError("download_missing", f"the song is not there (HTTP {status})", permanent=True)
    if 200 <= status < 300:
        raise DownloadError("download_not_audio", f"the song came as HTTP {status}", permanent=True)
    # Also 403 and the like: stores answer it while a file is on its way or an address is blocked, and a paid song is
    # worth asking for again.
    raise _unreachable(f"the song's host answered HTTP {status}")


def _store(answer: requests.Response, guard: Guard, target: Path, max_bytes: int) -> DownloadFacts:
    kind = answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if not _AUDIO_TYPE.fullmatch(kind):
        raise DownloadError("download_not_audio", f"the song came as {kind[:80]!r}, not as audio", permanent=True)
    declared = _declared_length(answer)
    if declared is not None and declared > max_bytes:
        raise _too_large(max_bytes)
    temporary = target.with_name(f".tmp-{secrets.token_hex(8)}")
    try:
        with temporary.open("xb") as file:
            size = _copy(answer, guard, file, max_bytes, declared)
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)
    return DownloadFacts(size, kind)


def _declared_length(answer: requests.Response) -> int | None:
    text = answer.headers.get("Content-Length", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else None


def _too_large(max_bytes: int) -> DownloadError:
    return DownloadError("download_too_large", f"the song has more than {max_bytes} bytes", permanent=True)


def _copy(answer: requests.Response, guard: Guard, file: BinaryIO, max_bytes: int, declared: int | None) -> int:
    """Bytes copied: all of them, beginning as an MP3 does. A cut song decodes without complaint, so count."""
    size, head, broken = 0, b"", False
    try:
        for chunk in answer.raw.stream(_CHUNK, decode_content=False):
            size += len(chunk)
            if size > max_bytes:
                raise _too_large(max_bytes)
            if len(head) < _HEAD:
                head += chunk[:_HEAD]
                _check_head(head, complete=False)
            file.write(chunk)
    except ReadTimeoutError:
        raise
    except HTTPError:
        broken = True
    if guard.expired:
        raise _unreachable("the song took longer than its deadline")
    if broken or (declared is not None and size != declared):
        wanted = "?" if declared is None else declared
        raise DownloadError("download_cut", f"the song broke off after {size} of {wanted} bytes", permanent=True)
    _check_head(head, complete=True)
    return size


def _check_head(head: bytes, complete: bool) -> None:
    """As soon as there is enough of it: what is no song is not fetched to its end."""
    if (complete or len(head) >= _HEAD) and not begins_like_mp3(head):
        raise DownloadError("download_not_audio", "the song's bytes are not an MP3", permanent=True)


def begins_like_mp3(data: bytes) -> bool:
    """An ID3v2 tag, or the header of an MPEG layer III frame (ISO 11172-3 2.4.2.3) with no reserved value in it."""
    if len(data) >= 10 and data.startswith(b"ID3"):
        return data[3] < 0xFF and data[4] < 0xFF and not any(byte & 0x80 for byte in data[6:10])
    if len(data) < 4 or data[0] != 0xFF or data[1] & 0xE0 != 0xE0:
        return False
    version, layer = data[1] >> 3 & 3, data[1] >> 1 & 3
    bitrate, rate = data[2] >> 4, data[2] >> 2 & 3
    return version != 1 and layer == 1 and bitrate not in (0, 15) and rate != 3
