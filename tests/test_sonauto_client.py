import dataclasses
import json
import logging
import socket
import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st
from urllib3.exceptions import ConnectTimeoutError, MaxRetryError, NewConnectionError, ProtocolError

from petsong.sonauto import (
    Answer,
    Hint,
    Meaning,
    SongService,
    classify_exception,
    classify_submit,
    read_hint,
    read_task,
)
from petsong.transport import guarded_session

KEY = "sksonauto_very_secret"
WEBHOOK = "https://petsong.example/api/webhook/token123"


@dataclass(frozen=True)
class Order:
    prompt: str = "A song for Zoë and Łukasz"
    tags: tuple[str, ...] = ("pop", "romantic")


class Site(socketserver.ThreadingTCPServer):
    """A web server that answers every request with what `say(connection)` writes, byte by byte as the test wants."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self) -> None:
        self.say: Callable[[socket.socket], None] = lambda connection: None
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def answers(self, status: int, body: object = b"", **headers: str) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.say = lambda connection: connection.sendall(reply(status, content, **headers))


class _Handler(socketserver.StreamRequestHandler):
    server: Site

    def handle(self) -> None:
        first = self.rfile.readline().decode().strip()
        headers = {}
        while line := self.rfile.readline().decode().strip():
            name, _, value = line.partition(": ")
            headers[name.lower()] = value
        body = self.rfile.read(int(headers.get("content-length", "0")))
        self.server.requests.append((first, headers, body))
        try:
            self.server.say(self.connection)
        except OSError:
            pass  # the client has gone, as it should in the tests of its deadline


def reply(status: int, body: bytes, **headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", "Connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


@pytest.fixture
def site() -> Iterator[Site]:
    with Site() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def service(site: Site) -> SongService:
    return SongService(f"{site.url}/v1/", KEY, 5)


def impatient(site: Site) -> SongService:
    return SongService(f"{site.url}/v1", KEY, 0.3)


# --- submit ---


def test_an_order_is_sent_as_the_service_documents_it(site: Site, service: SongService) -> None:
    site.answers(200, {"task_id": "0a1b-2c"})
    answer = service.submit(Order(), WEBHOOK)
    assert answer == Answer(Meaning.ACCEPTED, "0a1b-2c", 200, "")
    [(first, headers, body)] = site.requests
    assert first == "POST /v1/generations/v3 HTTP/1.1"
    assert headers["authorization"] == f"Bearer {KEY}"
    assert json.loads(body) == {
        "prompt": "A song for Zoë and Łukasz",
        "tags": ["pop", "romantic"],
        "instrumental": False,
        "output_format": "mp3",
        "align_lyrics": True,
        "webhook_url": WEBHOOK,
    }


def test_without_tags_and_webhook_neither_is_named(site: Site, service: SongService) -> None:
    site.answers(200, {"task_id": "a"})
    service.submit(Order(tags=()))
    assert not {"tags", "webhook_url"} & json.loads(site.requests[0][2]).keys()


DETAIL = {"detail": "something is wrong"}
VALIDATION = {"detail": [{"type": "value_error", "loc": ["body", "prompt"], "msg": "too long", "input": {"tags": ["x"]}}]}
TAGS_LIST = {"detail": [{"type": "value_error", "loc": ["body", "tags", 0], "msg": "not allowed"}]}
GATEWAY = {"type": "about:blank", "title": "Bad gateway", "status": 502, "detail": "origin did not answer"}
TABLE: list[tuple[int, Any, Meaning]] = [
    (200, {"task_id": "abc_DEF-1"}, Meaning.ACCEPTED),
    (201, {"task_id": "abc"}, Meaning.ACCEPTED),
    (200, {"task_id": ""}, Meaning.UNKNOWN),
    (200, {"task_id": 7}, Meaning.UNKNOWN),
    (200, {"task_id": "../../x"}, Meaning.UNKNOWN),
    (200, {"task_id": "x" * 256}, Meaning.UNKNOWN),
    (200, {"id": "abc"}, Meaning.UNKNOWN),
    (200, ["abc"], Meaning.UNKNOWN),
    (200, "abc", Meaning.UNKNOWN),
    (200, b"<html>fine</html>", Meaning.UNKNOWN),
    (200, b"", Meaning.UNKNOWN),
    (204, b"", Meaning.UNKNOWN),
    (301, b"", Meaning.UNKNOWN),
    (307, DETAIL, Meaning.UNKNOWN),
    (400, DETAIL, Meaning.PERMANENT),
    (400, b"", Meaning.PERMANENT),
    (422, VALIDATION, Meaning.PERMANENT),
    (422, b"Invalid tags", Meaning.PERMANENT),
    (422, {"detail": "Invalid tags: very lovely"}, Meaning.TAGS_REFUSED),
    (422, TAGS_LIST, Meaning.TAGS_REFUSED),
    (413, DETAIL, Meaning.PERMANENT),
    (418, b"", Meaning.PERMANENT),
    (401, DETAIL, Meaning.FREE_EVERYONE),
    (402, b"", Meaning.FREE_EVERYONE),
    (403, b"<html>", Meaning.FREE_EVERYONE),
    (429, DETAIL, Meaning.FREE_EVERYONE),
    (404, DETAIL, Meaning.FREE_EVERYONE),
    (405, b"", Meaning.FREE_EVERYONE),
    (408, b"", Meaning.UNKNOWN),
    (409, DETAIL, Meaning.UNKNOWN),
    (500, DETAIL, Meaning.FREE_ROW),
    (502, DETAIL, Meaning.FREE_ROW),
    (503, VALIDATION, Meaning.FREE_ROW),
    (500, {"detail": ""}, Meaning.UNKNOWN),
    (500, {"detail": None}, Meaning.UNKNOWN),
    (500, {"error": "x"}, Meaning.UNKNOWN),
    (500, b"Internal Server Error", Meaning.UNKNOWN),
    (502, b"<html>", Meaning.UNKNOWN),
    (502, GATEWAY, Meaning.UNKNOWN),
    (503, b"", Meaning.UNKNOWN),
    (504, b"[]", Meaning.UNKNOWN),
    (600, b"", Meaning.UNKNOWN),
]


@pytest.mark.parametrize(("status", "body", "meaning"), TABLE)
def test_each_answer_has_its_meaning(status: int, body: Any, meaning: Meaning) -> None:
    answer = classify_submit(status, body if isinstance(body, bytes) else json.dumps(body).encode())
    assert (answer.meaning, answer.http_status) == (meaning, status)
    assert (answer.task_id is not None) == (meaning is Meaning.ACCEPTED)


@pytest.mark.parametrize(("status", "body"), [(s, b) for s, b, _ in TABLE if 200 <= s < 600 and s not in (204,)])
def test_the_same_meaning_comes_over_http(site: Site, service: SongService, status: int, body: Any) -> None:
    site.answers(status, body)
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    assert service.submit(Order()).meaning is classify_submit(status, content).meaning
    assert len(site.requests) == 1


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["detail", "task_id", "loc", "msg"]) | st.text(), inner),
)


@given(st.integers(100, 999), st.binary() | JSON_VALUES.map(lambda value: json.dumps(value).encode()))
def test_no_answer_is_beyond_the_table(status: int, body: bytes) -> None:
    answer = classify_submit(status, body)
    assert isinstance(answer.meaning, Meaning) and len(answer.detail) <= 2000 and "\0" not in answer.detail
    if status >= 500 or status < 200:
        assert answer.meaning in (Meaning.FREE_ROW, Meaning.UNKNOWN)
    read_task(status, body, "cdn.example")


def test_the_reason_is_kept_without_secrets_or_the_repeated_order(site: Site, service: SongService) -> None:
    site.answers(400, {"detail": f"bad key {KEY} for {WEBHOOK}\0 " + "x" * 5000})
    detail = service.submit(Order(), WEBHOOK).detail
    assert detail.startswith("bad key *** for ***") and len(detail) <= 2000 and "\0" not in detail
    site.answers(422, {"detail": [{"loc": ["body", "prompt"], "msg": "too long", "input": "A song for Zoë"}]})
    assert service.submit(Order()).detail == "body.prompt: too long"


def test_a_redirect_is_not_followed(site: Site, service: SongService) -> None:
    site.answers(307, b"", Location=f"{site.url}/elsewhere")
    assert service.submit(Order()).meaning is Meaning.UNKNOWN
    assert len(site.requests) == 1


def test_a_refused_connection_is_free() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        answer = SongService(f"http://127.0.0.1:{port}/v1", KEY, 1).submit(Order())
    assert answer.meaning is Meaning.FREE_EVERYONE and answer.http_status is None


def test_a_host_without_address_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_address(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", no_address)
    assert SongService("http://no-such-host.invalid/v1", KEY, 1).submit(Order()).meaning is Meaning.FREE_EVERYONE


def test_a_connection_that_is_not_made_in_time_is_free() -> None:
    with socket.socket() as full, socket.socket() as first, socket.socket() as second:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for filler in (first, second):
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
        time.sleep(0.05)
        answer = SongService(f"http://127.0.0.1:{full.getsockname()[1]}/v1", KEY, 0.2).submit(Order())
    assert answer.meaning is Meaning.FREE_EVERYONE
    assert "ConnectTimeout" in answer.detail


def test_a_tls_handshake_that_fails_is_free_as_nothing_was_sent(site: Site) -> None:
    site.say = lambda connection: connection.sendall(b"this is no TLS at all")
    answer = SongService(site.url.replace("http:", "https:") + "/v1", KEY, 1).submit(Order())
    assert answer.meaning is Meaning.FREE_EVERYONE


def test_a_key_or_address_that_cannot_be_sent_is_free(site: Site) -> None:
    assert SongService(f"{site.url}/v1", "bad\nkey", 1).submit(Order()).meaning is Meaning.FREE_EVERYONE
    assert SongService("nonsense", KEY, 1).submit(Order()).meaning is Meaning.FREE_EVERYONE
    assert site.requests == []


def test_an_order_does_not_leave_after_the_lease(site: Site, service: SongService) -> None:
    site.answers(200, {"task_id": "abc"})
    assert service.submit(Order(), send_within=-1).meaning is Meaning.FREE_EVERYONE
    assert site.requests == []
    assert service.submit(Order(), send_within=5).meaning is Meaning.ACCEPTED


def test_a_handshake_that_outlasts_the_lease_sends_nothing(site: Site, service: SongService) -> None:
    with guarded_session(5, send_within=0.1) as (session, guard):
        time.sleep(0.15)
        with pytest.raises(requests.ConnectTimeout):
            session.get(site.url, timeout=5)
        assert guard.sent is False
    assert site.requests == []


def test_closed_without_an_answer_is_unknown(site: Site, service: SongService) -> None:
    site.say = lambda connection: None
    answer = service.submit(Order())
    assert answer.meaning is Meaning.UNKNOWN and answer.http_status is None
    assert len(site.requests) == 1


def test_reset_without_an_answer_is_unknown(site: Site, service: SongService) -> None:
    def reset(connection: socket.socket) -> None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        connection.close()

    site.say = reset
    assert service.submit(Order()).meaning is Meaning.UNKNOWN


def test_silence_after_the_order_is_unknown(site: Site) -> None:
    site.say = lambda connection: time.sleep(0.6)
    assert impatient(site).submit(Order()).meaning is Meaning.UNKNOWN


def test_a_half_answer_is_unknown(site: Site, service: SongService) -> None:
    site.say = lambda connection: connection.sendall(reply(200, b'{"task_id": "abc"}')[:-3])
    answer = service.submit(Order())
    assert (answer.meaning, answer.task_id, answer.http_status) == (Meaning.UNKNOWN, None, 200)


def test_the_cause_tells_free_from_unknown_where_requests_does_not() -> None:
    pool: Any = None
    free = [ConnectTimeoutError("x"), NewConnectionError(pool, "refused")]
    for reason in free:
        assert classify_exception(requests.ConnectionError(MaxRetryError(pool, "/", reason))).meaning is Meaning.FREE_EVERYONE
    assert classify_exception(requests.ConnectTimeout()).meaning is Meaning.FREE_EVERYONE
    closed = requests.ConnectionError(ProtocolError("Connection aborted.", ConnectionResetError()))
    for unknown in (
        closed,
        requests.ReadTimeout(),
        requests.exceptions.SSLError(),
        requests.ConnectionError(),
        OSError(),
    ):
        assert classify_exception(unknown).meaning is Meaning.UNKNOWN
        assert classify_exception(unknown, sent=False).meaning is Meaning.FREE_EVERYONE


@pytest.mark.parametrize("part", ["head", "body"])
def test_dripping_cannot_stretch_the_deadline(site: Site, part: str) -> None:
    def drip(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 X\r\n" if part == "head" else reply(200, bytes(1000))[:-1000])
        for _ in range(100):
            connection.sendall(b"x")
            time.sleep(0.05)

    site.say = drip
    started = time.monotonic()
    assert impatient(site).submit(Order()).meaning is Meaning.UNKNOWN
    assert impatient(site).fetch("abc").reachable is False
    assert time.monotonic() - started < 3  # each call may take 0.6 s; the drip would last 5


def test_an_endless_answer_is_not_read_to_its_end(site: Site, service: SongService) -> None:
    sent = []

    def pour(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 X\r\nConnection: close\r\n\r\n")
        for _ in range(1000):
            connection.sendall(b" " * 65536)
            sent.append(65536)

    site.say = pour
    assert service.submit(Order()).meaning is Meaning.UNKNOWN
    assert service.balance() is None
    assert sum(sent) < 2 * 16 * 1024 * 1024


# --- fetch ---

TASK = {
    "id": "abc",
    "status": "SUCCESS",
    "alignment_status": "SUCCESS",
    "song_paths": ["https://cdn.example/audio_abc_0.mp3"],
    "error_message": None,
    "lyrics": "[Verse]\nZoë and Łukasz",
    "word_aligned_lyrics": [
        {"word": "Zoë ", "start": 0.5, "end": 1},
        {"word": "and\n", "start_time": 1, "end_time": 1.5},
    ],
}


def test_a_finished_task_is_read_whole(site: Site, service: SongService) -> None:
    site.answers(200, TASK)
    task = service.fetch("abc")
    assert (task.reachable, task.known, task.state, task.alignment) == (True, True, "success", "done")
    assert task.song_url == "https://cdn.example/audio_abc_0.mp3"
    assert task.lyrics == "[Verse]\nZoë and Łukasz" and task.error_message is None
    assert task.word_timing == [
        {"word": "Zoë ", "start": 0.5, "end": 1.0},
        {"word": "and\n", "start": 1.0, "end": 1.5},
    ]
    assert task.raw == TASK
    first, headers, _ = site.requests[0]
    assert first == "GET /v1/generations/abc HTTP/1.1" and headers["authorization"] == f"Bearer {KEY}"


def task_of(**changes: Any) -> Any:
    return read_task(200, json.dumps(TASK | changes).encode(), "cdn.example")


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("SUCCESS", "success"), ("FAILURE", "failure"), ("SAVING", "working"), ("RECEIVED", "working"),
        ("success", "working"), ("failure", "working"), ("FAILED", "working"), ("NEVER_HEARD_OF", "working"),
    ],
)  # fmt: skip
def test_only_two_statuses_end_a_task(status: str, state: str) -> None:
    assert task_of(status=status).state == state


@pytest.mark.parametrize(
    ("status", "body", "reachable", "known"),
    [
        (404, {"detail": "no such task"}, True, False),
        (422, VALIDATION, True, False),
        (404, b"<html>", False, False),
        (401, DETAIL, False, False),
        (403, DETAIL, False, False),
        (429, DETAIL, False, False),
        (500, DETAIL, False, False),
        (503, b"", False, False),
        (302, b"", False, False),
        (200, b"<html>fine</html>", False, False),
        (200, [], False, False),
        (200, {}, False, False),
        (200, {"status": 7}, False, False),
        (200, "GENERATING", True, True),
    ],
)
def test_only_the_services_own_word_counts_as_an_answer(
    site: Site, service: SongService, status: int, body: Any, reachable: bool, known: bool
) -> None:
    site.answers(status, body)
    task = service.fetch("abc")
    assert (task.reachable, task.known, task.state) == (reachable, known, "working")


def test_no_connection_is_no_answer_about_a_task() -> None:
    assert SongService("http://127.0.0.1:9/v1", KEY, 1).fetch("abc").reachable is False


def test_a_task_id_cannot_reach_another_path(site: Site, service: SongService) -> None:
    site.answers(200, TASK)
    service.fetch("../credits/balance?x=1")
    assert site.requests[0][0] == "GET /v1/generations/..%2Fcredits%2Fbalance%3Fx%3D1 HTTP/1.1"


@pytest.mark.parametrize(
    ("paths", "url"),
    [
        (["/songs/a.mp3"], "https://cdn.example/songs/a.mp3"),
        (["a.mp3"], "https://cdn.example/a.mp3"),
        (["", None, "https://x.example/a.mp3"], "https://x.example/a.mp3"),
        ("https://x.example/a.mp3", "https://x.example/a.mp3"),
        ([], None), (None, None), ({}, None), ([7], None), (["javascript:alert(1)"], None), (["https://"], None),
        (["https://x.example/a b"], None), (["file:///etc/passwd"], None), (["http://[broken"], None),
    ],
)  # fmt: skip
def test_a_songs_address_is_made_whole_or_none(paths: Any, url: str | None) -> None:
    assert task_of(song_paths=paths).song_url == url


def test_a_relative_song_lies_on_the_given_host(site: Site) -> None:
    site.answers(200, TASK | {"song_paths": ["a.mp3"]})
    for host, url in (("http://127.0.0.1:9000", "http://127.0.0.1:9000/a.mp3"), ("*.example", None)):
        assert SongService(f"{site.url}/v1", KEY, 5, song_host=host).fetch("abc").song_url == url


@pytest.mark.parametrize(
    "junk",
    [
        None, [], {}, "x", [None], [{"word": "a"}], [{"word": "a", "start": -1, "end": 2}],
        [{"word": "a", "start": 3, "end": 2}], [{"word": "a", "start": True, "end": 2}],
        [{"word": "a", "start": "0", "end": "1"}], [{"word": " ", "start": 0, "end": 1}],
        [{"word": 5, "start": 0, "end": 1}], [{"word": "a", "start": 0, "end": 99999}],
        [{"word": "a", "start": float("nan"), "end": float("inf")}],
    ],
)  # fmt: skip
def test_word_timing_that_makes_no_sense_is_none(junk: Any) -> None:
    assert task_of(word_aligned_lyrics=junk).word_timing is None


def test_one_bad_word_does_not_cost_the_others() -> None:
    words = [
        {"word": "b", "start": 2, "end": 3},
        {"word": "x", "start": None, "end": 1},
        {"word": "a", "start": 0, "end": 1},
    ]
    timing = task_of(word_aligned_lyrics=words).word_timing
    assert timing is not None and [word["word"] for word in timing] == ["a", "b"]


@pytest.mark.parametrize(
    ("value", "alignment"),
    [(None, "none"), ("REQUESTED", "working"), ("ALIGNING", "working"), ("SUCCESS", "done"), ("FAILURE", "failed")],
)
def test_alignment_states(value: str | None, alignment: str) -> None:
    assert task_of(alignment_status=value).alignment == alignment


def test_the_stored_answer_is_fit_for_a_database() -> None:
    body = b'{"status": "SUCCESS", "lyrics": "a\\u0000b\\ud800c", "x": NaN, "y": 1e999, "k\\u0000": [Infinity]}'
    task = read_task(200, body, "cdn.example")
    assert task.raw == {"status": "SUCCESS", "lyrics": "abc", "x": None, "y": None, "k": [None]}
    assert task.lyrics == "abc"
    json.dumps(task.raw, allow_nan=False, ensure_ascii=False).encode()


def test_a_huge_answer_is_cut_down_to_its_small_parts() -> None:
    task = task_of(junk="x" * 500_000, many={str(n): n for n in range(100_000)})
    assert task.raw["truncated"] is True and task.raw["lyrics"] == TASK["lyrics"] and "junk" not in task.raw
    assert len(json.dumps(task.raw)) <= 256 * 1024


def test_bottomless_json_is_no_answer() -> None:
    assert read_task(200, b"[" * 500_000, "cdn.example").reachable is False
    deep = read_task(200, b'{"status": "SAVING", "x": ' + b"[" * 300 + b"]" * 300 + b"}", "cdn.example")
    assert deep.known and len(json.dumps(deep.raw)) < 100


# --- hints and balance ---


@pytest.mark.parametrize(
    ("body", "hint"),
    [
        ({"task_id": "abc", "status": "SUCCESS", "song_paths": []}, Hint("abc", "SUCCESS")),
        ({"task_id": "abc", "status": "FAILURE", "error_message": "no"}, Hint("abc", "FAILURE")),
        ({"data": {"task_id": "abc", "status": "SUCCESS"}}, Hint("abc", "SUCCESS")),
        ([{"event": "x"}, {"taskId": "abc"}], Hint("abc", None)),
        ({"id": "abc", "status": "SUCCESS"}, Hint("abc", "SUCCESS")),
        ({"id": "delivery-1"}, Hint()),
        ({"task_id": "a/../b", "status": "SUCCESS"}, Hint(None, "SUCCESS")),
        ({"task_id": 5, "status": ["x"]}, Hint()),
        ("SUCCESS", Hint(None, "SUCCESS")),
        ("not a status!", Hint()),
        (None, Hint()), (7, Hint()), ([], Hint()), (b"", Hint()), (b"\xff\xfe\x00", Hint()), (b"task_id=abc", Hint()),
        (b"[" * 60_000, Hint()), (b'{"task_id": "abc", "x": "' + b"y" * 70_000 + b'"}', Hint()),
    ],
)  # fmt: skip
def test_a_hint_is_found_in_any_shape(body: Any, hint: Hint) -> None:
    assert read_hint(body if isinstance(body, bytes) else json.dumps(body).encode()) == hint


@given(st.binary())
def test_reading_a_hint_never_raises(body: bytes) -> None:
    assert dataclasses.astuple(read_hint(body))[0] is None or read_hint(body).task_id


@pytest.mark.parametrize(
    ("status", "body", "credits"),
    [
        (200, {"num_credits": 1500, "num_credits_payg": 200}, 1700),
        (200, {"num_credits": 0, "num_credits_payg": 0}, 0),
        (200, {"num_credits": 1500, "num_credits_payg": None}, 1500),
        (200, {"num_credits": 1500.0}, 1500),
        (200, {"num_credits_payg": 0}, None),  # none of one kind, and not a word of the other
        (200, {"num_credits": 0, "num_credits_payg": None}, None),
        (200, {"num_credits": "1500"}, None),
        (200, {"num_credits": True}, None),
        (200, {}, None),
        (200, b"<html>", None),
        (200, {"num_credits": None}, None),
        (401, {"num_credits": 5}, None),
        (500, b"", None),
    ],
)
def test_the_balance_is_the_sum_or_unknown(
    site: Site, service: SongService, status: int, body: Any, credits: int | None
) -> None:
    site.answers(status, body)
    assert service.balance() == credits
    assert site.requests[0][0] == "GET /v1/credits/balance HTTP/1.1"


# --- around the calls ---


def test_each_call_is_one_log_line_without_secrets(site: Site, service: SongService, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "petsong.sonauto")
    site.answers(200, {"task_id": "task-1", "status": "SAVING"})
    service.submit(Order(), WEBHOOK)
    service.fetch("task-1")
    lines = [record for record in caplog.records if record.name == "petsong.sonauto"]
    facts = [(r.method, r.path, r.status, r.task_id) for r in lines]  # type: ignore[attr-defined]
    assert facts == [
        ("POST", "/generations/v3", "200", "task-1"),
        ("GET", "/generations/task-1", "200", "task-1"),
    ]
    assert not any(word in caplog.text for word in (KEY, "Zoë", "token123"))


def test_environment_proxies_and_netrc_are_not_used(
    site: Site, service: SongService, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login other password other")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    site.answers(200, {"num_credits": 1})
    assert service.balance() == 1
    assert site.requests[0][1]["authorization"] == f"Bearer {KEY}"
