"""Fetching songs: an address that the song service names is input from outside, and so is what it answers.

Only SONG_HOSTS are asked; their names are resolved once, judged, and that very address is dialled. `guarded_session` is
the way out for every call of the product: one deadline over all of it, which no slow drip of bytes can stretch.
"""

import contextlib
import ipaddress
import logging
import os
import re
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urljoin, urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NameResolutionError, NewConnectionError, ReadTimeoutError

log = logging.getLogger("petsong.downloads")

Resolver = Callable[[str, int], Sequence[str]]  # (host, port) → IP addresses; OSError where there are none

_READ_TIMEOUT = 15.0  # seconds of silence; the deadline of the whole is separate
_MAX_REDIRECTS = 3
_CHUNK = 64 * 1024
_HEAD = 10  # bytes of an ID3v2 tag's header
_AUDIO_TYPE = re.compile(r"audio/[\w.+-]+|(application|binary)/octet-stream|application/(mp3|x-mp3)|", re.ASCII)
_HOST_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?", re.ASCII)
_UNFIT_IN_URL = re.compile(r"[\x00-\x20\x7f\\]")
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


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


# --- the way out: one deadline, pinned addresses ---


class Guard:
    """The deadline of one call, and the choice of the addresses that it may dial.

    A read timeout starts anew with each byte, so a timer shuts the connection down in the end: any read then returns.
    `sent` tells whether a single byte of a request may have left: before that, nothing can have been accepted.
    """

    def __init__(self, seconds: float, resolve: Resolver, send_within: float | None = None) -> None:
        self._ends = time.monotonic() + seconds
        self._send_before = time.monotonic() + (seconds if send_within is None else min(seconds, send_within))
        self._resolve = resolve
        self._handles: list[socket.socket] = []
        self._timer = threading.Timer(seconds, self._expire)
        self._timer.daemon = True
        self.sent = False
        self.expired = False

    def __enter__(self) -> "Guard":
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        self._timer.join()
        for handle in self._handles:
            handle.close()

    def _expire(self) -> None:
        self.expired = True
        for handle in list(self._handles):
            with contextlib.suppress(OSError):  # the other side was quicker
                handle.shutdown(socket.SHUT_RDWR)

    def dial(self, connection: HTTPConnection) -> socket.socket:
        """Try the host's addresses in turn, within the connection's timeout each and the deadline in all."""
        host, port = connection.host, connection.port
        try:
            addresses = self._resolve(host, port)
        except (OSError, UnicodeError) as error:  # UnicodeError: a label too long for IDNA
            raise NameResolutionError(host, connection, socket.gaierror(str(error))) from error
        failure: HTTPError = NewConnectionError(connection, f"{host} has no address")
        for address in addresses:
            left = self._send_before - time.monotonic()
            if left <= 0:
                raise ConnectTimeoutError(connection, f"no connection to {host} before the deadline")
            try:
                return self._keep(socket.create_connection((address, port), min(left, connection.timeout or left)))
            except TimeoutError:
                failure = ConnectTimeoutError(connection, f"connecting to {host} timed out")
            except OSError as error:
                failure = NewConnectionError(connection, f"no connection to {host}: {error}")
        raise failure

    def about_to_send(self, connection: HTTPConnection) -> None:
        if not self.sent and time.monotonic() > self._send_before:
            raise ConnectTimeoutError(connection, f"no connection to {connection.host} before the deadline")
        self.sent = True

    def _keep(self, sock: socket.socket) -> socket.socket:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._handles.append(sock.dup())  # TLS takes the original apart; a shutdown of the copy ends either
        if self.expired:
            self._expire()
        return sock


def _guarded(base: type[HTTPConnection], guard: Guard) -> type[HTTPConnection]:
    class Guarded(base):  # type: ignore[misc, valid-type]
        def _new_conn(self) -> socket.socket:
            return guard.dial(self)

        def send(self, data: Any) -> None:
            if self.sock is None:
                self.connect()
            guard.about_to_send(self)
            super().send(data)

    return Guarded


class _GuardedAdapter(HTTPAdapter):
    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        super().__init__(pool_connections=1, pool_maxsize=1, max_retries=0)

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options)
        http, https = _guarded(HTTPConnection, self._guard), _guarded(HTTPSConnection, self._guard)
        self.poolmanager.pool_classes_by_scheme = {
            "http": type("GuardedPool", (HTTPConnectionPool,), {"ConnectionCls": http}),
            "https": type("GuardedTLSPool", (HTTPSConnectionPool,), {"ConnectionCls": https}),
        }


