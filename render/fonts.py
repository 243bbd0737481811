"""Typefaces for names in any alphabet: which font has a character, opened from packages or from the system.

The fonts are files of Python packages (SIL Open Font License), so that a platform without apt has them too. Where a
package is missing, or a script is in none of them, Debian's Noto and DejaVu fonts are looked at.
"""

import importlib.util
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

from PIL import ImageFont, features

PACKS = (
    ("fontpkg_noto_sans", "files", ("",)),
    ("justmytype_intl_south_asia", "fonts/ofl", ("Devanagari", "Bengali", "Tamil", "Telugu")),
    ("justmytype_intl_sea", "fonts/ofl", ("Thai", "Lao", "Khmer", "Myanmar")),
    ("justmytype_intl_rtl", "fonts/ofl", ("Arabic", "Hebrew")),
)
CJK_PACK, CJK_FILE = "noto_cjk_sans_otc", "NotoSansCJK-Regular.ttc"
CJK_FACES = {"japanese": 0, "korean": 1, "chinese": 2}  # the collection's order
SYSTEM = (
    "truetype/noto/NotoSans-Bold.ttf", "truetype/noto/NotoSans*-Bold.ttf", "opentype/noto/NotoSansCJK-Bold.ttc",
    "truetype/dejavu/DejaVuSans-Bold.ttf",
)
SYSTEM_FOLDER = Path("/usr/share/fonts")
WEIGHT = 700
# A Regular font is drawn with an outline of this share of its size, to stand beside bold ones.
OUTLINE = 0.022
NO_CHARACTER = "\U0010ffff"  # belongs to no font: what is drawn for it is the box for missing ones
PROBE_SIZE = 24


@dataclass(frozen=True)
class Face:
    """One typeface: a file, and which face of a collection; `outline` where it has to be made bold by drawing."""

    path: Path
    index: int = 0
    outline: bool = False

    def font(self, size: int) -> ImageFont.FreeTypeFont:
        """Opened at `size` pixels, bold where the file allows it."""
        return _opened(self, size)

    def has(self, letter: str) -> bool:
        """Whether the font can draw this character, and would not draw the box for missing ones."""
        return letter.isspace() or _probed(self, letter) != _probed(self, NO_CHARACTER)


@cache
def faces(language: str = "chinese") -> tuple[Face, ...]:
    """All there are, best first; `language` (chinese, japanese, korean) decides how shared characters look."""
    found = [Face(path) for pack, folder, scripts in PACKS for script in scripts for path in _in_pack(pack, folder, script)]
    found += [Face(path, CJK_FACES[language], outline=True) for path in _packaged(CJK_PACK, CJK_FILE)]
    for pattern in SYSTEM:
        found += [Face(path, CJK_FACES[language] if path.suffix == ".ttc" else 0)
                  for path in sorted(SYSTEM_FOLDER.glob(pattern))]
    return tuple(dict.fromkeys(found))


def fingerprint() -> str:
    """Changes when other fonts would be used: what a caption looks like depends on them."""
    shaped = features.check("raqm")
    return f"{shaped} " + " ".join(f"{face.path.name}:{face.path.stat().st_size}" for face in faces())


def _in_pack(pack: str, folder: str, script: str) -> list[Path]:
    name = f"NotoSans{script}[[]wdth,wght].ttf"
    return _packaged(pack, f"{folder}/{name}") or _packaged(pack, f"{folder}/notosans{script.lower()}/{name}")


def _packaged(pack: str, pattern: str) -> list[Path]:
    """Files of an installed package, which is found and not imported."""
    spec = importlib.util.find_spec(pack)
    return sorted(Path(spec.origin).parent.glob(pattern)) if spec and spec.origin else []


@lru_cache(maxsize=64)
def _opened(face: Face, size: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.truetype(face.path, size, index=face.index)
    if "[" in face.path.name:  # a variable font, by the custom of naming its axes
        axes = font.get_variation_axes()
        font.set_variation_by_axes([WEIGHT if axis["name"] == b"Weight" else float(axis["default"] or 0) for axis in axes])
    return font


@lru_cache(maxsize=4096)
def _probed(face: Face, letter: str) -> tuple[tuple[int, int], bytes]:
    """The character's picture, without shaping: each stands for itself."""
    try:
        mask = _plain(face).getmask(letter)
    except OSError:  # a damaged file of the system: it has no character at all
        return (0, 0), b""
    return mask.size, bytes(mask)


@lru_cache(maxsize=64)
def _plain(face: Face) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(face.path, PROBE_SIZE, index=face.index, layout_engine=ImageFont.Layout.BASIC)
