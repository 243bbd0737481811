"""A campaign's folder → a frozen Campaign: copy, choices, prompt, artwork, opening times. Errors say how to be right.

A campaign is written by people: everything in it is checked when it is loaded, nothing when it is used.
"""

import re
import tomllib
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    model_validator,
)
from pydantic.dataclasses import dataclass

from petsong.campaigns import translating
from petsong.campaigns.colours import DEFAULTS as COLOURS
from petsong.campaigns.colours import complete as all_colours

CAMPAIGNS = Path(__file__).parent
PAGES_SPEAK = Path(__file__).parent.parent / "translations"  # a file per language with the texts of the pages
FILE = "campaign.toml"

# The part of the song service's closed vocabulary that is known to be accepted: any other phrase is a refused order.
TAGS = frozenset(
    {
        *("pop", "acoustic", "love song", "romantic", "ballad", "piano", "lo-fi", "chill", "mellow", "upbeat", "energetic"),
        *("dance", "party", "disco", "funk", "ambient", "relaxing", "soft", "warm", "happy", "soul", "r&b", "guitar"),
        *("indie pop", "singer-songwriter", "female vocals", "male vocals"),
    }
)

# Texts that a campaign may give; the pages have a neutral one for each.
COPY = frozenset(
    {
        *("headline", "lead", "submit", "pet_name_example", "owner_name_example", "said_example", "credit"),
        *("result_eyebrow", "result_title", "result_description", "share_text", "sold_out_title", "sold_out_text"),
    }
)
FAILURES = frozenset({"service", "video", "too_long"})

CAPTION_LENGTH = 300  # of a line with the names in it; longer ones are cut

# The videos that the renderer can make of a song, in the order in which they are made and offered.
FORMATS = ("square", "hd", "story")

_FIELD = re.compile(r"\{(\w*)\}")
_EXAMPLES = {
    "name": 'name = "valentines", which is also the folder\'s name',
    "locale": 'locale = "en_US"',
    "languages": 'languages = ["en", "de"], the first one in campaign.toml, the others in files such as de.toml beside it',
    "copy": f'headline = "A love song for your pet"; known are {", ".join(sorted(COPY))}',
    "fail_messages": 'service = "We could not generate your song."; known are service, too_long, video',
    "extra_name_characters": 'extra_name_characters = "\'-"',
    "pet_types": 'Dog = {label = "Dog", word = "dog"}',
    "vibes": f'Chill = {{label = "Chill", tags = ["chill"], words = "laid-back"}}; tags are {", ".join(sorted(TAGS))}',
    "prompt": 'template = "Create a song for {owner_name} and their {pet_type} {pet_name}."',
    "limits": "FORM_SUBMIT_RETRY = 10",
    "artwork": 'background = "art/background.png", a PNG inside the campaign\'s folder',
    "video": 'formats = ["square", "hd", "story"], square first, and caption = ["{pet_name}", "with love from {owner_name}"]',
    "colours": f'accent = "#c2185b"; known are {", ".join(COLOURS)}',
    "banners": '[[banners]] with text = "Adopt a friend" and link = "https://shelter.example/"',
    "opening": "open = true, closes_at = 2027-02-15T00:00:00Z, cap = 5000",
    "terms": 'terms = "terms.md"',
    "privacy": 'privacy = "privacy.md"',
    "contact": 'contact = "hello@petsong.example", or an https address; privacy.md may name it as {contact}',
}


class CampaignError(Exception):
    """Names the file, the key, what is wrong with it and a right example, in one line."""

    def __init__(self, file: Path, key: str, problem: str, example: str) -> None:
        super().__init__(f"{file}: {key}: {problem}. Right would be: {example}")
        self.file = file
        self.key = key


