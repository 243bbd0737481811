"""Every setting, read once: environment over campaign over default. The only reader of os.environ in the product.

Units are seconds (fractions allowed) unless the name says otherwise. `describe()` feeds the README's table.
"""
import base64
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import SplitResult, urlsplit

from dotenv import dotenv_values
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from petsong.campaigns.loader import CampaignError, checked_formats, load_campaign

QUEUE_NAMES = ("dispatch", "sonauto", "downloads", "renders", "periodic")


class SettingsError(Exception):
    """One line for a person: the variable, what is wrong with its value, a right example."""


def _split(value: Any) -> Any:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


def _workers(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    counts: dict[str, int] = {}
    for part in _split(value):
        queue, _, number = part.partition(":")
        if queue not in QUEUE_NAMES or not number.isdecimal():
            raise ValueError(f"“{part}” is not QUEUE:NUMBER with one of the queues {', '.join(QUEUE_NAMES)}")
        counts[queue] = int(number)
    return counts


Words = Annotated[tuple[str, ...], BeforeValidator(_split), PlainSerializer(",".join)]
Seconds = Annotated[tuple[Annotated[float, Field(ge=0)], ...], BeforeValidator(_split)]
Workers = Annotated[dict[str, int], BeforeValidator(_workers)]


def _setting(default: Any, description: str, *, example: str = "", **bounds: Any) -> Any:
    """`...` as the default makes a setting required; the example stands in error messages."""
    return Field(default, description=description, json_schema_extra={"example": example}, **bounds)


def _address(value: str) -> SplitResult:
    """Raises ValueError in our words: the library's may quote a part of a password."""
    try:
        parts = urlsplit(value)
        _ = parts.port
    except ValueError:
        raise ValueError("has a malformed host or port") from None
    if any(character.isspace() for character in value):
        raise ValueError("has a space in it")
    return parts


def _is_signing_secret(text: str) -> bool:
    try:
        key = base64.b64decode(text.removeprefix("whsec_"), validate=True)
    except ValueError:
        return False
    return text.startswith("whsec_") and 24 <= len(key) <= 64


class Settings(BaseModel):
    """Frozen; attribute names are the variables' names in lower case."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    database_url: str = _setting("sqlite:///petsong.db", "SQLite file or PostgreSQL 15+", example="postgresql://petsong:secret@localhost:5432/petsong")
    redis_url: str = _setting("redis://localhost:6379/0", "queues and rate limits", example="redis://localhost:6379/0")
    secret_key: str = _setting(..., "signs webhook addresses and hashes cookies; at least 16 characters", example="the output of: openssl rand -hex 32", min_length=16)
    campaign: str = _setting("valentines", "folder below petsong/campaigns, or a path", example="valentines")
    external_api_url: str = _setting("https://api.sonauto.ai/v1", "song service", example="https://api.sonauto.ai/v1")
    sonauto_api_key: str = _setting("", "the song service's key", example="sksonauto_…")
    webhook_base_url: str = _setting("", "our public address, for the song service; without it songs are collected by polling", example="https://songs.example.com")
    public_base_url: str = _setting("", "our public address, for visitors; default WEBHOOK_BASE_URL", example="https://songs.example.com")

    max_concurrent_requests: int = _setting(10, "songs at the service at once", example="10", ge=1)
    max_retries: int = _setting(3, "refusals by 5xx after which a song fails while others are accepted", example="3", ge=1)
    form_submit_retry: int = _setting(10, "submissions per visitor", example="10", ge=1)
    queue_processor_interval: float = _setting(60, "dispatch tick", example="60", gt=0)
    credits_check_interval: float = _setting(600, "balance reading", example="600", gt=0)
    timeout_check_interval: float = _setting(300, "limits of the stages", example="300", gt=0)
    sweep_interval: float = _setting(30, "re-enqueues what fell", example="30", gt=0)
    poll_interval: float = _setting(20, "read-back of songs in the making", example="20", gt=0)
    min_available_credits: int = _setting(5000, "warn below", example="5000", ge=0)
    song_price_credits: int = _setting(100, "price of one song", example="100", ge=0)
    spend_limit_per_hour: int = _setting(0, "credits; when orders of the last hour cost that much, sending stops until the hour has moved on; 0: no limit", example="5000", ge=0)
    spend_limit_per_day: int = _setting(0, "the same for the last 24 hours", example="50000", ge=0)
    webhook_timeout_minutes: float = _setting(10, "no news after this is a warning", example="10", gt=0)
    unknown_after_minutes: float = _setting(10, "a call without an answer may be repeated, flagged, after this", example="10", gt=0)
    song_max_minutes: float = _setting(20, "no song takes longer", example="20", gt=0)
    queue_max_hours: float = _setting(24, "waiting longer fails, unpaid", example="24", gt=0)
    max_wait_minutes: float = _setting(120, "longer estimated waits answer busy", example="120", gt=0)
    api_request_timeout_seconds: float = _setting(30, "one call of the song service", example="30", gt=0, le=60)
    retry_backoff: Seconds = _setting((10.0, 30.0, 60.0), "pauses between tries and of the sending breaker", example="10,30,60", min_length=1)

    img_storage: Path = _setting(Path("storage/uploads"), "photos", example="./storage/uploads")
    audio_storage: Path = _setting(Path("storage/audio"), "songs", example="./storage/audio")
    video_storage: Path = _setting(Path("storage/video"), "videos, posters, previews", example="./storage/video")
    storage_url: str = _setting("", "reserved for buckets; only the local folders above are supported so far", example="")
    turn_cache: Path = _setting(Path("storage/turns"), "prepared record turns, local to each renderer, safe to delete", example="./storage/turns")
    media_base_url: str = _setting("", "a CDN in front of /storage; downloads redirect there", example="https://media.example.com")
    sendfile: str = _setting("off", "let the proxy send files", example="x-accel", pattern="^(off|x-accel|x-sendfile)$")
    video_formats: Words = _setting((), "videos of each song, square first, of square, hd and story; default: the campaign's", example="square,hd,story")
    video_fps: int = _setting(30, "frames per second", example="30", ge=1, le=60)
    vinyl_rpm: float = _setting(20, "turns per minute, rounded to whole frames per turn", example="20", gt=0, le=100)
    video_resolution: int = _setting(720, "width and height, pixels", example="720", ge=120, le=2160)
    pet_image_size: int = _setting(360, "photo, pixels at 1080 scale", example="360", ge=50, le=1080)
    vinyl_size: int = _setting(736, "record, pixels at 1080 scale", example="736", ge=50, le=1080)
    video_crf: int = _setting(28, "x264 quality; lower is better and larger", example="28", ge=0, le=51)
    audio_bitrate: str = _setting("192k", "AAC", example="192k", pattern=r"^\d{2,3}k$")
    loudness_lufs: float = _setting(-14, "loudness aimed at, LUFS", example="-14", ge=-40, le=-5)
    true_peak_db: float = _setting(-1, "ceiling, dBTP", example="-1", ge=-9, le=0)
    video_assets_dir: Path | None = _setting(None, "artwork instead of the campaign's", example="/srv/art")
    video_background: str = _setting("background.png", "file in the artwork folder", example="background.png")
    video_vinyl_template: str = _setting("record.png", "file in the artwork folder", example="record.png")
    video_needle: str = _setting("needle.png", "file in the artwork folder", example="needle.png")
    ffmpeg: str = _setting("", "ffmpeg binary; default PATH, then the embedded one", example="/usr/bin/ffmpeg")

    file_retention_days: float = _setting(30, "personal data and files go after this", example="30", gt=0)
    submissions_per_hour_per_ip: int = _setting(20, "accepted posts; rejected ones tenfold", example="20", ge=1)
    results_per_hour_per_ip: int = _setting(100, "reads of /api/results", example="100", ge=1)
    song_hosts: Words = _setting(("cdn.sonauto.ai", "*.sonauto.ai", "*.treblo.com"), "where songs may be fetched from (https); scheme://host:port allows exactly that origin", example="cdn.sonauto.ai,*.treblo.com", min_length=1)
    allowed_origins: Words = _setting((), "origins that may use the API from a browser", example="https://www.example.com")
    trusted_proxies: int = _setting(0, "proxy hops whose X-Forwarded-For counts", example="1", ge=0, le=5)
    admin_username: str = _setting("admin", "operator's pages", example="admin")
    admin_password: str = _setting("", "without it the operator's pages are 404", example="a long random word")
    metrics_token: str = _setting("", "bearer token for /metrics, at least 16 characters; without it there is none (404)", example="the output of: openssl rand -hex 32", pattern="^(|.{16,})$")
    outgoing_origins: Words = _setting((), "origins that the two addresses below may use although http or in a private network", example="http://10.0.0.5:9000")
    alert_webhook_url: str = _setting("", "where alerts go, such as a chat's incoming webhook; https", example="https://chat.example.com/hooks/petsong")
    alert_webhook_secret: str = _setting("", "signs alerts: whsec_ and base64 of 24 to 64 bytes; several with spaces between", example="whsec_ZXhhbXBsZS1zZWNyZXQtZXhhbXBsZS1zZWNyZXQ=")
    events_webhook_url: str = _setting("", "where submission.succeeded and submission.failed go; https", example="https://agency.example.com/petsong")
    events_webhook_secret: str = _setting("", "signs events, in the same form; needed with EVENTS_WEBHOOK_URL", example="whsec_ZXhhbXBsZS1zZWNyZXQtZXhhbXBsZS1zZWNyZXQ=", validate_default=True)
    alert_failure_percent: float = _setting(20, "alert when so many of an hour's ended songs failed, from five failures on", example="20", gt=0, le=100)
    alert_silence_minutes: float = _setting(30, "alert when no song succeeded for so long though some wait", example="30", gt=0)
    alert_waiting_minutes: float = _setting(60, "alert when a song waits longer for its turn", example="60", gt=0)
    workers: Workers = _setting("dispatch:1,sonauto:2,downloads:2,renders:1,periodic:1", "processes per queue", example="dispatch:1,sonauto:2,downloads:2,renders:1,periodic:1", validate_default=True)
    port: int = _setting(8000, "web", example="8000", ge=1, le=65535)
    web_concurrency: int = _setting(2, "gunicorn processes of 8 threads", example="2", ge=1, le=64)
    log_level: str = _setting("INFO", "least level logged", example="INFO", pattern="^(DEBUG|INFO|WARNING|ERROR|CRITICAL)$")
    sentry_dsn: str = _setting("", "errors are reported there, without names, bodies and variables", example="https://key@errors.example.com/1")
    log_format: str = _setting("json", "json or text", example="json", pattern="^(json|text)$")

    @field_validator("external_api_url", "webhook_base_url", "public_base_url", "media_base_url")
    @classmethod
    def _web_address(cls, value: str) -> str:
        parts = _address(value)
        if value and (parts.scheme not in ("http", "https") or not parts.hostname):
            raise ValueError("is not a web address starting with https:// or http://")
        return value.rstrip("/")

    @field_validator("database_url")
    @classmethod
    def _database(cls, value: str) -> str:
        if not value.startswith(("sqlite:///", "postgresql://", "postgres://")):
            raise ValueError("is neither sqlite:///FILE nor postgresql://…")
        if len(_address(value).path) < 2:
            raise ValueError("names no file" if value.startswith("sqlite:") else "names no database")
        return value

    @field_validator("storage_url")
    @classmethod
    def _bucket(cls, value: str) -> str:
        if value:
            raise ValueError("buckets are not supported yet; leave it empty and share the folders IMG_, AUDIO_ and VIDEO_STORAGE")
        return value

    @field_validator("redis_url")
    @classmethod
    def _redis(cls, value: str) -> str:
        if not value.startswith(("redis://", "rediss://", "unix://")):
            raise ValueError("is none of redis://, rediss://, unix://")
        parts = _address(value)
        if not (parts.path if parts.scheme == "unix" else parts.hostname):
            raise ValueError("names no socket" if parts.scheme == "unix" else "names no host")
        return value

    @field_validator("allowed_origins")
    @classmethod
    def _origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for origin in value:  # compared letter by letter with what browsers send
            if not re.fullmatch(r"https?://[a-z0-9.-]+(:\d{1,5})?", origin):
                raise ValueError(f"“{origin}” is not an origin: scheme, host and port in small letters, no path, no final slash")
        return value

    @field_validator("song_hosts")
    @classmethod
    def _hosts(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for host in value:
            if not re.fullmatch(r"https?://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\])(:\d{1,5})?|(\*\.)?[A-Za-z0-9.-]+", host):
                raise ValueError(f"“{host}” is neither a host, nor *.domain, nor an origin such as http://127.0.0.1:9000")
        return value

    @field_validator("spend_limit_per_hour", "spend_limit_per_day")
    @classmethod
    def _spending(cls, value: int, info: ValidationInfo) -> int:
        price = info.data.get("song_price_credits", 0)
        if 0 < value < price:
            raise ValueError(f"is less than the {price} credits of one song (SONG_PRICE_CREDITS), so that none would ever be sent; 0 is no limit")
        return value

    @field_validator("video_formats")
    @classmethod
    def _formats(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return checked_formats(value) if value else value

    @field_validator("outgoing_origins")
    @classmethod
    def _own_network(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for origin in value:
            if not re.fullmatch(r"https?://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\])(:\d{1,5})?", origin):
                raise ValueError(f"“{origin}” is not an origin: scheme, host and port, no path")
        return value

    @field_validator("alert_webhook_url", "events_webhook_url")
    @classmethod
    def _receiver(cls, value: str, info: ValidationInfo) -> str:
        """Its path may be a secret, so nothing of it is quoted."""
        parts = _address(value)
        if value and (parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc):
            raise ValueError("is not a web address starting with https://")
        origin = f"{parts.scheme}://{parts.netloc}".lower()
        if parts.scheme == "http" and origin not in {allowed.lower() for allowed in info.data.get("outgoing_origins", ())}:
            raise ValueError("is not https; for a receiver in your own network add its origin to OUTGOING_ORIGINS")
        return value

    @field_validator("alert_webhook_secret", "events_webhook_secret")
    @classmethod
    def _signing(cls, value: str, info: ValidationInfo) -> str:
        for secret in value.split():
            if not _is_signing_secret(secret):
                raise ValueError("is not whsec_ and base64 of 24 to 64 bytes (several: with spaces between)")
        if info.field_name == "events_webhook_secret" and info.data.get("events_webhook_url") and not value:
            raise ValueError("is required where EVENTS_WEBHOOK_URL is set: the agency tells by it that an event is ours")
        return value

    @property
    def site_url(self) -> str:
        """Where visitors find us, without a final slash; empty when nobody told."""
        return self.public_base_url or self.webhook_base_url

    def backoff(self, tries: int) -> float:
        """Pause in seconds after the given number of tries (1, 2, …)."""
        return self.retry_backoff[min(max(tries, 1), len(self.retry_backoff)) - 1]


def load_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Raises SettingsError. Without `environ`: the process's own, over an .env file in the working directory."""
    if environ is None:
        environ = {**{k: v for k, v in dotenv_values(".env").items() if v is not None}, **os.environ}
    named = {name: environ[name.upper()] for name in Settings.model_fields if environ.get(name.upper(), "") != ""}
    try:
        campaign = load_campaign(named.get("campaign", Settings.model_fields["campaign"].default), check_files=True)
        limits = {key.lower(): value for key, value in campaign.limits.items()}
        return Settings.model_validate({**limits, **named})
    except CampaignError as error:
        raise SettingsError(f"CAMPAIGN: {error}") from error
    except ValidationError as error:
        raise SettingsError(_readable(error)) from None


def _readable(error: ValidationError) -> str:
    first = error.errors()[0]
    name = str(first["loc"][0])
    field = Settings.model_fields.get(name)
    if field is None:
        return f"{name.upper()}: there is no such setting; see the table in README.md"
    problem = "is required" if first["type"] == "missing" else first["msg"].removeprefix("Value error, ")
    extra = field.json_schema_extra
    example = extra.get("example") if isinstance(extra, dict) else ""
    return f"{name.upper()}: {problem}. Right would be: {name.upper()}={example}"


def describe() -> list[tuple[str, str, str]]:
    """(variable, default, description) of every setting, in the order of the table."""
    rows = []
    for name, field in Settings.model_fields.items():
        default = "required" if field.is_required() else field.default
        shown = ",".join(f"{part:g}" if isinstance(part, float) else part for part in default) if isinstance(default, tuple) else default
        rows.append((name.upper(), "" if shown is None else str(shown), field.description or ""))
    return rows
