"""GET /api/results/<id>."""
import re
from datetime import datetime, timedelta
from typing import Any

from flask import Blueprint, Response, jsonify
from flask_limiter import Limiter

from petsong.campaigns.loader import FORMATS
from petsong.lifecycle.stages import Stage
from petsong.models import find_submission
from petsong.openapi import JSON, Answer, documented
from petsong.schemas import Download, FailedError, FinishedResult, Result, SongError
from petsong.settings import Settings
from petsong.web import texts
from petsong.web.errors import ApiError, expired, session_not_found
from petsong.web.extension import parts
from petsong.web.submissions import etagged

FAILED_MESSAGE = "Video generation failed. Please try again."


def make_blueprint(settings: Settings, limiter: Limiter) -> Blueprint:
    blueprint = Blueprint("results", __name__)

    @blueprint.get("/api/results/<session_id>")
    @limiter.limit(f"{settings.results_per_hour_per_ip}/hour")
    @documented(
        "The finished song", tag="Songs", headers=("If-None-Match",),
        answers={200: Answer("The song", FinishedResult, JSON, ("ETag",)), 304: Answer("As before", headers=("ETag",))},
        errors=(("failed", FailedError), "session_not_found", ("not_ready", SongError), ("expired", SongError),
                "too_many_requests"),
    )
    def result(session_id: str) -> Response:
        row = find_submission(session_id)
        if row is None:
            raise session_not_found()
        _require_finished(row)
        return etagged(jsonify(finished(settings, row).model_dump(mode="json")))

    return blueprint


def _require_finished(row: Any) -> None:
    known = _known(row)
    if row.files_removed_at is not None:
        raise expired(**known)
    if row.stage == Stage.FAILED:
        raise ApiError(400, "failed", "Video generation failed", FAILED_MESSAGE, reason=row.fail_reason, **known)
    if row.stage != Stage.DONE:
        raise ApiError(409, "not_ready", "not_ready", "This song is not ready yet. Please check back later.", **known)


def _known(row: Any) -> dict[str, Any]:
    return Result(
        success=False, session_id=row.session_id, status=row.entry_status, owner_name=row.owner_name,
        pet_name=row.pet_name, created_at=row.created_at,
    ).model_dump(mode="json", exclude={"success"})


def expires_at(settings: Settings, row: Any) -> datetime:
    moment: datetime = row.created_at + timedelta(days=settings.file_retention_days)
    return moment


def finished(settings: Settings, row: Any) -> FinishedResult:
    session_id, renditions = row.session_id, list(row.renditions)
    kinds = {rendition.kind for rendition in renditions}
    return FinishedResult(
        success=True, session_id=session_id, status=row.entry_status, owner_name=row.owner_name, pet_name=row.pet_name,
        created_at=row.created_at, video_url=f"/storage/video/{session_id}.mp4", lyrics=row.lyrics or "",
        poster_url=f"/storage/poster/{session_id}.jpg" if "poster" in kinds else None,
        captions_url=f"/storage/captions/{session_id}.vtt" if row.word_timing else None,
        duration_seconds=row.audio_seconds, expires_at=expires_at(settings, row),
        downloads=downloads_of(row, renditions),
    )


def downloads_of(row: Any, renditions: list[Any]) -> list[Download]:
    """The videos that are there, square first."""
    made = {rendition.kind: rendition for rendition in renditions if rendition.path}
    side = parts().settings.video_resolution
    found = [_download(row, "square", width=side, height=side, size=_size(row.generated_video_path))]
    for kind in (kind for kind in FORMATS if kind in made):
        it = made[kind]
        found.append(_download(row, kind, width=it.width, height=it.height, size=it.bytes))
    return found


def _download(row: Any, kind: str, *, width: int | None, height: int | None, size: int | None) -> Download:
    further = "" if kind == "square" else f".{kind}"
    return Download(
        format=kind, label=texts.FORMATS[kind], url=f"/storage/video/{row.session_id}{further}.mp4?download=1",
        filename=friendly_name(row, "mp4", kind), width=width, height=height, bytes=size,
    )


def _size(key: str | None) -> int | None:
    facts = parts().storage.stat(key) if key else None
    return facts.size if facts else None


def more_to_come(renditions: list[Any]) -> bool:
    """Whether further formats of the song are still being made."""
    return any(not rendition.path and rendition.next_try_at for rendition in renditions)


def friendly_name(row: Any, ending: str, kind: str = "square") -> str:
    """What a browser calls the file: one line without the separators of folders."""
    further = f" ({texts.FORMATS[kind]})" if kind in FORMATS[1:] else ""
    name = f"{row.pet_name} - {parts().campaign_of(row).title}{further}.{ending}"
    return re.sub(r"\s+", " ", re.sub(r"[/\\]", "-", name)).strip()
