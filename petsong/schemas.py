"""Every request and answer of the HTTP API, as pydantic models: checked on the way in, the same shape on the way out."""
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, ValidationInfo, WithJsonSchema, field_validator

from petsong.campaigns.loader import Campaign
from petsong.names import clean_name


def iso(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


Moment = Annotated[
    datetime, PlainSerializer(iso, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time", "examples": ["2027-02-14T12:00:00Z"]}),
]
EntryStatus = Literal["pending", "processing", "success", "fail"]
SessionId = Annotated[str, Field(description="The song's id", examples=["a9dxkdjwt8cp3i4n141j8dw5"])]
CookieId = Annotated[str | None, Field(
    description="Who made it: what an earlier answer gave this browser", examples=["cookie_5a1c0ffee5a1c0ffee5a1c0f"]
)]
Name = Annotated[str, Field(
    description="Letters of any alphabet and spaces", examples=["Biscuit"], json_schema_extra={"minLength": 2, "maxLength": 100}
)]
Said = Annotated[str | None, Field(
    description="How the name is said, for the singer alone: letters, spaces, - and '", examples=["BIS-kit"],
)]
Choice = Annotated[str, Field(description="One of the campaign's")]
EXAMPLE_PHOTO = (  # white, and as small as may be
    "iVBORw0KGgoAAAANSUhEUgAAAZAAAAGQAQAAAACoxAthAAAAV0lEQVR42u3LMREAAAgEoNf+nTWDqwc7NbnqKIqiKIqiKIqiKIqiKIqiKIqiKIqiKIqi"
    "KIqiKIqiKIqiKIqiKIqiKIqiKIqiKIqiKIqiKIqiKIqiKMrzsj31BB9ncd+CAAAAAElFTkSuQmCC"
)


# ---- requests

def _campaign(info: ValidationInfo) -> Campaign:
    campaign: Campaign = (info.context or {})["campaign"]
    return campaign


class SubmissionForm(BaseModel):
    """Validate with context={"campaign": Campaign}: pet types, vibes and further characters of names are its data."""

    model_config = ConfigDict(extra="ignore")

    pet_name: Name
    pet_type: Choice
    photo: str = Field(
        description="JPG or PNG in base64, with or without data:, at most 5 MB and at least 400x400 pixels",
        examples=[EXAMPLE_PHOTO],
    )
    music_vibe: Choice
    owner_name: Name
    cookie_id: CookieId = None
    pet_name_said: Said = ""
    owner_name_said: Said = ""

    @field_validator("pet_name", "owner_name")
    @classmethod
    def _name(cls, value: str, info: ValidationInfo) -> str:
        return clean_name(_required(value), extra=_campaign(info).extra_name_characters)

    @field_validator("pet_name_said", "owner_name_said")
    @classmethod
    def _said(cls, value: str | None) -> str:
        text = (value or "").replace("\u2019", "'")
        return clean_name(text, extra="-'", most=60) if text.strip() else ""

    @field_validator("pet_type")
    @classmethod
    def _pet_type(cls, value: str, info: ValidationInfo) -> str:
        return _one_of(_required(value), _campaign(info).pet_types)

    @field_validator("music_vibe")
    @classmethod
    def _vibe(cls, value: str, info: ValidationInfo) -> str:
        return _one_of(_required(value), _campaign(info).vibes)

    @field_validator("photo")
    @classmethod
    def _photo(cls, value: str) -> str:
        return _required(value)


class Deletion(BaseModel):
    cookie_id: str = Field(
        description="The browser's own, as it ordered the song", examples=["cookie_5a1c0ffee5a1c0ffee5a1c0f"], max_length=100
    )


class FileQuery(BaseModel):
    download: Literal["1"] | None = Field(None, description="As an attachment with a friendly name")


def _required(value: str) -> str:
    if not value.strip():
        raise ValueError("This field is required")
    return value


def _one_of(value: str, choices: Any) -> str:
    if value not in choices:
        raise ValueError(f"Must be one of: {', '.join(choices)}")
    return value


MESSAGES = {"missing": "This field is required", "string_type": "Must be text"}


def messages_of(errors: list[Any]) -> dict[str, str]:
    """{field: message for the visitor}, first error of each, in the form's order."""
    found: dict[str, str] = {}
    for error in errors:
        name = str(error["loc"][0]) if error["loc"] else "body"
        found.setdefault(name, MESSAGES.get(error["type"], error["msg"].removeprefix("Value error, ")))
    return found


# ---- answers

class ErrorAnswer(BaseModel):
    """An error"""

    success: Literal[False]
    code: str = Field(description="Tells programs which error it is")
    error: str
    message: str = Field(description="For a person to read")


class FieldErrors(ErrorAnswer):
    fields: dict[str, str] = Field(
        description="A message for each wrong field; empty where the fault is elsewhere",
        examples=[{"pet_name": "Only letters and spaces allowed"}],
    )


class LimitReachedError(ErrorAnswer):
    attempts_used: int = Field(examples=[10])
    max_attempts: int = Field(examples=[10])


class SoldOutError(ErrorAnswer):
    opens_at: str | None = Field(description="As in GET /api/availability", examples=[None])


class Done(BaseModel):
    """Done, now or earlier"""

    success: Literal[True] = True
    message: str


class Accepted(BaseModel):
    """Taken in"""

    success: Literal[True] = True
    session_id: SessionId
    message: str = "Submission received successfully"
    cookie_id: CookieId = None  # only when new


class Range(BaseModel):
    low: int
    high: int


class Status(BaseModel):
    """Where the song is"""

    session_id: SessionId
    status: EntryStatus
    created_at: Moment
    stage: Literal["queued", "sending", "generating", "downloading", "rendering", "done", "failed"]
    progress: int = Field(ge=0, le=100, examples=[42])
    queue_position: int | None = Field(description="1 is next; null once a place was found")
    estimated_seconds: Range | None = Field(description="null once it is over, and where nobody can tell")
    poll_after_seconds: float = Field(description="When to ask again", examples=[10.0])
    reason: str | None = Field(description="Why it failed, as a code")
    message: str = Field(examples=["Your song is being written and sung."])


class Result(BaseModel):
    """Every answer about an existing session carries these; the rest only where it has them."""

    success: bool
    session_id: SessionId
    status: EntryStatus
    owner_name: str = Field(examples=["Marisol"])
    pet_name: str = Field(examples=["Biscuit"])
    created_at: Moment


class GoneError(ErrorAnswer):
    session_id: SessionId
    status: EntryStatus


class SongError(GoneError):
    """Why there is no result, and what is known of the song all the same."""

    owner_name: str = Field(description="Empty once the song has expired", examples=["Marisol"])
    pet_name: str = Field(description="Empty once the song has expired", examples=["Biscuit"])
    created_at: Moment


class FailedError(SongError):
    reason: str | None = Field(description="Why it failed, as a code", examples=["service_failed"])


class Download(BaseModel):
    format: str
    label: str
    url: str
    filename: str
    width: int | None
    height: int | None
    bytes: int | None


class FinishedResult(Result):
    """The song"""

    video_url: str
    lyrics: str
    poster_url: str | None
    captions_url: str | None
    duration_seconds: float | None
    expires_at: Moment
    downloads: list[Download]


class Availability(BaseModel):
    """Whether songs are taken"""

    open: bool
    reason: str | None
    message: str
    opens_at: str | None = Field(description="When songs can be ordered, where `message` says just that; else null")
    estimated_seconds: int | None


class QueueHealth(BaseModel):
    depth: int | None
    workers: int


class Alive(BaseModel):
    """The process answers"""

    status: Literal["alive"]


class Health(BaseModel):
    """How we are"""

    status: Literal["healthy", "unhealthy"]
    timestamp: Moment
    redis: Literal["connected", "disconnected"]
    database: Literal["connected", "disconnected"]
    workers: int
    queues: dict[str, QueueHealth]
    scheduler: dict[str, float | None]
    disk: dict[str, float | None]


class QueueStatus(BaseModel):
    """What is in the making"""

    pending_submissions: int
    processing_submissions: int
    active_jobs: int
    sonauto_credits: int | None
    last_credits_check: Moment | None
