"""A song's text → its sections."""
import re
from dataclasses import dataclass

SECTION = re.compile(r"\s*\[([^\[\]\n]{1,60})\]\s*(.*)")


@dataclass(frozen=True)
class Verse:
    label: str  # "" where the song names no section
    text: str  # lines separated by newlines


def split_lyrics(lyrics: str | None) -> list[Verse]:
    """Sections of a song's text by their [Headings]; empty ones are left out."""
    found: list[tuple[str, list[str]]] = [("", [])]
    for line in (lyrics or "").splitlines():
        heading = SECTION.fullmatch(line)
        if heading:
            found.append((heading[1].strip(), [heading[2]] if heading[2] else []))
        else:
            found[-1][1].append(line.strip())
    verses = (Verse(label, "\n".join(lines).strip()) for label, lines in found)
    return [verse for verse in verses if verse.text]
