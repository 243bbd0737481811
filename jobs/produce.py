"""Photo and song become a video."""
import logging
import tempfile
from pathlib import Path
from typing import Any

from jobs.renditions import send_for_next
from jobs.tools import Tools, tools
from jobs.wrapper import held, job, named_in_log, recorded, without_database
from petsong import database
from petsong.database import db
from petsong.lifecycle import renditions
from petsong.lifecycle.claims import Claim, advance, fail, release, write
from petsong.lifecycle.recovery import longest_waiting
from petsong.lifecycle.stages import ENDS, MAX_TRIES, Stage
from petsong.models import Rendition, Submission
from petsong.storage import StorageError
from render.audio import AudioReport
from render.spec import RenderError
from render.video import VideoFacts, make_poster, make_preview, prepare_turn, render_video

log = logging.getLogger(__name__)
RENDER_SECONDS = 240
LEASE_SECONDS = 300
OWN_FAULT_SECONDS = 600


@job
def prepare_record(session_id: str) -> None:
    """This photo's turn, ahead of time, while the song is made. Nobody waits for it; what is missing is made later."""
    t = tools()
    row = Submission.get_or_none(Submission.session_id == session_id)
    if row is None or row.stage in ENDS:
        return
    spec = t.video_spec(t.campaign(row.campaign))
    try:
        with without_database(), t.storage.open_local(row.photo_path) as photo:
            prepare_turn(photo, spec, t.settings.turn_cache, ffmpeg=t.ffmpeg)
    except (RenderError, StorageError) as error:
        log.warning("record not prepared", extra={"reason": str(error)})


@job
def create_video(session_id: str) -> None:
    """One video: of the song that waits longest. Messages come newest first, because they go before the prepared turns."""
    t = tools()
    longest = longest_waiting(Stage.RENDERING)
    if longest not in (None, session_id):
        t.queues.enqueue("create_video", session_id, front=True)  # its turn comes as well
    _create_video(t, longest or session_id)
    send_for_next(t)


def _create_video(t: Tools, session_id: str) -> None:
    with named_in_log(session_id), held(session_id, Stage.RENDERING, LEASE_SECONDS, t.settings) as claim:
        if claim is None:
            return
        row = Submission.get_by_id(session_id)
        write(claim, video_creation_start=database.now(), video_creation_end=None)
        try:
            with tempfile.TemporaryDirectory(prefix="petsong-job-") as folder:
                _render(t, claim, row, Path(folder))
        except RenderError as error:
            _render_failed(t, claim, error.code, f"{error}\n{error.detail}")
        except StorageError as error:
            _render_failed(t, claim, "file_missing", str(error))
        except OSError as error:  # a full disk, say: not the song's fault; the limit of the stage ends it
            log.error("render failed", extra={"reason": "storage_failed"})
            release(claim, check_in=OWN_FAULT_SECONDS, tries=claim.tries - 1, reason="storage_failed", detail=str(error))


def _render(t: Tools, claim: Claim, row: Any, folder: Path) -> None:
    files, facts = make_files(t, row, folder)
    recorded(lambda: _publish(t, claim, files, facts, t.formats(t.campaign(row.campaign))[1:]))


def make_files(t: Tools, row: Any, folder: Path) -> tuple[dict[str, Path], VideoFacts]:
    """The song's video and pictures into `folder`, by kind; no database connection is held meanwhile.

    Raises RenderError, StorageError, OSError.
    """
    spec = t.video_spec(t.campaign(row.campaign))
    report = AudioReport.from_dict(row.audio_report) if row.audio_report else None
    files = {kind: folder / name for kind, name in (("video", "v.mp4"), ("poster", "p.jpg"), ("preview", "l.jpg"))}
    open_local = t.storage.open_local
    with without_database(), open_local(row.photo_path) as photo, open_local(row.generated_song_path) as song:
        facts = render_video(
            photo, song, files["video"], spec, ffmpeg=t.ffmpeg, report=report, cache=t.settings.turn_cache,
            timeout=RENDER_SECONDS,
        )
        make_poster(photo, spec, files["poster"])
        make_preview(photo, spec, files["preview"])
    return files, facts


def _publish(t: Tools, claim: Claim, files: dict[str, Path], facts: VideoFacts, further: tuple[str, ...]) -> None:
    """Files first, then the row. Keys carry the claim's number: a worker that wakes up late overwrites nothing."""
    stem = f"video/{claim.session_id}.{claim.number}"
    keys = {"video": f"{stem}.mp4", "poster": f"{stem}.poster.jpg", "preview": f"{stem}.preview.jpg"}
    write(claim, claim_no=claim.number)
    for kind, path in files.items():
        if path.exists():
            t.storage.put_file(keys[kind], path)
    moment = database.now()
    with db.atomic():
        for kind in ("poster", "preview"):
            Rendition.insert(submission=claim.session_id, kind=kind, path=keys[kind], made_at=moment).on_conflict(
                conflict_target=[Rendition.submission, Rendition.kind],
                update={Rendition.path: keys[kind], Rendition.made_at: moment},
            ).execute()
        renditions.order(claim.session_id, further, moment)
        advance(
            claim, Stage.DONE, reason="video_stored", generated_video_path=keys["video"], video_creation_end=moment,
            loudness=facts.gain, fail_reason=None,
        )
    log.info("video ready", extra={"seconds": facts.seconds, "bytes": facts.bytes})


def _render_failed(t: Tools, claim: Claim, code: str, detail: str) -> None:
    log.error("render failed", extra={"reason": code, "tries": claim.tries, "tail": detail[-500:]})
    moment = database.now()
    if claim.tries >= MAX_TRIES[Stage.RENDERING]:
        fail(claim, code, detail=detail, video_creation_end=moment)
    else:
        release(claim, check_in=t.settings.backoff(claim.tries), reason=code, detail=detail, video_creation_end=moment)
