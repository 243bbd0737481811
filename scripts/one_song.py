"""One song over HTTP, as a browser would: submit, follow the stages, fetch the result, check the video."""

import base64
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import requests

LONGEST_PAUSE_SECONDS = 0.25
PATIENCE_SECONDS = 30.0  # how long the site may be away in a row: a restart of a process must not fail a song


class SongFailed(RuntimeError):
    """The song did not come; the message names the stage and the reason."""


@dataclass(frozen=True)
class Order:
    photo: bytes  # a whole JPEG or PNG file
    pet_name: str
    pet_type: str
    music_vibe: str
    owner_name: str

    def body(self) -> dict[str, str]:
        """The JSON of POST /api/submissions."""
        return {
            "pet_name": self.pet_name,
            "pet_type": self.pet_type,
            "photo": base64.b64encode(self.photo).decode(),
            "music_vibe": self.music_vibe,
            "owner_name": self.owner_name,
        }


@dataclass
class Progress:
    """Where the song is, for whoever shows it, and how long each stage took so far."""

    session_id: str
    stage: str = "queued"
    percent: int = 0
    began: float = field(default_factory=time.monotonic)
    seconds: dict[str, float] = field(default_factory=dict)
    _since: float = 0.0

    def __post_init__(self) -> None:
        self._since = self.began

    def update(self, status: dict[str, Any]) -> None:
        """Take in one answer of the status address."""
        now = time.monotonic()
        stage = str(status.get("stage") or status["status"])
        self.percent = int(status.get("progress") or 0)
        self.seconds[self.stage] = self.seconds.get(self.stage, 0.0) + now - self._since
        self.stage, self._since = stage, now

    def report(self) -> dict[str, float]:
        """Seconds per stage that was passed, and in total."""
        passed = {stage: round(spent, 2) for stage, spent in self.seconds.items() if stage not in ("done", "failed")}
        return {**passed, "total": round(self._since - self.began, 2)}


class Visitor:
    """A browser's part. Every method raises SongFailed when the site refuses or stays away."""

    def __init__(self, site: str) -> None:
        self._site = site
        self._session = requests.Session()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._session.close()

    def submit(self, order: Order) -> Progress:
        """Post the form; the key makes a repeat after a lost answer harmless."""
        began = time.monotonic()
        key = {"Idempotency-Key": str(uuid.uuid4())}
        answer = self._insist(
            lambda: self._session.post(f"{self._site}/api/submissions", json=order.body(), headers=key, timeout=15)
        )
        if answer.status_code != 200:
            raise SongFailed(f"submitting: {_message(answer)}")
        return Progress(answer.json()["session_id"], began=began)

    def follow(self, progress: Progress, show: Callable[[Progress], None], seconds: float) -> None:
        """Poll until the song is done. Raises SongFailed when it failed or takes longer than `seconds`."""
        address = f"{self._site}/api/submissions/{progress.session_id}/status"
        while True:
            answer = self._insist(lambda: self._session.get(address, timeout=10))
            if answer.status_code != 200:
                raise SongFailed(f"{progress.stage}: {_message(answer)}")
            status, before = answer.json(), progress.stage
            progress.update(status)
            if status["status"] == "fail":
                raise SongFailed(f"{before}: {status.get('reason') or 'no reason given'} - {status.get('message', '')}")
            show(progress)
            if status["status"] == "success":
                return
            if time.monotonic() - progress.began > seconds:
                raise SongFailed(f"{progress.stage}: not done after {seconds:g} s")
            time.sleep(min(float(status.get("poll_after_seconds") or 1), LONGEST_PAUSE_SECONDS))

    def fetch_video(self, session_id: str, folder: Path) -> Path:
        """Fetch the result and its video; the file below folder (<id>….mp4) that was served."""
        answer = self._insist(lambda: self._session.get(f"{self._site}/api/results/{session_id}", timeout=10))
        if answer.status_code != 200:
            raise SongFailed(f"result: {_message(answer)}")
        address = f"{self._site}{answer.json()['video_url']}"
        video = self._insist(lambda: self._session.get(address, timeout=60))
        if video.status_code != 200 or video.headers.get("Content-Type") != "video/mp4":
            raise SongFailed(f"result: {address} answers {video.status_code} {video.headers.get('Content-Type')}")
        if video.content[4:8] == b"ftyp":
            for file in folder.glob(f"{session_id}*.mp4"):
                if file.read_bytes() == video.content:
                    return file
        raise SongFailed(f"result: {address} is not an MP4 that lies in {folder}")

    def _insist(self, call: Callable[[], requests.Response]) -> requests.Response:
        """Repeat over refused connections and passing 5xx answers, as long as patience lasts."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                answer = call()
                if answer.status_code < 500 or time.monotonic() > deadline:
                    return answer
            except requests.RequestException as error:
                if time.monotonic() > deadline:
                    raise SongFailed(f"the site is away: {error}") from error
            time.sleep(LONGEST_PAUSE_SECONDS)


def _message(answer: requests.Response) -> str:
    try:
        said = answer.json()
        fields = said.get("fields") or {}
        details = "; ".join(f"{name}: {problem}" for name, problem in fields.items())
        return f"{answer.status_code} {said.get('code') or said.get('reason')} - {details or said.get('message')}"
    except (ValueError, AttributeError):
        return f"{answer.status_code} {answer.reason}"
