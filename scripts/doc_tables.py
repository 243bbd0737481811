"""Write the settings table into README.md, and .env.example: `python -m scripts.doc_tables`; --check only compares.

Both say what petsong.settings.describe() says, so that neither can be forgotten when a setting changes.
"""
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from petsong.settings import describe

ROOT = Path(__file__).resolve().parent.parent
BEGIN, END = "<!-- settings: begin -->", "<!-- settings: end -->"

# The first setting of each group, by which .env.example is divided.
GROUPS = {
    "DATABASE_URL": "What everything needs",
    "MAX_CONCURRENT_REQUESTS": "Songs, patience, money",
    "IMG_STORAGE": "Files and video",
    "FILE_RETENTION_DAYS": "Visitors, operators, processes",
}
HEAD = """\
# petsong's settings, as `python -m scripts.doc_tables` writes them. Copy to .env and uncomment what differs.
# Seconds, fractions allowed, unless the name says otherwise. The environment wins over .env. What stands there wins over
# the campaign's [limits]: that is why the defaults below are comments.
"""


def settings_table() -> str:
    """Markdown, a row for each setting."""
    rows = [f"| {name} | {_code(default)} | {_cell(meaning)} |" for name, default, meaning in describe()]
    return "\n".join(["| variable | default | meaning |", "|---|---|---|", *rows])


def _code(default: str) -> str:
    return default if default in ("", "required") else f"`{default}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("*", "\\*")


def env_example() -> str:
    return HEAD + "".join(f"{line}\n" for line in _env_lines())


def _env_lines() -> Iterator[str]:
    for name, default, meaning in describe():
        if name in GROUPS:
            yield ""
            yield f"# ---- {GROUPS[name]}"
        yield ""
        yield f"# {meaning}{' (required)' if default == 'required' else ''}"
        yield f"{name}=" if default == "required" else f"#{name}={default}"


def readme(text: str) -> str:
    """The README's text with the table as it should be. Raises ValueError where the marks are missing."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"README.md lacks {BEGIN} or {END}")
    return f"{before}{BEGIN}\n{settings_table()}\n{END}{after}"


FILES: dict[str, Callable[[str], str]] = {"README.md": readme, ".env.example": lambda _: env_example()}


def stale() -> dict[str, str]:
    """{file: text as it should be} of the files that differ."""
    found = {}
    for name, made in FILES.items():
        path = ROOT / name
        text = path.read_text("utf-8") if path.exists() else ""
        if made(text) != text:
            found[name] = made(text)
    return found


def main(arguments: list[str]) -> int:
    found = stale()
    if "--check" in arguments:
        print(f"stale: {', '.join(found)}; run python -m scripts.doc_tables" if found else "all up to date")
        return 1 if found else 0
    for name, text in found.items():
        (ROOT / name).write_text(text, "utf-8")
        print(f"wrote {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
