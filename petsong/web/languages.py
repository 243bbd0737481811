"""The visitor's language: `?lang=` of the link, else Accept-Language, else the campaign's first.

A choice lives in the link alone (no cookie, nothing stored): addresses of pages made here carry it along. The texts of
a language stand in one file of petsong/translations.
"""
import re
import tomllib
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from flask import has_request_context, request
from markupsafe import Markup, escape

from petsong.campaigns.loader import Campaign, load_campaign

TRANSLATIONS = Path(__file__).resolve().parent.parent / "translations"
SPOKEN = frozenset(path.stem for path in TRANSLATIONS.glob("*.toml"))
PARAMETER = "lang"
FIELD = re.compile(r"\{(\w+)\}")


@lru_cache(maxsize=32)
def texts_in(language: str) -> dict[str, Any]:
    """{section: {key: text}} of a language that a campaign names; its loader has looked for the file."""
    return tomllib.loads((TRANSLATIONS / f"{language}.toml").read_text("utf-8"))


def asked_for(campaign: Campaign) -> str | None:
    """The language that this request's address names, where the campaign speaks it."""
    wanted = request.args.get(PARAMETER)
    return wanted if wanted in campaign.languages else None


def language_for(campaign: Campaign) -> str:
    return asked_for(campaign) or _preferred(campaign.languages) or campaign.languages[0]


def _preferred(spoken: tuple[str, ...]) -> str | None:
    """The browser's favourite of these, whatever its country: English from anywhere is better than a second choice."""
    wished = (language.partition("-")[0].lower() for language, quality in request.accept_languages if quality > 0)
    return next((language for language in wished if language in spoken), None)


def in_language(campaign: Campaign, language: str) -> Campaign:
    """The same campaign with its texts in one of its languages."""
    return load_campaign(campaign.name, language=language)


def carry_choice(_endpoint: str, values: dict[str, Any]) -> None:
    """For url_defaults: links between pages keep the language that was chosen. `lang=None` makes one for everybody."""
    if has_request_context() and request.args.get(PARAMETER) in SPOKEN:
        values.setdefault(PARAMETER, request.args[PARAMETER])


def fill(template: str, **values: object) -> str:
    """One pass of plain replacing: neither a text nor a name reaches Python's format language."""
    return FIELD.sub(lambda field: str(values.get(field[1], field[0])), template)


def fill_marked(template: str, **names: str) -> Markup:
    """As `fill`, with each name in its own writing direction."""
    marked = {name: f"<bdi>{escape(value)}</bdi>" for name, value in names.items()}
    return Markup(fill(str(escape(template)), **marked))  # noqa: S704 - every part was escaped just above


def date_in_words(moment: datetime, texts: dict[str, Any]) -> str:
    """"21 December 2026"."""
    words = texts["language"]
    return fill(words["date"], day=moment.day, month=words["months"][moment.month - 1], year=moment.year)