def _fields_are(*allowed: str, all_needed: bool = False) -> AfterValidator:
    """A text whose {fields} are ours; filling it in later can then neither fail nor leave one standing."""

    def check(text: str) -> str:
        found = set(_FIELD.findall(text))
        if set("{}") & set(_FIELD.sub("", text)):
            raise ValueError("it has a brace that is no {field}")
        if found - set(allowed):
            raise ValueError(
                f"{{{min(found - set(allowed))}}} is unknown; there are {', '.join(map('{{{}}}'.format, allowed))}"
            )
        if all_needed and set(allowed) - found:
            raise ValueError(f"{{{min(set(allowed) - found)}}} must stand in it")
        return text

    return AfterValidator(check)


def _context(info: ValidationInfo) -> dict[str, Any]:
    return info.context or {}


def _inside(name: object, info: ValidationInfo) -> Path:
    folder: Path = _context(info)["folder"]
    if not isinstance(name, str) or not name or Path(name).is_absolute() or ".." in Path(name).parts:
        raise ValueError(f"{name!r} is not a path inside the campaign's folder")
    return folder / name


def _artwork(name: object, info: ValidationInfo) -> Path:
    path = _inside(name, info)
    if _context(info)["check_files"] and not path.is_file():
        raise ValueError(f"there is no file {path}")
    return path


def _text_file(name: object, info: ValidationInfo) -> str:
    path = _inside(name, info)
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from error


def _given_where_named(contact: str, info: ValidationInfo) -> str:
    for key in ("terms", "privacy"):
        if not contact and "{contact}" in info.data.get(key, ""):
            raise ValueError(f"{key} names it, but there is none")
    return contact


def _known_tag(tag: str) -> str:
    if tag not in TAGS:
        raise ValueError(f"{tag!r} is not a tag of the song service")
    return tag


def _spoken(language: str) -> str:
    if not (PAGES_SPEAK / f"{language}.toml").is_file():
        raise ValueError(f"the pages do not speak {language!r}: there is no {PAGES_SPEAK.name}/{language}.toml")
    return language


def _one_of(known: frozenset[str]) -> AfterValidator:
    def check(texts: dict[str, str]) -> dict[str, str]:
        unknown = sorted(set(texts) - known)
        if unknown:
            raise ValueError(f"{unknown[0]!r} is not known")
        return texts

    return AfterValidator(check)


def checked_formats(formats: tuple[str, ...]) -> tuple[str, ...]:
    """Names of videos to make of a song. Raises ValueError: the wait for a song ends with its square one."""
    unknown = sorted(set(formats) - set(FORMATS))
    if unknown:
        raise ValueError(f"{unknown[0]!r} is no format; there are {', '.join(FORMATS)}")
    if formats[:1] != ("square",):
        raise ValueError("square must come first")
    if len(set(formats)) < len(formats):
        raise ValueError("a format is named twice")
    return formats


Line = Annotated[str, Field(min_length=1, max_length=2000)]
Word = Annotated[str, Field(min_length=1, max_length=50)]
Language = Annotated[str, Field(pattern=r"^[a-z]{2}$"), AfterValidator(_spoken)]
Copy = Annotated[dict[str, Annotated[Line, _fields_are("owner_name", "pet_name")]], _one_of(COPY)]
CaptionLine = Annotated[str, Field(min_length=1, max_length=100), _fields_are("owner_name", "pet_name")]
ArtFile = Annotated[Path, BeforeValidator(_artwork)]
TextFile = Annotated[str, BeforeValidator(_text_file), _fields_are("contact")]
SettingName = Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]*$")]
Colour = Annotated[str, Field(pattern=r"^#[0-9a-fA-F]{6}$")]
Contact = Annotated[
    str, Field(pattern=r"^(https://[^\s\\{}]+|[^\s\\{}@<>]+@[^\s\\{}@<>]+\.[\w-]+)?$", validate_default=True),
    AfterValidator(_given_where_named),
]
Link = Annotated[str, Field(pattern=r"^(https://[^\s\\]+|/[^\s\\/][^\s\\]*)?$")]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PetType(_Part):
    label: Line
    word: Word  # in the prompt: "their beloved companion"


class Vibe(_Part):
    label: Line
    tags: Annotated[tuple[Annotated[str, AfterValidator(_known_tag)], ...], Field(min_length=1, max_length=8)]
    words: Line  # in the prompt: the vibe must be heard in a song without tags, too


