"""Every request and answer of the HTTP API, as pydantic models: checked on the way in, the same shape on the way out."""
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, PlainSerializer, ValidationInfo, field_validator

from petsong.campaigns.loader import Campaign
from petsong.names import clean_name


def iso(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


Moment = Annotated[datetime, PlainSerializer(iso, when_used="json")]


# ---- requests

def _campaign(info: ValidationInfo) -> Campaign:
    campaign: Campaign = (info.context or {})["campaign"]
    return campaign


class SubmissionForm(BaseModel):
    """Validate with context={"campaign": Campaign}: pet types, vibes and further characters of names are its data."""

    model_config = ConfigDict(extra="ignore")

    pet_name: str
    pet_type: str
    photo: str
    music_vibe: str
    owner_name: str
    cookie_id: str | None = None
    pet_name_said: str | None = ""
    owner_name_said: str | None = ""

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
    success: Literal[False] = False
    code: str
    error: str
    message: str


class Accepted(BaseModel):
    success: Literal[True] = True
    session_id: str
    message: str = "Submission received successfully"
    cookie_id: str | None = None  # only when new


class Range(BaseModel):
    low: int
    high: int


class Status(BaseModel):
    session_id: str
    status: Literal["pending", "processing", "success", "fail"]
    created_at: Moment
    stage: str
    progress: int
    queue_position: int | None
    estimated_seconds: Range | None
    poll_after_seconds: float
    reason: str | None
    message: str


class Result(BaseModel):
    """Every answer about an existing session carries these; the rest only where it has them."""

    success: bool
    session_id: str
    status: str
    owner_name: str
    pet_name: str
    created_at: Moment


class Download(BaseModel):
    format: str
    url: str
    filename: str


class FinishedResult(Result):
    video_url: str
    lyrics: str
    poster_url: str | None
    captions_url: str | None
    duration_seconds: float | None
    expires_at: Moment
    downloads: list[Download]


class Availability(BaseModel):
    open: bool
    reason: str | None
    message: str
    estimated_seconds: int | None


class QueueHealth(BaseModel):
    depth: int | None
    workers: int


class Health(BaseModel):
    status: Literal["healthy", "unhealthy"]
    timestamp: Moment
    redis: Literal["connected", "disconnected"]
    database: Literal["connected", "disconnected"]
    workers: int
    queues: dict[str, QueueHealth]
    scheduler: dict[str, float | None]
    disk: dict[str, float | None]


class QueueStatus(BaseModel):
    pending_submissions: int
    processing_submissions: int
    active_jobs: int
    sonauto_credits: int | None
    last_credits_check: Moment | None
