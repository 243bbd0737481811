"""Further formats of a finished song: small jobs for which nobody waits, and whose failure touches nothing else."""
import logging
import tempfile
from pathlib import Path
from typing import Any

from jobs.tools import Tools, tools
from jobs.wrapper import job, recorded, without_database
from petsong import logs
from petsong.lifecycle import renditions
from petsong.lifecycle.recovery import longest_waiting
from petsong.lifecycle.renditions import Errand
from petsong.lifecycle.stages import Stage
from petsong.models import Submission
from petsong.storage import StorageError
from render.audio import AudioReport
from render.spec import RenderError, VideoSpec
from render.video import VideoFacts, render_video

log = logging.getLogger(__name__)
RENDER_SECONDS = 240
LEASE_SECONDS = 300


@job
def create_rendition() -> None:
    """The one that is due for the longest time. While somebody waits for a video this stands back: that job, or the sweep,
    sends for it again."""
    t = tools()
    if longest_waiting(Stage.RENDERING):
        return
    errand = renditions.take_next(LEASE_SECONDS)
    if errand is None:
        return
    send_for_next(t)
    with logs.bind(session_id=errand.session_id, format=errand.kind):
        _create(t, errand)


def send_for_next(t: Tools) -> None:
    """One message is enough for all that is due: it brings the next."""
    if renditions.is_due():
        t.queues.enqueue("create_rendition")


def _create(t: Tools, errand: Errand) -> None:
    try:
        with tempfile.TemporaryDirectory(prefix="petsong-job-") as folder:
            _render(t, errand, Path(folder) / "v.mp4")
    except (RenderError, StorageError, OSError) as error:
        detail = error.detail[-500:] if isinstance(error, RenderError) else ""
        log.info("render failed", extra={"tail": f"{error}\n{detail}"})
        reason = error.code if isinstance(error, RenderError) else type(error).__name__
        renditions.put_off(errand, t.settings.backoff(errand.tries), reason)


def _render(t: Tools, errand: Errand, out: Path) -> None:
    """The finished video's sound is taken as it is, so that all formats sound alike and none of it is encoded twice."""
    row: Any = Submission.get_by_id(errand.session_id)
    campaign = t.campaign(row.campaign)
    caption = campaign.caption(owner_name=row.owner_name, pet_name=row.pet_name)
    spec = t.video_spec(campaign, errand.kind, caption)
    report = AudioReport.from_dict(row.audio_report) if row.audio_report else None
    photo_key, song_key, square_key = row.photo_path, row.generated_song_path, row.generated_video_path
    open_local = t.storage.open_local
    with without_database(), open_local(photo_key) as photo, open_local(song_key) as song, open_local(square_key) as square:
        facts = render_video(
            photo, song, out, spec, ffmpeg=t.ffmpeg, report=report, sound=square, timeout=RENDER_SECONDS
        )
    recorded(lambda: _publish(t, errand, out, spec, facts))


def _publish(t: Tools, errand: Errand, out: Path, spec: VideoSpec, facts: VideoFacts) -> None:
    """The file first, then the row. Its key carries the claim's number: one that comes late overwrites nothing."""
    key = f"video/{errand.session_id}.{errand.kind}.{errand.number}.mp4"
    if out.exists():
        t.storage.put_file(key, out)
    if renditions.finish(errand, key, width=spec.width, height=spec.height, size=facts.bytes):
        log.info("format ready", extra={"seconds": facts.seconds, "bytes": facts.bytes})
    else:
        t.storage.delete(key)
        log.info("format no longer ours", extra={"tries": errand.tries})
