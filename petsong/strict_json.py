"""JSON from outside: no duplicate keys, no NaN, no endless nesting."""
import json
import re
from typing import Any

MAX_DEPTH = 32
_STRINGS = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_BRACKETS = re.compile(rb"[\[\]{}]")


class BadJson(ValueError):
    """A sentence for whoever sent it."""


def parse(body: bytes) -> Any:
    """Raises BadJson."""
    if _depth(body) > MAX_DEPTH:
        raise BadJson(f"The body is nested more than {MAX_DEPTH} levels deep.")
    try:
        return json.loads(body.decode("utf-8"), object_pairs_hook=_no_duplicates, parse_constant=_no_constant)
    except (UnicodeDecodeError, RecursionError) as error:
        raise BadJson("The body is not JSON in UTF-8.") from error
    except BadJson:
        raise
    except ValueError as error:
        raise BadJson("The body is not valid JSON.") from error


def _depth(body: bytes) -> int:
    """Deepest nesting, before anything is parsed; only where there are brackets enough to matter."""
    if body.count(b"[") + body.count(b"{") <= MAX_DEPTH:
        return 0
    deepest = level = 0
    for bracket in _BRACKETS.findall(_STRINGS.sub(b"", body)):
        level += 1 if bracket in b"[{" else -1
        deepest = max(deepest, level)
    return deepest


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise BadJson("The body has the same key twice.")
    return found


def _no_constant(name: str) -> Any:
    raise BadJson(f"{name} is not JSON.")
