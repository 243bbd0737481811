"""Text in a box, in whatever alphabet: split by font and direction, wrapped, shrunk until it fits, drawn with a shadow.

Nothing that is written here reaches ffmpeg: it gets pixels.
"""

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFilter

from render.fonts import OUTLINE, Face, faces

LARGE, SMALL = 104, 50  # pixels: the first line, the others
STEP, STEPS = 0.93, 21  # how they shrink, and how often before words are cut off
ONE_LINE_DOWN_TO = 0.66  # rather this much smaller than the first line on two
UNBROKEN_DOWN_TO = 0.42  # rather this much smaller than a word in parts
MARKS = 3  # combining marks that a letter keeps
JOINERS = "\u200c\u200d"
INK, SHADE = (255, 246, 236), (52, 4, 30)

Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Run:
    """Neighbouring characters of one font and one direction."""

    face: Face
    text: str
    backwards: bool

    def width(self, size: int) -> float:
        return self.face.font(size).getlength(self.text) + 2 * self.outline(size)

    def outline(self, size: int) -> int:
        return max(1, round(size * OUTLINE)) if self.face.outline else 0


@dataclass(frozen=True)
class Row:
    """One line of drawn text: runs from left to right, size, and pixels from its top to its baseline and to its end."""

    runs: tuple[Run, ...]
    size: int
    above: int
    high: int

    @property
    def width(self) -> float:
        return sum(run.width(self.size) for run in self.runs)


def draw_caption(picture: Image.Image, lines: Sequence[str], box: Box) -> None:
    """Write `lines` into `box` (left, top, right, bottom in pixels) of an RGB picture: centred, the first one large.

    They shrink and wrap until they fit; no pixel of a letter lies outside. Characters that no font has are left out.
    """
    ink = caption_mask(lines, (box[2] - box[0], box[3] - box[1]))
    for soft, drop, strength in ((14, 6, 0.5), (3, 2, 0.45)):
        shade = Image.new("L", picture.size)
        shade.paste(ink, (box[0], box[1] + drop))
        near = _grown(box, 4 * soft, picture.size)
        blurred = shade.crop(near).filter(ImageFilter.GaussianBlur(soft)).point([round(v * strength) for v in range(256)])
        picture.paste(SHADE, near, blurred)
    picture.paste(INK, box, ink)


def caption_mask(lines: Sequence[str], size: tuple[int, int]) -> Image.Image:
    """The letters alone, white on black (L)."""
    mask = Image.new("L", size)
    pen = ImageDraw.Draw(mask)
    rows = fitted(lines, size)
    top = (size[1] - _high(rows)) // 2
    for row in rows:
        left = (size[0] - row.width) / 2
        for run in row.runs:
            edge = run.outline(row.size)
            pen.text((left + edge, top + row.above), run.text, 255, run.face.font(row.size), anchor="ls", stroke_width=edge)
            left += run.width(row.size)
        top += row.high
    return mask


def fitted(lines: Sequence[str], size: tuple[int, int]) -> list[Row]:
    """The rows of a caption, as large as the box allows; of far too much text what there is room for."""
    texts = [parts for parts in map(pieces, lines) if parts]
    rows: list[Row] = []
    for step in range(STEPS):
        share = STEP**step
        sizes = (round(LARGE * share), round(SMALL * share**0.5))  # what is small already shrinks less
        if share > UNBROKEN_DOWN_TO and any(_breaks(parts, sizes[min(at, 1)], size[0]) for at, parts in enumerate(texts)):
            continue
        blocks = [_rows(parts, sizes[min(at, 1)], size[0]) for at, parts in enumerate(texts)]
        rows = [row for block in blocks for row in block]
        calm = not blocks or len(blocks[0]) == 1 or share <= ONE_LINE_DOWN_TO
        if _high(rows) <= size[1] and calm:
            break
    while _high(rows) > size[1]:
        rows.pop()
    return rows


def _high(rows: Sequence[Row]) -> int:
    return sum(row.high for row in rows)


@dataclass(frozen=True)
class Piece:
    """A letter with its marks, and the face to draw it in."""

    face: Face
    text: str

    @property
    def space(self) -> bool:
        return self.text.isspace()

    @property
    def backwards(self) -> bool | None:
        """Written from right to left? None where the neighbours decide."""
        kind = unicodedata.bidirectional(self.text[0])
        return True if kind in ("R", "AL") else False if kind in ("L", "EN", "AN") else None