class Prompt(_Part):
    template: Annotated[Line, _fields_are("owner_name", "pet_name", "pet_type", all_needed=True)]
    mood: Annotated[Line, _fields_are("vibe", all_needed=True)]
    said: Annotated[Line, _fields_are("name", "said", all_needed=True)]


class Artwork(_Part):
    background: ArtFile  # 1080x1080 px
    record: ArtFile  # 736x736 px, transparent
    needle: ArtFile  # 1080x1080 px, transparent
    sleeve: ArtFile  # SVG, square: the sleeve on the pages
    label: ArtFile  # SVG, square: the record's label on the pages where there is no photo
    icon: ArtFile  # SVG, square: beside the site's name and in the browser's tab
    share: ArtFile  # JPEG, 1200x630 px, under 300 KB: link previews of pages without a song


class Video(_Part):
    formats: Annotated[tuple[str, ...], AfterValidator(checked_formats)] = ("square",)
    caption: Annotated[tuple[CaptionLine, ...], Field(max_length=3)] = ()  # lines drawn where a format has room for them


class Banner(_Part):
    image: Annotated[str, Field(pattern=r"^(/[^\s\\/][^\s\\]*)?$")] = ""  # a path of this site: pages load no other pictures
    text: str = ""
    link: Link = ""


class Opening(_Part):
    open: bool = True
    message: str = ""  # for visitors while it is closed, but not before opens_at
    opens_at: AwareDatetime | None = None
    closes_at: AwareDatetime | None = None
    cap: Annotated[int, Field(ge=0)] | None = None  # songs of this campaign

    @model_validator(mode="after")
    def _in_order(self) -> "Opening":
        if self.opens_at and self.closes_at and self.closes_at <= self.opens_at:
            raise ValueError("closes_at must be later than opens_at")
        return self

    def is_open(self, moment: datetime) -> bool:
        """By switch and times; the cap is for whoever counts the songs."""
        early = self.opens_at is not None and moment < self.opens_at
        late = self.closes_at is not None and moment >= self.closes_at
        return self.open and not early and not late


class SongOrder(_Part):
    """What is bought: the prompt, and tags, of which there are none where the prompt must do alone."""

    prompt: str
    tags: tuple[str, ...]


# A dataclass, because a BaseModel has a method of its own called `copy`.
@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Campaign:
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,49}$")]
    title: Line
    site_name: Line
    description: Line
    locale: Annotated[str, Field(pattern=r"^[a-z]{2}_[A-Z]{2}$")]
    languages: Annotated[tuple[Language, ...], Field(min_length=1)]
    pet_types: Annotated[dict[Word, PetType], Field(min_length=1)]  # by the value of the API
    vibes: Annotated[dict[Word, Vibe], Field(min_length=1)]  # by the value of the API
    prompt: Prompt
    artwork: Artwork
    terms: TextFile  # the text: paragraphs, lines beginning with # are headings, blocks of - are lists
    privacy: TextFile
    contact: Contact = ""  # who answers for the campaign: an e-mail address, or an https one
    copy: Copy = Field(default_factory=dict)
    fail_messages: Annotated[dict[str, Line], _one_of(FAILURES)] = Field(default_factory=dict)
    extra_name_characters: Annotated[str, Field(pattern=r"^['’.-]*$")] = ""
    limits: dict[SettingName, str | int | float | bool] = Field(default_factory=dict)
    colours: Annotated[dict[str, Colour], AfterValidator(all_colours)] = Field(default_factory=COLOURS.copy)
    banners: tuple[Banner, ...] = ()
    opening: Opening = Field(default_factory=Opening)
    video: Video = Field(default_factory=Video)

    def song_order(
        self,
        *,
        owner_name: str,
        pet_name: str,
        pet_type: str,
        music_vibe: str,
        owner_name_said: str = "",
        pet_name_said: str = "",
        prompt_alone: bool = False,
    ) -> SongOrder:
        """The order for one song. Names are data: braces in them stay as they are. Raises KeyError for a pet type or
        vibe that the campaign does not have."""
        owner, pet, vibe = _one_line(owner_name), _one_line(pet_name), self.vibes[music_vibe]
        names = {"owner_name": owner, "pet_name": pet, "pet_type": self.pet_types[pet_type].word}
        sentences = [_fill(self.prompt.template, names), _fill(self.prompt.mood, {"vibe": vibe.words})]
        for name, said in ((owner, _one_line(owner_name_said)), (pet, _one_line(pet_name_said))):
            if said:
                sentences.append(_fill(self.prompt.said, {"name": name, "said": said}))
        return SongOrder(prompt=" ".join(sentences), tags=() if prompt_alone else vibe.tags)


    def caption(self, *, owner_name: str, pet_name: str) -> tuple[str, ...]:
        """The lines that stand in the video of one song."""
        names = {"owner_name": _one_line(owner_name), "pet_name": _one_line(pet_name)}
        return tuple(_fill(line, names)[:CAPTION_LENGTH] for line in self.video.caption)


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _fill(template: str, values: dict[str, str]) -> str:
    """One pass over the template alone, so that nothing in a value is ever read as a field."""
    return _FIELD.sub(lambda field: values[field[1]], template)


