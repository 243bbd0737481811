"""A finished song's video, made anew. Nobody waits for it: it stands behind the videos that somebody waits for."""
import logging
import tempfile
from pathlib import Path

from jobs.produce import make_files
from jobs.renditions import send_for_next
from jobs.tools import Tools, tools
from jobs.wrapper import job, recorded
from petsong.lifecycle import rerendering
from petsong.lifecycle.rerendering import Errand
from petsong.models import Submission
from petsong.storage import StorageError
from render.spec import RenderError
from render.video import VideoFacts

log = logging.getLogger(__name__)
LEASE_SECONDS = 300


@job
def rerender_video(session_id: str) -> None:
    t = tools()
    errand = rerendering.take(session_id, LEASE_SECONDS)
    if errand is None:
        return
    try:
        with tempfile.TemporaryDirectory(prefix="petsong-job-") as folder:
            files, facts = make_files(t, Submission.get_by_id(session_id), Path(folder))
            recorded(lambda: _publish(t, errand, files, facts))
    except (RenderError, StorageError, OSError) as error:
        detail = f"{error}\n{error.detail}" if isinstance(error, RenderError) else str(error)
        log.error("render failed", extra={"tries": errand.tries, "tail": detail[-500:]})
        rerendering.put_off(errand, t.settings.backoff(errand.tries), detail)
    send_for_next(t)


def _publish(t: Tools, errand: Errand, files: dict[str, Path], facts: VideoFacts) -> None:
    """Files first, then the row. Keys carry the errand's number: one that comes late overwrites nothing."""
    stem = f"video/{errand.session_id}.{errand.number}"
    keys = {"video": f"{stem}.mp4", "poster": f"{stem}.poster.jpg", "preview": f"{stem}.preview.jpg"}
    for kind, path in files.items():
        if path.exists():
            t.storage.put_file(keys[kind], path)
    pictures = {kind: keys[kind] for kind in rerendering.PICTURES}
    if rerendering.replace_video(errand, keys["video"], pictures, facts.gain):
        log.info("video replaced", extra={"seconds": facts.seconds, "bytes": facts.bytes})
        return
    for key in keys.values():
        t.storage.delete(key)
    log.info("video no longer wanted")
