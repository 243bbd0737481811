"""Times and amounts in an operator's words, for the desk's templates."""
from datetime import UTC, datetime
from typing import Any

from flask import Blueprint

UNITS = ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def span(seconds: float | None) -> str:
    """“2 min 5 s”: the two largest units; a dash where nothing is known."""
    if seconds is None:
        return "–"
    if seconds < 10:
        return f"{max(0.0, seconds):.1f} s"
    left, words = round(seconds), list[str]()
    for size, unit in UNITS:
        if left >= size or words:
            words.append(f"{left // size} {unit}")
            left %= size
        if len(words) == 2:
            break
    return " ".join(word for place, word in enumerate(words) if not place or not word.startswith("0 "))


def ago(moment: datetime | None, now: datetime) -> str:
    return "never" if moment is None else f"{span(max(0, round((now - moment).total_seconds())))} ago"


def stamp(moment: datetime | None) -> str:
    """2027-02-14 18:00 UTC; a dash where there is none."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC" if moment else "–"


def amount(number: float | None) -> str:
    """12,345; a dash where it is unknown."""
    return "unknown" if number is None else f"{number:,.0f}"


def signed(number: int | None) -> str:
    """+1,500, −100 with a real minus, 0."""
    if not number:
        return "–" if number is None else "0"
    return f"{'+' if number > 0 else '−'}{abs(number):,}"


def teach(blueprint: Blueprint) -> None:
    """Make these words known to a blueprint's templates."""
    words: dict[str, Any] = {"span": span, "ago": ago, "stamp": stamp, "amount": amount, "signed": signed}
    blueprint.context_processor(lambda: words)