def log_call(to: logging.Logger, method: str, path: str, status: str, started: float, task_id: str = "") -> None:
    """The one INFO line of an outbound call. `started` by time.monotonic(); never a query, a key or a name."""
    ms = round((time.monotonic() - started) * 1000)
    facts = {"method": method, "path": path[:300], "status": status, "ms": ms, "task_id": task_id}
    to.info("outbound call: %s %s %s in %d ms", method, path[:300], status, ms, extra=facts)


def system_resolver(host: str, port: int) -> list[str]:
    """The system's answer, each address once. Raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class _Session(requests.Session):
    def get_redirect_target(self, resp: requests.Response) -> None:
        """None: even when told not to follow, requests would read a redirect's whole body and parse where it leads."""
        return None


@contextlib.contextmanager
def guarded_session(
    seconds: float, resolve: Resolver = system_resolver, send_within: float | None = None
) -> Iterator[tuple[requests.Session, Guard]]:
    """A session for one call: no proxies, no .netrc (it would replace our Authorization), no repeats, one deadline.

    `send_within` seconds the request must have begun to leave, or it does not leave at all.
    """
    with Guard(seconds, resolve, send_within) as guard, _Session() as session:
        session.trust_env = False
        adapter = _GuardedAdapter(guard)
        session.mount("http://", adapter)
        session.mount("https://", adapter)
        yield session, guard


# --- which addresses ---


@dataclass(frozen=True)
class _Place:
    host: str
    port: int
    exact: bool  # listed with scheme and port: its address may be private


def _forbidden(why: str) -> DownloadError:
    return DownloadError("download_forbidden_host", why, permanent=True)


def _parse(url: str) -> tuple[str, str, int]:
    """(scheme, host, port), lower case. Raises ValueError, also for what two libraries might read differently."""
    if _UNFIT_IN_URL.search(url) or len(url) > 2048:
        raise ValueError("it is not a plain web address")
    parts = urlsplit(url)
    scheme, host = parts.scheme.lower(), parts.hostname or ""
    if scheme not in ("http", "https") or parts.username is not None or parts.password is not None:
        raise ValueError("only http(s) addresses without a user name are fetched")
    if not _HOST_NAME.fullmatch(host) and ":" not in host:
        raise ValueError("its host is no host name")
    return scheme, host, parts.port if parts.port is not None else {"http": 80, "https": 443}[scheme]


def _judge(url: str, allowed_hosts: Sequence[str]) -> _Place:
    """The place that `url` names, where SONG_HOSTS allows it. Raises DownloadError."""
    try:
        scheme, host, port = _parse(url)
    except ValueError as error:
        raise _forbidden(f"the song's address is refused: {error}") from error
    for entry in allowed_hosts:
        if "://" in entry:
            with contextlib.suppress(ValueError):  # a malformed entry allows nothing
                if (scheme, host, port) == _parse(entry):
                    return _Place(host, port, exact=True)
        elif scheme == "https" and port == 443 and _matches(host, entry.lower()):
            return _Place(host, port, exact=False)
    raise _forbidden(f"{scheme}://{host}:{port} is not in SONG_HOSTS ({', '.join(allowed_hosts)})")


def _matches(host: str, entry: str) -> bool:
    return host.endswith(entry[1:]) and len(host) >= len(entry) if entry.startswith("*.") else host == entry


def _is_public(address: str) -> bool:
    """Globally routable, also what an IPv6 address carries inside: mapped, 6to4, Teredo and NAT64 forms of IPv4."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    inner: ipaddress.IPv4Address | None = None
    if isinstance(ip, ipaddress.IPv6Address):
        teredo = ip.teredo
        inner = ip.ipv4_mapped or ip.sixtofour or (teredo[1] if teredo else None)
        if ip in _NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    if inner is not None:
        return _is_public(str(inner))
    return ip.is_global and not (ip.is_multicast or ip.is_reserved or ip.is_loopback or ip.is_link_local)


def _pin(place: _Place, resolver: Resolver) -> list[str]:
    """The addresses to dial, resolved once. One private address among them is enough to refuse the host."""
    try:
        addresses = list(resolver(place.host, place.port))
    except (OSError, UnicodeError) as error:
        raise _unreachable(f"{place.host} has no address: {error}") from error
    if not addresses:
        raise _unreachable(f"{place.host} has no address")
    if not place.exact and not all(_is_public(address) for address in addresses):
        raise _forbidden(f"{place.host} leads to a private address")
    return addresses


def _only(place: _Place, pinned: list[str]) -> Resolver:
    """A resolver that knows one place: whatever else a library reads out of the address is not dialled."""

    def resolve(host: str, port: int) -> list[str]:
        if (host, port) != (place.host, place.port):
            raise OSError(f"{host}:{port} is not the place that was checked")
        return pinned

    return resolve


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
        resolve = _only(place, _pin(place, resolver))
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
