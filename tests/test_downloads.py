import logging
import socket
import socketserver
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st
from urllib3.connection import HTTPConnection
from urllib3.exceptions import ConnectTimeoutError

from petsong.downloads import DownloadError, DownloadFacts, begins_like_mp3, download_song
from petsong.transport import Guard, guarded_session

FRAME = b"\xff\xfb\x90\x00" + bytes(413)  # 128 kbit/s, 44.1 kHz
MP3 = b"ID3\x04\x00\x00\x00\x00\x00\x0a" + bytes(10) + FRAME * 300


class Site(socketserver.ThreadingTCPServer):
    """A web server whose answers per path are functions that write to the connection."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.pages: dict[str, Callable[[Any], None]] = {}
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.names: list[str | None] = []
        self.tls = tls
        self.handshake_delay = 0.0
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def serve(self, path: str, body: bytes = MP3, status: int = 200, **headers: str) -> str:
        """Answer `path` like this; its full address."""
        lines = {"Content-Type": "audio/mpeg", "Content-Length": str(len(body)), "Connection": "close"}
        lines |= {name.replace("_", "-"): value for name, value in headers.items()}
        head = [f"HTTP/1.1 {status} X", *(f"{name}: {value}" for name, value in lines.items() if value), "", ""]
        self.pages[path] = lambda connection: connection.sendall("\r\n".join(head).encode() + body)
        return self.origin + path


class _Handler(socketserver.BaseRequestHandler):
    server: Site

    def handle(self) -> None:
        connection = self.request
        try:
            if self.server.tls is not None:
                time.sleep(self.server.handshake_delay)
                connection = self.server.tls.wrap_socket(connection, server_side=True)
            with connection, connection.makefile("rb") as file:
                path = file.readline().decode().split(" ")[1]
                headers = {}
                while line := file.readline().decode().strip():
                    name, _, value = line.partition(": ")
                    headers[name.lower()] = value
                self.server.requests.append((path, headers))
                self.server.pages[path](connection)
        except OSError:
            pass  # the client has gone or would not shake hands, as some tests want


def running(site: Site) -> Iterator[Site]:
    with site:
        thread = threading.Thread(target=site.serve_forever, args=(0.02,))
        thread.start()
        yield site
        site.shutdown()
        thread.join()


@pytest.fixture
def site() -> Iterator[Site]:
    yield from running(Site())


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "song.mp3"


def refused(url: str, target: Path, hosts: list[str], **options: Any) -> DownloadError:
    before = target.read_bytes() if target.exists() else None
    with pytest.raises(DownloadError) as caught:
        download_song(url, target, allowed_hosts=hosts, **options)
    assert (target.read_bytes() if target.exists() else None) == before
    assert [path for path in target.parent.iterdir() if path.name.startswith(".tmp-")] == []
    return caught.value


# --- what is fetched ---


def test_a_song_is_stored_whole(site: Site, target: Path) -> None:
    url = site.serve("/audio_abc_0.mp3", Content_Type="Audio/MPEG; charset=x")
    facts = download_song(url, target, allowed_hosts=["cdn.example", site.origin])
    assert facts == DownloadFacts(len(MP3), "audio/mpeg")
    assert target.read_bytes() == MP3
    [(_, headers)] = site.requests
    assert headers["accept-encoding"] == "identity" and "authorization" not in headers
    assert headers["host"] == f"127.0.0.1:{site.port}"


@pytest.mark.parametrize("kind", ["audio/mp3", "audio/x-mpeg", "application/octet-stream", "binary/octet-stream", ""])
def test_the_types_that_stores_give_songs_are_taken(site: Site, target: Path, kind: str) -> None:
    url = site.serve("/a.mp3", Content_Type=kind)
    assert download_song(url, target, allowed_hosts=[site.origin]).content_type == kind


def test_a_song_without_declared_length_is_taken(site: Site, target: Path) -> None:
    url = site.serve("/a.mp3", Content_Length="")
    assert download_song(url, target, allowed_hosts=[site.origin]).bytes == len(MP3)


def test_a_song_in_tiny_chunks_is_taken(site: Site, target: Path) -> None:
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (MP3[:1], MP3[1:5], MP3[5:])) + b"0\r\n\r\n"
    url = site.serve("/a.mp3", chunks, Content_Length="", Transfer_Encoding="chunked")
    assert download_song(url, target, allowed_hosts=[site.origin]).bytes == len(MP3)
    assert target.read_bytes() == MP3


def test_redirects_within_the_allowed_hosts_are_followed(site: Site, target: Path) -> None:
    site.serve("/end.mp3")
    site.serve("/2", b"", 307, Location="/end.mp3")
    url = site.serve("/1", b"", 302, Location=f"{site.origin}/2")
    assert download_song(url, target, allowed_hosts=[site.origin]).bytes == len(MP3)


def test_one_call_is_one_log_line_without_the_query(site: Site, target: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "petsong.downloads")
    site.pages["/a.mp3?signature=secret"] = site.pages.setdefault("/a.mp3", lambda connection: None)
    site.serve("/a.mp3?signature=secret")
    download_song(f"{site.origin}/a.mp3?signature=secret", target, allowed_hosts=[site.origin])
    [record] = [record for record in caplog.records if record.name == "petsong.downloads"]
    assert (record.path, record.status) == ("/a.mp3", "200")  # type: ignore[attr-defined]
    assert "secret" not in caplog.text


# --- what is not ---


@pytest.mark.parametrize(
    ("status", "code", "permanent"),
    [
        (404, "download_missing", True), (410, "download_missing", True), (429, "service_unreachable", False),
        (500, "service_unreachable", False), (503, "service_unreachable", False), (403, "service_unreachable", False),
        (304, "service_unreachable", False), (206, "download_not_audio", True), (204, "download_not_audio", True),
    ],
)  # fmt: skip
def test_each_status_has_its_code(site: Site, target: Path, status: int, code: str, permanent: bool) -> None:
    error = refused(site.serve("/a.mp3", status=status), target, [site.origin])
    assert (error.code, error.permanent) == (code, permanent)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (MP3, "text/html"),
        (MP3, "application/json"),
        (b"this is text named .mp3" * 50, "audio/mpeg"),
        (b"#EXTM3U\nfile:///etc/passwd\n", "audio/mpeg"),
        (b"", "audio/mpeg"),
        (b"ID3", "audio/mpeg"),
        (b"OggS" + bytes(100), "audio/mpeg"),
        (b"RIFF1234WAVE", "audio/mpeg"),
        (b"\x1f\x8b" + bytes(100), "audio/mpeg"),
        (b"\xff\xf1\x50\x80" + bytes(99), "audio/mpeg"),
    ],
)
def test_what_is_no_mp3_is_refused(site: Site, target: Path, body: bytes, kind: str) -> None:
    error = refused(site.serve("/a.mp3", body, Content_Type=kind), target, [site.origin])
    assert (error.code, error.permanent) == ("download_not_audio", True)


def test_a_song_cut_short_is_noticed(site: Site, target: Path) -> None:
    target.write_bytes(b"from an earlier try")
    error = refused(site.serve("/a.mp3", MP3[:5000], Content_Length=str(len(MP3))), target, [site.origin])
    assert (error.code, error.permanent) == ("download_cut", True)
    chunked = site.serve("/b.mp3", b"ffff\r\n" + MP3[:5000], Content_Length="", Transfer_Encoding="chunked")
    assert refused(chunked, target, [site.origin]).code == "download_cut"


def test_a_song_that_is_too_large_is_not_fetched(site: Site, target: Path) -> None:
    declared = refused(site.serve("/a.mp3"), target, [site.origin], max_bytes=len(MP3) - 1)
    assert (declared.code, declared.permanent) == ("download_too_large", True)
    silent = refused(site.serve("/b.mp3", Content_Length=""), target, [site.origin], max_bytes=len(MP3) - 1)
    assert silent.code == "download_too_large"
    assert download_song(f"{site.origin}/a.mp3", target, allowed_hosts=[site.origin], max_bytes=len(MP3)).bytes == len(MP3)


def test_no_connection_means_the_service_is_unreachable(target: Path) -> None:
    error = refused("http://127.0.0.1:9/a.mp3", target, ["http://127.0.0.1:9"])
    assert (error.code, error.permanent) == ("service_unreachable", False)


def test_closed_without_an_answer_is_unreachable(site: Site, target: Path) -> None:
    site.pages["/a.mp3"] = lambda connection: None
    assert refused(f"{site.origin}/a.mp3", target, [site.origin]).code == "service_unreachable"


DRIPS = {
    "head": b"HTTP/1.1 200 X\r\nA: ",
    "body": b"HTTP/1.1 200 X\r\nContent-Type: audio/mpeg\r\nContent-Length: 9999\r\n\r\n" + MP3[:50],
    "undeclared": b"HTTP/1.1 200 X\r\nContent-Type: audio/mpeg\r\n\r\n" + MP3[:50],
}


@pytest.mark.parametrize("part", DRIPS)
def test_dripping_cannot_stretch_the_deadline(site: Site, target: Path, part: str) -> None:
    def drip(connection: Any) -> None:
        connection.sendall(DRIPS[part])
        for _ in range(100):
            connection.sendall(b"x")
            time.sleep(0.05)

    site.pages["/a.mp3"] = drip
    started = time.monotonic()
    error = refused(f"{site.origin}/a.mp3", target, [site.origin], total_seconds=0.4)
    assert (error.code, error.permanent) == ("service_unreachable", False)
    assert time.monotonic() - started < 3


def test_the_body_of_a_redirect_is_not_read(site: Site, target: Path) -> None:
    poured = []

    def pour(connection: Any) -> None:
        connection.sendall(b"HTTP/1.1 302 X\r\nLocation: /end.mp3\r\n\r\n")
        for _ in range(1000):
            connection.sendall(bytes(65536))
            poured.append(65536)

    site.serve("/end.mp3")
    site.pages["/1"] = pour
    assert download_song(f"{site.origin}/1", target, allowed_hosts=[site.origin]).bytes == len(MP3)
    assert sum(poured) < 32 * 1024 * 1024


def test_redirects_share_the_deadline_and_end(site: Site, target: Path) -> None:
    url = site.serve("/1", b"", 302, Location="/1")
    assert refused(url, target, [site.origin]).code == "service_unreachable"
    assert len(site.requests) == 4


# --- where from ---


@pytest.mark.parametrize(
    "location",
    [
        "http://127.0.0.1:1/x",
        "http://169.254.169.254/latest",
        "file:///etc/passwd",
        "//evil.example/x",
        "http://[broken",
    ],
)
def test_a_redirect_out_of_the_allowed_hosts_is_refused(site: Site, target: Path, location: str) -> None:
    error = refused(site.serve("/1", b"", 302, Location=location), target, [site.origin])
    assert (error.code, error.permanent) == ("download_forbidden_host", True)
    assert len(site.requests) == 1


HOSTS = ["cdn.song.example", "*.tunes.example", "http://127.0.0.1:9000"]


@pytest.mark.parametrize(
    "url",
    [
        "http://cdn.song.example/a.mp3", "https://cdn.song.example:8443/a.mp3", "https://evil.example/a.mp3",
        "https://cdn.song.example.evil.example/a", "https://xcdn.song.example/a", "https://tunes.example/a",
        "https://eviltunes.example/a", "https://user@cdn.song.example/a", "https://user:pw@cdn.song.example/a",
        "https://cdn.song.example@evil.example/a", "https://evil.example\\@cdn.song.example/a", "ftp://cdn.song.example/a",
        "https://evil.example#@cdn.song.example/a", "https://cdn.song.example./a", "https:///a", "", "cdn.song.example/a",
        "https://cdn.song.example/a b", "https://cdn.song.example/a\nb", "https://cdn.song.example:0/a",
        "https://cdn.song.example:x/a", "http://127.0.0.1:9001/a", "https://127.0.0.1:9000/a", "http://localhost:9000/a",
        "http://127.0.0.1/a", "https://[::1]/a", "https://[broken/a", "file:///etc/passwd",
    ],
)  # fmt: skip
def test_an_address_that_is_not_allowed_is_not_even_looked_up(target: Path, url: str) -> None:
    def resolver(host: str, port: int) -> list[str]:
        raise AssertionError(f"{host} was looked up")

    error = refused(url, target, HOSTS, resolver=resolver)
    assert (error.code, error.permanent) == ("download_forbidden_host", True)


@pytest.mark.parametrize("url", ["https://cdn.song.example/a", "HTTPS://CDN.Song.Example:443/a", "https://a.b.tunes.example/a"])
def test_an_allowed_name_is_looked_up_once(target: Path, url: str) -> None:
    asked = []

    def resolver(host: str, port: int) -> list[str]:
        asked.append((host, port))
        raise socket.gaierror(socket.EAI_NONAME, "no such host")

    assert refused(url, target, HOSTS, resolver=resolver).code == "service_unreachable"
    assert len(asked) == 1 and asked[0][1] == 443


PRIVATE = [
    "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.1", "224.0.0.1",
    "255.255.255.255", "240.0.0.1", "192.0.2.1", "198.18.0.1", "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1",
    "ff02::1", "2001:db8::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "2002:a00:1::1",
    "2001:0:1:1::f5ff:fffe",
]  # fmt: skip


@pytest.mark.parametrize("address", PRIVATE)
@pytest.mark.parametrize("among", [False, True])
def test_a_name_that_leads_to_a_private_address_is_refused(target: Path, address: str, among: bool) -> None:
    addresses = ["8.8.8.8", address] if among else [address]
    error = refused("https://cdn.song.example/a", target, HOSTS, resolver=lambda host, port: addresses)
    assert (error.code, error.permanent) == ("download_forbidden_host", True)


def test_a_name_without_an_address_is_unreachable(target: Path) -> None:
    error = refused("https://cdn.song.example/a", target, HOSTS, resolver=lambda host, port: [])
    assert (error.code, error.permanent) == ("service_unreachable", False)


def test_the_checked_address_is_the_dialled_one(site: Site, target: Path) -> None:
    """A name whose second look-up would lead elsewhere: it is looked up once, and the Host header keeps the name."""
    answers = [["127.0.0.1"], ["192.0.2.1"]]
    site.serve("/a.mp3")
    origin = f"http://song.invalid:{site.port}"
    download_song(f"{origin}/a.mp3", target, allowed_hosts=[origin], resolver=lambda host, port: answers.pop(0))
    assert answers == [["192.0.2.1"]]
    assert site.requests[0][1]["host"] == f"song.invalid:{site.port}"


def test_the_second_address_is_tried_where_the_first_is_dead(site: Site, target: Path) -> None:
    site.serve("/a.mp3")
    origin = f"http://song.invalid:{site.port}"
    addresses = ["::1", "127.0.0.1"]
    assert download_song(f"{origin}/a.mp3", target, allowed_hosts=[origin], resolver=lambda host, port: addresses)


def test_environment_proxies_are_not_used(site: Site, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert download_song(site.serve("/a.mp3"), target, allowed_hosts=[site.origin]).bytes == len(MP3)


# --- TLS over a pinned address ---


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("tls")
    key, cert = folder / "key.pem", folder / "cert.pem"
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "2",
    ]
    command += ["-subj", "/CN=song.invalid", "-addext", "subjectAltName=DNS:song.invalid", "-keyout", key, "-out", cert]
    subprocess.run(command, check=True, capture_output=True, timeout=30)
    return key, cert


@pytest.fixture
def tls_site(certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate[1], certificate[0])
    server = Site(context)
    context.sni_callback = lambda connection, name, _: server.names.append(name)
    monkeypatch.setattr("requests.adapters.DEFAULT_CA_BUNDLE_PATH", str(certificate[1]))
    yield from running(server)


def test_a_pinned_address_keeps_the_name_for_tls(tls_site: Site, target: Path) -> None:
    tls_site.serve("/a.mp3")
    origin = f"https://song.invalid:{tls_site.port}"
    facts = download_song(f"{origin}/a.mp3", target, allowed_hosts=[origin], resolver=lambda host, port: ["127.0.0.1"])
    assert facts.bytes == len(MP3) and target.read_bytes() == MP3
    assert tls_site.names == ["song.invalid"]
    assert tls_site.requests[0][1]["host"] == f"song.invalid:{tls_site.port}"


def test_a_certificate_for_another_name_is_refused(tls_site: Site, target: Path) -> None:
    tls_site.serve("/a.mp3")
    origin = f"https://other.invalid:{tls_site.port}"
    options: Any = {"resolver": lambda host, port: ["127.0.0.1"]}
    assert refused(f"{origin}/a.mp3", target, [origin], **options).code == "service_unreachable"
    assert tls_site.requests == []


def test_a_handshake_that_ends_too_late_is_followed_by_no_request(tls_site: Site) -> None:
    tls_site.handshake_delay = 0.3
    tls_site.serve("/a.mp3")
    with guarded_session(5, lambda host, port: ["127.0.0.1"], send_within=0.1) as (session, guard):
        with pytest.raises(requests.Timeout):
            session.get(f"https://song.invalid:{tls_site.port}/a.mp3", timeout=5)
        assert guard.sent is False
    assert tls_site.requests == []


def test_the_first_byte_leaves_in_time_or_not_at_all_and_the_rest_follows() -> None:
    connection = HTTPConnection("song.invalid")
    late = Guard(5, lambda host, port: [], send_within=-1)
    with pytest.raises(ConnectTimeoutError):
        late.about_to_send(connection)
    assert late.sent is False
    late.sent = True
    late.about_to_send(connection)


def test_a_stalled_handshake_cannot_stretch_the_deadline(target: Path) -> None:
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen(5)
        origin = f"https://127.0.0.1:{mute.getsockname()[1]}"
        started = time.monotonic()
        assert refused(f"{origin}/a", target, [origin], total_seconds=0.3).code == "service_unreachable"
        assert time.monotonic() - started < 3


# --- the first bytes ---


@pytest.mark.parametrize("frame", [b"\xff\xfb\x90\x00", b"\xff\xf3\x40\xc0", b"\xff\xe3\x18\xc4", b"\xff\xfa\x90\x04"])
def test_layer_three_frames_of_all_versions_are_known(frame: bytes) -> None:
    assert begins_like_mp3(frame + bytes(100))


@given(st.binary(max_size=20))
def test_only_sync_or_tag_begins_an_mp3(data: bytes) -> None:
    if begins_like_mp3(data):
        assert data.startswith(b"ID3") or (data[0] == 0xFF and data[1] >= 0xE0)
