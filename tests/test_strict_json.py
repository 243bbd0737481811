"""JSON from outside: what is refused, and that refusing is quick."""
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from petsong.strict_json import MAX_DEPTH, BadJson, parse


@pytest.mark.parametrize("body", [
    b"{}", b'{"a": [1, 2.5, true, null, "x"]}', b'"text"', b"3", '{"n": "Zoë 🐶"}'.encode(), b'{"a":{"b":{"c":[[]]}}}',
    b' {"a" : 1}\n', b'{"a":"\\ud83d\\ude00"}',
])
def test_good_json_is_read_as_the_library_does(body: bytes) -> None:
    assert parse(body) == json.loads(body)


@pytest.mark.parametrize("body", [
    b'{"a": 1, "a": 2}', b'{"x": {"a": 1, "a": 1}}', b'[{"a": 1, "\\u0061": 2}]',  # one key in two spellings
    b'{"a": NaN}', b'{"a": Infinity}', b'[-Infinity]',
    b"", b" ", b"{", b'{"a":}', b'{"a": 1,}', b"{'a': 1}", b'{"a": 1} x', b"undefined", b'{"a": 01}', b'"', b'"\\',
    b'{"a": "\n"}',
    b'\xff\xfe{\x00}\x00', b'{"a": "\xff"}', b'\xef\xbb\xbf{}', '{"a": "ä"}'.encode("latin-1"), '{"a": 1}'.encode("utf-16"),
    b'{"a": "\xed\xa0\x80"}',  # half a character, as no UTF-8 has it
    b"9" * 5000, b'{"a": ' + b"9" * 100_000 + b"}",
])
def test_bad_json_is_refused_with_a_sentence(body: bytes) -> None:
    with pytest.raises(BadJson, match=r"^[A-Z-].*\.$"):
        parse(body)


@pytest.mark.parametrize("body", [
    b"[" * 100_000, b"[" * 100_000 + b"]" * 100_000, b'{"a":' * 100_000, b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    b'{"pet_name": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1),
    b'["\\"", ' + b"[" * 100_000, b"]" * 50 + b"[" * 100_000,
])
def test_deep_nesting_is_refused_before_it_is_parsed(body: bytes) -> None:
    with pytest.raises(BadJson, match="levels deep|more than 1000 lists"):
        parse(body)


def test_brackets_inside_strings_and_side_by_side_are_no_depth() -> None:
    text = json.dumps({"a": "[" * 500 + '\\"{' * 500, "b": [[] for _ in range(500)], "c": "\\", "d": "]["})
    assert parse(text.encode()) == json.loads(text)
    assert parse(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH) is not None


def test_lists_by_the_thousand_are_refused() -> None:
    with pytest.raises(BadJson, match="more than 1000 lists and objects"):
        parse(json.dumps({"a": [[] for _ in range(1000)]}).encode())


def test_values_by_the_ten_thousand_are_refused() -> None:
    with pytest.raises(BadJson, match="more than 10000 values"):
        parse(json.dumps({str(number): 0 for number in range(10_002)}).encode())


@pytest.mark.parametrize("body", [
    b"[" * 40 + b'"' + b'\\"' * 3_500_000, b"[" * 40 + b'"' * 7_000_000, b"[" * 40 + b'"' + b"\\" * 6_999_999,
    b"[" * 40 + b'"' + b"a" * 7_000_000, b"[" * 40 + b'"a' * 3_500_000, b"[]" * 3_500_000, b'{"":' * 1_700_000,
], ids=["escaped quotes", "quotes", "backslashes", "text", "open strings", "pairs", "objects"])
@pytest.mark.timeout(60)  # each takes a fraction of a second; where time grows with the square of the length, hours
def test_the_largest_hostile_body_is_judged_at_once(body: bytes) -> None:
    with pytest.raises(BadJson):
        parse(body)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    try:
        value = parse(body)
    except BadJson:
        return
    assert value == json.loads(body.decode())
