"""Back from the song service: the read-back, the MP3, the words' timing."""
import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jobs.tools import Tools, tools
from jobs.wrapper import given_back, held, holder, job, recorded, without_database
from petsong import database
from petsong.database import db
from petsong.downloads import DownloadError, download_song
from petsong.lifecycle.claims import Claim, advance, later, release, write
from petsong.lifecycle.orders import end_without_song
from petsong.lifecycle.readback import (
    finish_readback,
    open_questions,
    record_news,
    take_for_readback,
)
from petsong.lifecycle.stages import MAX_TRIES, Stage
from petsong.models import Submission
from petsong.sonauto import TaskAnswer
from render.audio import AudioReport, check_song
from render.spec import RenderError

log = logging.getLogger(__name__)
READBACK_LEASE_SECONDS = 210
DOWNLOAD_LEASE_SECONDS = 180
UNREACHABLE_SECONDS = 600
TIMING_PAUSES_SECONDS = (5, 300)  # the pause is as long as it took so far, within these
TIMING_MAX_SECONDS = 1800
OUR_OWN_FAULTS = ("ffmpeg_missing",)


# ---- the read-back

@job
def fetch_generation_details(session_id: str) -> None:
    t = tools()
    row = Submission.get_or_none(Submission.session_id == session_id)
    if row is None:
        return
    claim = None
    if row.stage in (Stage.SENDING, Stage.GENERATING):
        claim = take_for_readback(session_id, READBACK_LEASE_SECONDS, holder())
        if claim is None:
            return  # not due, or its sender is still at it and will see the hint
    with given_back(claim, t.settings):
        _read_back(t, session_id, claim)


def _read_back(t: Tools, session_id: str, claim: Claim | None) -> None:
    asked_at, moved = None, None
    for question in open_questions(session_id):
        with without_database():
            answer = _ask(t, question.task_id)
        asked_at = question.asked_at
        news = recorded(lambda q=question, a=answer, c=claim: record_news(t.settings, c, q, a))  # type: ignore[misc]
        if news is not None:
            moved = news
            break  # the claim ended with the move; the row's other orders are asked about when it is due again
    again = False
    if moved is None:
        again = finish_readback(t.settings, claim, session_id, asked_at)
    _next(t, session_id, moved, again)


def _ask(t: Tools, task_id: str) -> TaskAnswer:
    """That a task is not known counts only from a service that knows us: a wrong base address answers 404 to everything."""
    answer = t.service.fetch(task_id)
    if answer.reachable and not answer.known and t.service.balance() is None:
        return TaskAnswer(reachable=False)
    return answer


def _next(t: Tools, session_id: str, moved: Stage | None, again: bool) -> None:
    if moved == Stage.DOWNLOADING:
        t.queues.enqueue("download_audio", session_id)
    if moved == Stage.FAILED:
        log.error("submission failed", extra={"session_id": session_id})
    if again or moved == Stage.SENDING:
        t.queues.enqueue("fetch_generation_details", session_id)
    t.queues.enqueue("process_pending_queue")  # a slot may be free


# ---- the MP3

@job
def download_audio(session_id: str) -> None:
    t = tools()
    with held(session_id, Stage.DOWNLOADING, DOWNLOAD_LEASE_SECONDS, t.settings) as claim:
        if claim is None:
            return
        row = Submission.get_by_id(session_id)
        try:
            with _scratch() as folder:
                _fetch_song(t, claim, row, folder / "song.mp3")
        except DownloadError as error:
            _download_failed(t, claim, error.code, str(error), counts=error.permanent or error.code != "service_unreachable")
            return
        except RenderError as error:
            _download_failed(t, claim, error.code, f"{error}\n{error.detail}", counts=error.code not in OUR_OWN_FAULTS)
            return
        except OSError as error:  # a full disk, say: not the song's fault
            _download_failed(t, claim, "storage_failed", str(error), counts=False)
            return
    t.queues.enqueue("create_video", session_id, front=True)


def _fetch_song(t: Tools, claim: Claim, row: Any, song: Path) -> None:
    waited = (database.now() - row.stage_since).total_seconds() > UNREACHABLE_SECONDS / 2
    with without_database():
        fresh = _ask_again(t, row) if claim.tries > 1 or waited or not row.llm_response else None
        url = fresh or row.llm_response
        if not url:
            raise DownloadError("no_song", "The service says SUCCESS but names no song.", permanent=True)
        download_song(url, song, allowed_hosts=t.settings.song_hosts)
        report = check_song(song, ffmpeg=t.ffmpeg)
    recorded(lambda: _keep_song(t, claim, url, song, report))


def _ask_again(t: Tools, row: Any) -> str | None:
    """The address of a song may have changed, or have been missing at first."""
    answer = t.service.fetch(row.llm_task_id)
    return answer.song_url if answer.reachable else None


def _keep_song(t: Tools, claim: Claim, url: str, song: Path, report: AudioReport) -> None:
    """The claim's number is part of the key: a frozen worker that wakes up overwrites nobody's song."""
    key = f"audio/{claim.session_id}.{claim.number}.mp3"
    write(claim, claim_no=claim.number)  # not ours any more: put nothing
    if song.exists():
        t.storage.put_file(key, song)
    advance(
        claim, Stage.RENDERING, reason="song_stored", llm_response=url, generated_song_path=key,
        audio_report=report.as_dict(), audio_seconds=report.seconds,
    )


def _download_failed(t: Tools, claim: Claim, code: str, detail: str, *, counts: bool) -> None:
    log.warning("download failed", extra={"reason": code, "tries": claim.tries})
    if not counts:
        release(claim, check_in=UNREACHABLE_SECONDS, tries=claim.tries - 1, reason=code, detail=detail)
    elif claim.tries >= MAX_TRIES[Stage.DOWNLOADING]:
        if end_without_song(t.settings, claim, code, detail=detail) == Stage.FAILED:
            log.error("submission failed", extra={"reason": code})
    else:
        release(claim, check_in=t.settings.backoff(claim.tries), reason=code, detail=detail)


@contextmanager
def _scratch() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="petsong-job-") as folder:
        yield Path(folder)


# ---- the words' timing, which never holds up a video

@job
def fetch_word_timing(session_id: str) -> None:
    t = tools()
    row = Submission.get_or_none(Submission.session_id == session_id)
    if row is None or row.timing_check_at is None or not row.llm_task_id:
        return
    with without_database():
        answer = t.service.fetch(row.llm_task_id)
    moment = database.now()
    waited = (moment - row.received_from_llm).total_seconds() if row.received_from_llm else TIMING_MAX_SECONDS
    again = answer.word_timing is None and answer.alignment != "failed" and waited < TIMING_MAX_SECONDS
    shortest, longest = TIMING_PAUSES_SECONDS
    due = later(moment, min(max(waited, shortest), longest)) if again else None
    with db.atomic():
        columns = {"word_timing": answer.word_timing} if answer.word_timing else {}
        Submission.update(timing_check_at=due, **columns).where(
            Submission.session_id == session_id, Submission.timing_check_at == row.timing_check_at,
            Submission.files_removed_at.is_null(),
        ).execute()