def pieces(line: str) -> list[Piece]:
    """A line's letters, each with the best face for it; what no face has is left out."""
    choice = faces(_language(line))
    found: list[Piece] = []
    for letter in _clusters(unicodedata.normalize("NFC", line)):
        piece = _piece(letter, choice, found[-1].face if found else None)
        if piece is not None and not (piece.space and (not found or found[-1].space)):
            found.append(piece)
    return found[:-1] if found and found[-1].space else found


def _piece(letter: str, choice: Sequence[Face], before: Face | None) -> Piece | None:
    """With all its marks where a face has them, else without; what is no letter stays in the face before it."""
    order = choice if before is None or letter[0].isalpha() else [before, *choice]
    for kept in (letter, letter[0]):
        for face in order:
            if all(one in JOINERS or face.has(one) for one in kept):
                return Piece(face, kept)
    return None


def _clusters(text: str) -> Iterator[str]:
    """Letters with the marks that belong to them; control characters and a mark without a letter are left out."""
    cluster = ""
    for letter in text:
        kind = unicodedata.category(letter)
        if cluster and (kind[0] == "M" or letter in JOINERS):
            if sum(unicodedata.category(mark)[0] == "M" for mark in cluster) < MARKS:
                cluster += letter
        elif letter.isspace() or kind[0] not in "CMZ":
            if cluster:
                yield cluster
            cluster = " " if letter.isspace() else letter
    if cluster:
        yield cluster


def _language(text: str) -> str:
    """Which language's shapes the Chinese characters in a text want, by the letters beside them."""
    names = " ".join(unicodedata.name(letter, "") for letter in text)
    return "japanese" if "HIRAGANA" in names or "KATAKANA" in names else "korean" if "HANGUL" in names else "chinese"


def _rows(parts: Sequence[Piece], size: int, width: int) -> list[Row]:
    """A text on as many rows as it needs; a word that is wider than a row is broken between letters."""
    room = _room(size, width)
    rows: list[Row] = []
    line: list[Piece] = []
    for word in _words(parts):
        for part in ([piece] for piece in word) if _row(word, size).width > room else (word,):
            if line and _row(line + part, size).width > room:
                rows.append(_row(line, size))
                line = []
            line += part
    return [*rows, _row(line, size)]


def _breaks(parts: Sequence[Piece], size: int, width: int) -> bool:
    """Whether a word is wider than a row."""
    return any(_row(word, size).width > _room(size, width) for word in _words(parts))


def _room(size: int, width: int) -> int:
    """The width for text: some letters reach beyond theirs."""
    return width - size // 6


def _words(parts: Sequence[Piece]) -> Iterator[list[Piece]]:
    """What must stay on one line: a word with the space after it, or one character where there are no spaces."""
    word: list[Piece] = []
    for piece in parts:
        word.append(piece)
        if piece.space or unicodedata.east_asian_width(piece.text[0]) in "WF":
            yield word
            word = []
    if word:
        yield word


def _row(parts: Iterable[Piece], size: int) -> Row:
    """Pieces as runs in the order in which they stand on the line; a space at its end counts for nothing."""
    line = list(parts)
    while line and line[-1].space:
        line.pop()
    runs = _ordered(_runs(line))
    reach = [run.face.font(size).getmetrics() for run in runs]
    above = max((up for up, _ in reach), default=0)
    return Row(tuple(runs), size, above, above + max((down for _, down in reach), default=0))


def _runs(line: Sequence[Piece]) -> list[Run]:
    runs: list[Run] = []
    base = next((piece.backwards for piece in line if piece.backwards is not None), False)
    for piece in line:
        way = piece.backwards
        if way is None:
            way = runs[-1].backwards if runs else base
        if runs and (runs[-1].face, runs[-1].backwards) == (piece.face, way):
            runs[-1] = Run(piece.face, runs[-1].text + piece.text, way)
        else:
            runs.append(Run(piece.face, piece.text, way))
    return runs


def _ordered(runs: Sequence[Run]) -> list[Run]:
    """Reading order to left-to-right order: stretches of one direction in the line's own, each in its own within."""
    stretches: list[list[Run]] = []
    for run in runs:
        if stretches and stretches[-1][0].backwards == run.backwards:
            stretches[-1].append(run)
        else:
            stretches.append([run])
    if runs and runs[0].backwards:
        stretches.reverse()
    return [run for stretch in stretches for run in (reversed(stretch) if stretch[0].backwards else stretch)]


def _grown(box: Box, by: int, size: tuple[int, int]) -> Box:
    return max(0, box[0] - by), max(0, box[1] - by), min(size[0], box[2] + by), min(size[1], box[3] + by)
