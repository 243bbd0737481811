"""GET /api/results/<id>."""
import re
from datetime import datetime, timedelta
from typing import Any

from flask import Blueprint, Response, jsonify
from flask_limiter import Limiter

from petsong.lifecycle.stages import Stage
from petsong.models import find_submission
from petsong.schemas import Download, FinishedResult, Result
from petsong.settings import Settings
from petsong.web.errors import ApiError, session_not_found
from petsong.web.extension import parts
from petsong.web.submissions import etagged

FAILED_MESSAGE = "Video generation failed. Please try again."


def make_blueprint(settings: Settings, limiter: Limiter) -> Blueprint:
    blueprint = Blueprint("results", __name__)

    @blueprint.get("/api/results/<session_id>")
    @limiter.limit(f"{settings.results_per_hour_per_ip}/hour")
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
        raise ApiError(
            410, "expired", "expired", "This song has expired. Its files were removed, as announced.", **known
        )
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
    session_id = row.session_id
    kinds = {rendition.kind for rendition in row.renditions}
    video = f"/storage/video/{session_id}.mp4"
    return FinishedResult(
        success=True, session_id=session_id, status=row.entry_status, owner_name=row.owner_name, pet_name=row.pet_name,
        created_at=row.created_at, video_url=video, lyrics=row.lyrics or "",
        poster_url=f"/storage/poster/{session_id}.jpg" if "poster" in kinds else None,
        captions_url=f"/storage/captions/{session_id}.vtt" if row.word_timing else None,
        duration_seconds=row.audio_seconds, expires_at=expires_at(settings, row),
        downloads=[Download(format="square", url=f"{video}?download=1", filename=friendly_name(row, "mp4"))],
    )


def friendly_name(row: Any, ending: str) -> str:
    """What a browser calls the file: one line without the separators of folders."""
    name = f"{row.pet_name} - {parts().campaign_of(row).title}.{ending}"
    return re.sub(r"\s+", " ", re.sub(r"[/\\]", "-", name)).strip()
