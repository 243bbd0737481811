"""JSON from outside: no duplicate keys, no NaN, no endless nesting."""
import json
import re
from typing import Any

MAX_DEPTH = 32
MAX_CONTAINERS = 1000
MAX_VALUES = 10_000  # a form has about ten, and a photo in base64 has no comma
# One that nobody closed counts to the end, and nothing is ever tried twice (`*+`): 7 MB of \" would else take hours.
_STRINGS = re.compile(rb'"(?:[^"\\]++|\\.?)*+"?', re.DOTALL)
_BRACKETS = re.compile(rb"[\[\]{}]")


class BadJson(ValueError):
    """A sentence for whoever sent it."""


def parse(body: bytes) -> Any:
    """Raises BadJson."""
    _check_shape(body)
    try:
        return json.loads(body.decode("utf-8"), object_pairs_hook=_no_duplicates, parse_constant=_no_constant)
    except (UnicodeDecodeError, RecursionError) as error:
        raise BadJson("The body is not JSON in UTF-8.") from error
    except BadJson:
        raise
    except ValueError as error:
        raise BadJson("The body is not valid JSON.") from error


def _check_shape(body: bytes) -> None:
    """Depth, and number of values, lists and objects, before anything is parsed; depth only where there are brackets enough."""
    if body.count(b",") > MAX_VALUES:
        raise BadJson(f"The body holds more than {MAX_VALUES} values.")
    if body.count(b"[") + body.count(b"{") <= MAX_DEPTH:
        return
    outside = _STRINGS.sub(b"", body)
    if outside.count(b"[") + outside.count(b"{") > MAX_CONTAINERS:
        raise BadJson(f"The body holds more than {MAX_CONTAINERS} lists and objects.")
    level = 0
    for bracket in _BRACKETS.findall(outside):
        level += 1 if bracket in b"[{" else -1
        if level > MAX_DEPTH:
            raise BadJson(f"The body is nested more than {MAX_DEPTH} levels deep.")


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise BadJson("The body has the same key twice.")
    return found


def _no_constant(name: str) -> Any:
    raise BadJson(f"{name} is not JSON.")
