"""How a form may arrive: its length, its type, its JSON; and HTTP's own framing over a real server."""
import http.client
import json
import socket
from collections.abc import Callable, Iterator

import pytest
import requests

from api_kit import PHOTO_MESSAGE, POST, Api, Gunicorn, check_error, form, on_sqlite

pytest_plugins = "api_fixtures"

MB = 1024 * 1024
SENTENCE = "The body"


# ---- type

@on_sqlite
@pytest.mark.parametrize("content_type", [
    "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "", "application/jsonp", "text/json",
])
def test_any_other_content_type_is_415(api: Api, content_type: str) -> None:
    check_error(api.post_raw(json.dumps(form()).encode(), content_type), 415, "unsupported_media_type")
    assert api.rows() == []


@on_sqlite
@pytest.mark.parametrize("content_type", ["application/json", "application/json; charset=utf-8", "Application/JSON;x=y"])
def test_json_is_taken_whatever_its_parameters(api: Api, content_type: str) -> None:
    assert api.post_raw(json.dumps(form()).encode(), content_type).status_code == 200


# ---- JSON

@on_sqlite
@pytest.mark.parametrize("body", [
    b"", b"{", b"null x", b'{"pet_name": "Rex", "pet_name": "Rex"}', b'{"pet_name": NaN}', b'{"x": Infinity}',
    b'{"x": -Infinity}',
    b"[" * 100_000, b'{"a":' * 100_000, b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    b'{"x": ' + b"7" * 100_000 + b"}", b"\xff\xfe", "{}".encode("utf-16"), b"\xef\xbb\xbf{}", b'{"x": "\xed\xa0\x80"}',
    b"{'a': 1}",
], ids=range(16))
def test_bad_json_is_400_in_the_one_shape(api: Api, body: bytes) -> None:
    answer = check_error(api.post_raw(body), 400, "validation_failed")
    assert answer["fields"] == {}
    assert api.rows() == []


@on_sqlite
@pytest.mark.parametrize("body", [b"[]", b'"text"', b"3", b"null", b"true", b"[{}]"])
def test_json_that_is_no_object_is_400(api: Api, body: bytes) -> None:
    check_error(api.post_raw(body), 400, "validation_failed", "The body must be a JSON object.")


@on_sqlite
@pytest.mark.parametrize("value", ["1e999", "-0", "123456789012345678901234567890", '"\\ud800"', "[[[]]]", '{"a": {}}', "1.0"])
def test_odd_values_in_any_field_are_never_500(api: Api, value: str) -> None:
    for name in form(cookie_id="", pet_name_said="", owner_name_said=""):
        text = json.dumps(form(**{name: "@"})).replace('"@"', value)
        answer = api.post_raw(text.encode())
        if not (name == "cookie_id" and answer.status_code == 200):  # a string that is no cookie means a new one
            assert check_error(answer, 400, answer.get_json()["code"])["fields"].keys() == {name}


def test_gzip_is_not_unpacked(api: Api) -> None:
    check_error(api.post_raw(b"\x1f\x8b\x08\x00", **{"Content-Encoding": "gzip"}), 400, "validation_failed")


# ---- length

def test_the_length_is_judged_before_type_and_json(api: Api) -> None:
    body = check_error(api.post_raw(b"x" * (7 * MB + 1), "text/plain"), 413, "too_large", PHOTO_MESSAGE)
    assert body["error"] == "Invalid image format"


def test_a_body_of_exactly_seven_megabytes_is_read(api: Api) -> None:
    text = json.dumps(form(note="")).encode()
    whole = text.replace(b'"note": ""', b'"note": "' + b"x" * (7 * MB - len(text)) + b'"')
    assert len(whole) == 7 * MB
    assert api.post_raw(whole).status_code == 200
    check_error(api.post_raw(whole + b" "), 413, "too_large")


def test_the_other_addresses_take_no_forms(api: Api) -> None:
    api.client.get("/api/availability", data=b"x" * MB)  # nobody reads it
    assert api.client.post("/api/webhook", data=b"x" * MB).status_code == 404


