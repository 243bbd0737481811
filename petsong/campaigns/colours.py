"""The colours of a campaign's pages, by their names in [colours], and whether people can read what stands in them."""

# A campaign names those that it wants otherwise.
DEFAULTS = {
    "background": "#fff1ec",  # behind everything
    "glow_one": "#ffd5c8",  # three lights in the corners of the background
    "glow_two": "#ffdbe4",
    "glow_three": "#ffe7c6",
    "paper": "#fffaf7",  # cards
    "tint": "#ffe9e6",  # quiet surfaces on paper
    "ink": "#38091d",  # text
    "soft_ink": "#74394f",  # text of less weight
    "accent": "#c4154b",  # buttons, which carry white text
    "accent_deep": "#950d39",  # links, the focus ring, a button under the finger
    "highlight": "#ff6f70",  # decoration
    "spark": "#f5b95f",  # small bright decoration
    "line": "#ecc6c5",  # between things
    "edge": "#a8707f",  # around what can be filled in or pressed
    "vinyl": "#1b0a13",  # the record
}

TEXT, SHAPE = 4.5, 3.0  # WCAG 2.2 AA: 1.4.3 and 1.4.11
GROUNDS = ("background", "glow_one", "glow_two", "glow_three", "paper", "tint")


def complete(colours: dict[str, str]) -> dict[str, str]:
    """With the defaults of those that are not named. Raises ValueError for an unknown name and for what nobody can read."""
    unknown = sorted(set(colours) - set(DEFAULTS))
    if unknown:
        raise ValueError(f"{unknown[0]!r} is not known")
    whole = {**DEFAULTS, **colours}
    pairs = [(front, ground, TEXT) for front in ("ink", "soft_ink", "accent_deep") for ground in GROUNDS]
    pairs += [("edge", "paper", SHAPE), ("edge", "tint", SHAPE), ("accent", "paper", SHAPE)]
    for front, ground, least in pairs:
        _require(contrast(whole[front], whole[ground]), least, f"{front} on {ground}")
    for ground in ("accent", "accent_deep", "ink"):
        _require(contrast("#ffffff", whole[ground]), TEXT, f"white on {ground}")
    return whole


def _require(found: float, least: float, what: str) -> None:
    if found < least:
        raise ValueError(f"{what} has a contrast of {found:.1f}, and people need {least}")


def contrast(one: str, two: str) -> float:
    """Of two colours "#rrggbb": 1 (the same) to 21 (black and white), as in WCAG 2.2."""
    darker, lighter = sorted((_luminance(one), _luminance(two)))
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: str) -> float:
    parts = (int(colour[at:at + 2], 16) / 255 for at in (1, 3, 5))
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