_campaign = TypeAdapter(Campaign)
_elsewhere: dict[str, Path] = {}  # folders outside the package by their campaign's name, as rows know it


@lru_cache(maxsize=32)
def load_campaign(name_or_path: str | Path, *, check_files: bool = False, language: str = "") -> Campaign:
    """A campaign by its name (a folder here, or one loaded by its path before) or by the path of its folder.

    `check_files`: the artwork must be there, too. `language`: its texts in that one, in its first where it does not
    speak it. All its languages are checked. Raises CampaignError. Changes are seen after a restart.
    """
    folder = _folder_of(str(name_or_path))
    document = _read(folder / FILE)
    campaign = _checked(folder / FILE, document, check_files)
    spoken = {campaign.languages[0]: campaign}
    for other in campaign.languages[1:]:
        file = folder / f"{other}.toml"
        spoken[other] = _checked(file, _translated(file, document, _read(file)), check_files)
    return spoken.get(language, campaign)


def _translated(file: Path, document: dict[str, Any], words: dict[str, Any]) -> dict[str, Any]:
    problem = translating.problem_of(document, words)
    if problem:
        raise CampaignError(file, *problem)
    return translating.translated(document, words)


def _checked(file: Path, document: dict[str, Any], check_files: bool) -> Campaign:
    folder = file.parent
    try:
        campaign = _campaign.validate_python(document, context={"folder": folder, "check_files": check_files})
    except ValidationError as error:
        raise _readable(file, error) from error
    if campaign.name != folder.name:
        raise CampaignError(file, "name", f"{campaign.name!r} is not the folder's name {folder.name!r}", _EXAMPLES["name"])
    if folder.parent != CAMPAIGNS:
        _elsewhere[campaign.name] = folder
    return campaign


def _folder_of(name_or_path: str) -> Path:
    if "/" not in name_or_path and name_or_path not in ("", ".", ".."):
        return _elsewhere.get(name_or_path, CAMPAIGNS / name_or_path)
    path = Path(name_or_path).resolve()
    return path.parent if path.name == FILE else path


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text("utf-8"))
    except OSError as error:
        there = ", ".join(sorted(path.parent.name for path in CAMPAIGNS.glob(f"*/{FILE}")))
        raise CampaignError(file, FILE, f"cannot be read ({error.strerror})", f"one of {there}, or a folder's path") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CampaignError(file, FILE, f"is not TOML: {error}", 'title = "Love songs for pets"') from error


def _readable(file: Path, error: ValidationError) -> CampaignError:
    first = error.errors(include_url=False)[0]
    key = ".".join(str(part) for part in first["loc"])
    problem = first["msg"].removeprefix("Value error, ")
    return CampaignError(file, key, problem, _EXAMPLES.get(str(first["loc"][0]), f'{key} = "…"'))