@pytest.fixture
def server(start_gunicorn: Callable[..., Gunicorn]) -> Iterator[Gunicorn]:
    yield start_gunicorn()


def in_pieces(size: int) -> Iterator[bytes]:
    for _ in range(size // (64 * 1024)):
        yield b"x" * (64 * 1024)


@on_sqlite
def test_framing_over_a_real_server(server: Gunicorn) -> None:
    """One server for them all: it takes a second to start."""
    _declared_length_is_refused_before_the_body(server)
    _a_declared_body_that_is_sent_all_the_same_gets_its_answer(server)
    _a_streamed_body_is_cut_at_the_limit(server)
    _a_chunked_form_is_taken(server)
    _a_body_shorter_than_declared_is_no_500(server)
    _head_has_the_headers_and_no_body(server)
    _a_connection_is_kept_for_the_next_request(server)
    assert not [line for line in server.lines() if "Traceback" in line]


def _declared_length_is_refused_before_the_body(server: Gunicorn) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    connection.putrequest("POST", POST)
    connection.putheader("Content-Type", "application/json")
    connection.putheader("Content-Length", str(100 * MB))
    connection.endheaders()  # and not one byte of the body
    answer = connection.getresponse()
    assert (answer.status, json.loads(answer.read())["code"]) == (413, "too_large")
    connection.close()


def _a_declared_body_that_is_sent_all_the_same_gets_its_answer(server: Gunicorn) -> None:
    for size in (7 * MB + 1, 30 * MB):
        answer = requests.post(server.address + POST, data=b"x" * size, headers={"Content-Type": "application/json"},
            timeout=10)
        check_error(answer, 413, "too_large", PHOTO_MESSAGE)


def _a_streamed_body_is_cut_at_the_limit(server: Gunicorn) -> None:
    headers = {"Content-Type": "application/json"}
    for size in (7 * MB + 64 * 1024, 30 * MB):
        answer = requests.post(server.address + POST, data=in_pieces(size), headers=headers, timeout=10)
        check_error(answer, 413, "too_large", PHOTO_MESSAGE)
    answer = requests.post(server.address + POST, data=in_pieces(7 * MB), headers=headers, timeout=10)
    check_error(answer, 400, "validation_failed", "The body is not valid JSON.")


def _a_chunked_form_is_taken(server: Gunicorn) -> None:
    text = json.dumps(form()).encode()
    pieces = (text[at:at + 100] for at in range(0, len(text), 100))
    answer = requests.post(server.address + POST, data=pieces, headers={"Content-Type": "application/json"}, timeout=10)
    assert answer.status_code == 200, answer.text


def _a_body_shorter_than_declared_is_no_500(server: Gunicorn) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as raw:
        head = f"POST {POST} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 5000\r\n\r\n"
        raw.sendall(head.encode() + b'{"pet_name": ')
        raw.shutdown(socket.SHUT_WR)
        assert raw.recv(100).startswith((b"HTTP/1.1 400", b"HTTP/1.0 400"))


def _head_has_the_headers_and_no_body(server: Gunicorn) -> None:
    for path in ("/", "/terms", "/api/availability", "/api/health/live", "/api/nothing", "/nothing"):
        whole = requests.get(server.address + path, timeout=10)
        head = requests.head(server.address + path, timeout=10)
        assert (head.status_code, head.content) == (whole.status_code, b"")
        assert head.headers["Content-Type"] == whole.headers["Content-Type"]
        assert head.headers["Content-Length"] == str(len(whole.content))


def _a_connection_is_kept_for_the_next_request(server: Gunicorn) -> None:
    with requests.Session() as session:
        for _ in range(3):
            check_error(session.post(server.address + POST, data=b"{}", timeout=10), 415, "unsupported_media_type")
            assert session.get(f"{server.address}/api/availability", timeout=10).status_code == 200
