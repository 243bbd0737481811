"""What the service takes as an order: the v3 fields, the closed tag vocabulary and the illegal combinations."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

VOCABULARY = frozenset(Path(__file__).with_name("vocabulary.txt").read_text(encoding="utf-8").split("\n")) - {""}
FORMATS = ("ogg", "mp3", "flac", "wav", "m4a")
BIT_RATES = (128, 192, 256, 320)
BIT_RATE_FORMATS = ("mp3", "m4a")
V2_ONLY = ("seed", "bpm", "balance_strength", "num_songs")

Order = dict[str, object]
Problem = dict[str, object]


@dataclass
class Refused(Exception):
    """The order is not taken: an HTTP status and the `detail` of its JSON body (a sentence or a list of problems)."""

    status: int
    detail: str | list[Problem]
    faults: tuple[str, ...] = ()  # that refuse it; none when it is refused rightly


def parse(body: bytes) -> Order:
    """The order in a request's body. Raises Refused(422) when it is not a JSON object."""
    try:
        order = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Refused(422, [_problem("json_invalid", [], f"JSON decode error: {error}")]) from error
    if not isinstance(order, dict):
        raise Refused(422, [_problem("model_attributes_type", [], "Input should be a valid dictionary")])
    return {name: value for name, value in order.items() if value is not None}


def check(order: Order) -> None:
    """Raises Refused(422) with every problem of types and combinations, or else with the tags that do not exist."""
    problems = [*_unknown_fields(order), *_wrong_types(order)]
    if not problems:
        problems = [problem for rule in RULES if (problem := rule(order)) is not None]
    if problems:
        raise Refused(422, problems)
    asked = [*_list(order, "tags"), *_list(order, "negative_tags")]
    unknown = [str(tag) for tag in asked if tag not in VOCABULARY]
    if unknown:
        raise Refused(422, f"Invalid tags: {', '.join(unknown)}")


def _problem(kind: str, where: list[str], message: str) -> Problem:
    return {"type": kind, "loc": ["body", *where], "msg": message}


def _list(order: Order, name: str) -> list[object]:
    found = order.get(name)
    return found if isinstance(found, list) else []


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_flag(value: object) -> bool:
    return isinstance(value, bool)


def _is_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(entry, str) for entry in value)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_web_address(value: object) -> bool:
    if not isinstance(value, str):
        return False
    try:
        parts = urlsplit(value)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname)


def _is_seconds_pair(value: object) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(type(entry) is int for entry in value)


FIELDS: dict[str, tuple[Callable[[object], bool], str]] = {
    "prompt": (_is_text, "a text"),
    "lyrics": (_is_text, "a text"),
    "tags": (_is_texts, "a list of texts"),
    "negative_tags": (_is_texts, "a list of texts"),
    "instrumental": (_is_flag, "true or false"),
    "align_lyrics": (_is_flag, "true or false"),
    "enable_streaming": (_is_flag, "true or false"),
    "stream_format": (_is_text, "a text"),
    "output_format": (lambda value: value in FORMATS, f"one of {', '.join(FORMATS)}"),
    "output_bit_rate": (lambda value: value in BIT_RATES, f"one of {', '.join(map(str, BIT_RATES))}"),
    "webhook_url": (_is_web_address, "an http or https address"),
    "length_range": (_is_seconds_pair, "two whole numbers of seconds"),
    "prompt_strength": (_is_number, "a number"),
    "style_scale": (_is_number, "a number"),
}


def _unknown_fields(order: Order) -> list[Problem]:
    return [
        _problem("extra_forbidden", [name], "Only for v2 generations" if name in V2_ONLY else "No such field")
        for name in order
        if name not in FIELDS
    ]


def _wrong_types(order: Order) -> list[Problem]:
    return [
        _problem("value_error", [name], f"Input should be {wanted}")
        for name, (fits, wanted) in FIELDS.items()
        if name in order and not fits(order[name])
    ]


def _something_to_sing(order: Order) -> Problem | None:
    if any(order.get(name) for name in ("prompt", "tags", "lyrics")):
        return None
    return _problem("missing", ["prompt"], "One of prompt, tags and lyrics is required")


def _not_all_three(order: Order) -> Problem | None:
    if not all(order.get(name) for name in ("prompt", "tags", "lyrics")):
        return None
    return _problem("value_error", [], "prompt, tags and lyrics cannot be given together")


def _bit_rate_has_its_format(order: Order) -> Problem | None:
    if "output_bit_rate" not in order or order.get("output_format", "ogg") in BIT_RATE_FORMATS:
        return None
    return _problem("value_error", ["output_bit_rate"], "output_bit_rate goes with output_format mp3 or m4a only")


def _alignment_has_words(order: Order) -> Problem | None:
    if not (order.get("align_lyrics") and order.get("instrumental")):
        return None
    return _problem("value_error", ["align_lyrics"], "An instrumental song has no lyrics to align")


def _length_range_is_possible(order: Order) -> Problem | None:
    low_high = _list(order, "length_range")
    if not low_high:
        return None
    low, high = (int(str(entry)) for entry in low_high)
    if low % 30 or high % 30 or not 0 <= low <= 270 or not 30 <= high <= 300 or low >= high:
        message = "Must be [min, max] in multiples of 30, min 0 to 270, max 30 to 300, min below max"
        return _problem("value_error", ["length_range"], message)
    return None


def _one_strength_leads(order: Order) -> Problem | None:
    given = [float(str(order[name])) for name in ("prompt_strength", "style_scale") if name in order]
    if len(given) < 2 or sum(strength > 1.0 for strength in given) == 1:
        return None
    return _problem("value_error", [], "Exactly one of prompt_strength and style_scale must be above 1.0")


RULES: tuple[Callable[[Order], Problem | None], ...] = (
    _something_to_sing,
    _not_all_three,
    _bit_rate_has_its_format,
    _alignment_has_words,
    _length_range_is_possible,
    _one_strength_leads,
)
