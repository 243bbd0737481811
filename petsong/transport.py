"""The way out for every call of the product: one deadline over all of it, which no slow drip of bytes can stretch, and only
addresses that were resolved once and judged. No proxies, no redirects, no repeats.
"""
import contextlib
import ipaddress
import logging
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NameResolutionError, NewConnectionError

Resolver = Callable[[str, int], Sequence[str]]  # (host, port) → IP addresses; OSError where there are none

_HOST_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?", re.ASCII)
_UNFIT_IN_URL = re.compile(r"[\x00-\x20\x7f\\]")
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


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
class Place:
    """Where a call may go."""

    host: str
    port: int
    exact: bool  # allowed with scheme and port: its address may be private


def parse_address(url: str) -> tuple[str, str, int]:
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


def is_public(address: str) -> bool:
    """Globally routable, also what an IPv6 address carries inside: mapped, 6to4, Teredo and NAT64 forms of IPv4."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    inner: ipaddress.IPv4Address | None = None
    if isinstance(ip, ipaddress.IPv6Address):
        teredo = ip.teredo
        inner = ip.ipv4_mapped or ip.sixtofour or (teredo[1] if teredo else None)
        if ip in _NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    if inner is not None:
        return is_public(str(inner))
    return ip.is_global and not (ip.is_multicast or ip.is_reserved or ip.is_loopback or ip.is_link_local)


class PrivateAddress(Exception):
    """A name leads into a private network."""


def pin(place: Place, resolver: Resolver) -> list[str]:
    """The addresses to dial, resolved once. One private address among them is enough to refuse the host.

    Raises OSError where there is none, PrivateAddress.
    """
    try:
        addresses = list(resolver(place.host, place.port))
    except UnicodeError as error:  # a label too long for IDNA
        raise OSError(str(error)) from error
    if not addresses:
        raise OSError("the name leads nowhere")
    if not place.exact and not all(is_public(address) for address in addresses):
        raise PrivateAddress(f"{place.host} leads to a private address")
    return addresses


def only(place: Place, pinned: list[str]) -> Resolver:
    """A resolver that knows one place: whatever else a library reads out of the address is not dialled."""

    def resolve(host: str, port: int) -> list[str]:
        if (host, port) != (place.host, place.port):
            raise OSError(f"{host}:{port} is not the place that was checked")
        return pinned

    return resolve
