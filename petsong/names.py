"""Names of people and pets, in any alphabet: what passes, and what the visitor is told about what does not."""
import re
import unicodedata

# Letters that show nothing: a name of these would be an empty place on the page.
_BLANK_LETTERS = frozenset("\u115f\u1160\u3164\uffa0")
_SPACES = re.compile("[ \u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]+")  # Japanese keyboards type \u3000


def clean_name(text: str, *, extra: str = "", least: int = 2, most: int = 100) -> str:
    """NFC, trimmed, spaces collapsed. Raises ValueError with a message for the visitor."""
    name = _SPACES.sub(" ", text).strip(" ")
    if "'" in extra:
        name = name.replace("\u2019", "'")  # which phones type instead
    if len(name) <= 4 * most:  # nothing shrinks to less than a third; megabytes of marks would take hours to put in order
        name = unicodedata.normalize("NFC", name)
    if not least <= len(name) <= most:
        raise ValueError(f"Must be {least} to {most} characters long")
    if not _allowed(name, extra):
        raise ValueError(f"Only letters, spaces and {' '.join(extra)} allowed" if extra else "Only letters and spaces allowed")
    return name


def _allowed(name: str, extra: str) -> bool:
    """Letters, each with its combining marks, spaces, and what the campaign adds; it begins with a letter."""
    base = False
    for character in name:
        kind = unicodedata.category(character)[0]
        if kind == "L" and character not in _BLANK_LETTERS:
            base = True
        elif kind == "M":
            if not base:
                return False
        elif character == " " or character in extra:
            if character == " ":
                base = False
        else:
            return False
    return unicodedata.category(name[0])[0] == "L"
