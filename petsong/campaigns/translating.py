"""A campaign in another language: the words of its file (such as de.toml) laid over those of campaign.toml.

Only words are translated: tags, prompt, limits, artwork and opening times are the same in every language.
"""

from typing import Any

LINES = ("title", "description", "locale", "terms", "privacy")
TABLES = ("copy", "fail_messages", "pet_types", "vibes")  # the same keys as in campaign.toml; a line for each
OPTIONAL = ("site_name", "opening", "banners")

Problem = tuple[str, str, str]  # key, what is wrong, a right example


def problem_of(document: dict[str, Any], words: dict[str, Any]) -> Problem | None:
    """What is missing in `words`, or too much. What they say is checked with the whole campaign."""
    for key in words:
        if key not in (*LINES, *TABLES, *OPTIONAL):
            return key, "is not a text of a campaign", "only texts: the rest stands in campaign.toml"
    for key in LINES:
        if key not in words:
            return key, "is missing", f'{key} = "…", as in campaign.toml'
    for table in TABLES:
        given, wanted = words.get(table, {}), document.get(table, {})
        if not isinstance(given, dict) or set(given) != set(wanted):
            example = f'[{table}] with {next(iter(wanted), "key")} = "…"'
            return table, f"needs these lines: {', '.join(wanted)}", example
    opening = words.get("opening", {})
    needed = {"message"} & set(document.get("opening", {}))  # one too many is no fault: who opens a campaign edits one file
    if not isinstance(opening, dict) or not needed <= set(opening) <= {"message"}:
        return "opening", "needs the message of campaign.toml, and that alone", 'message = "…" below [opening]'
    banners = document.get("banners", [])
    if len(words.get("banners", banners)) != len(banners):
        return "banners", "needs as many as in campaign.toml, or none", '[[banners]] with text = "…" for each'
    return None


def translated(document: dict[str, Any], words: dict[str, Any]) -> dict[str, Any]:
    """The whole document in the language of `words`, which have no problem."""
    whole = {**document, **{key: words[key] for key in (*LINES, "site_name", "copy", "fail_messages") if key in words}}
    for table in ("pet_types", "vibes"):
        whole[table] = {key: {**document[table][key], "label": words[table][key]} for key in document[table]}
    if "opening" in words:
        whole["opening"] = {**document.get("opening", {}), **words["opening"]}
    if "banners" in words:
        whole["banners"] = [{**old, **new} for old, new in zip(document["banners"], words["banners"], strict=True)]
    return whole
