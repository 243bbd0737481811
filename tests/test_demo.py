"""The parts of the demo: its state folder, its visitor, what it shows. tests/test_demo_whole.py runs all of it."""

import base64
import io
import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from scripts import demo_run, one_song, stack
from scripts.cartoon import cartoon_pet
from scripts.one_song import Order, Progress, SongFailed, Visitor
from scripts.stack import StackError, State

ORDER = Order(b"photo", "Biscuit", "Dog", "Party", "Robin")
MP4 = b"\0\0\0\x18ftypisom" + b"v" * 5000


class Site:
    """Answers by path, each list in turn, the last one for ever; an int is a status without a body."""

    def __init__(self) -> None:
        self.answers: dict[str, list[Any]] = {}
        self.posts: list[tuple[dict[str, Any], str]] = []
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer()

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                site.posts.append((body, self.headers["Idempotency-Key"]))
                self._answer()

            def _answer(self) -> None:
                queue = site.answers[self.path]
                code, body = queue.pop(0) if len(queue) > 1 else queue[0]
                data = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(code)
                self.send_header("Content-Type", "video/mp4" if isinstance(body, bytes) else "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setattr(one_song, "LONGEST_PAUSE_SECONDS", 0.01)
    made = Site()
    thread = threading.Thread(target=made.server.serve_forever, args=(0.01,))
    thread.start()
    yield made
    made.server.shutdown()
    made.server.server_close()
    thread.join()


@pytest.fixture
def visitor(site: Site) -> Iterator[Visitor]:
    with Visitor(site.url) as made:
        yield made


def status(stage: str, entry: str = "processing", **more: Any) -> tuple[int, dict[str, Any]]:
    return 200, {"session_id": "s1", "status": entry, "stage": stage, "progress": 50, "poll_after_seconds": 10, **more}


def test_the_form_is_posted_as_a_browser_would(site: Site, visitor: Visitor) -> None:
    site.answers = {"/api/submissions": [(200, {"session_id": "s1"})]}
    assert visitor.submit(ORDER).session_id == "s1"
    body, key = site.posts[0]
    assert base64.b64decode(body.pop("photo")) == b"photo"
    assert body == {"pet_name": "Biscuit", "pet_type": "Dog", "music_vibe": "Party", "owner_name": "Robin"}
    assert len(key) >= 16


def test_a_post_that_was_answered_by_an_error_is_repeated_under_the_same_key(site: Site, visitor: Visitor) -> None:
    site.answers = {"/api/submissions": [(503, {"code": "unavailable"}), (200, {"session_id": "s1"})]}
    visitor.submit(ORDER)
    assert len(site.posts) == 2
    assert site.posts[0][1] == site.posts[1][1]


def test_a_refused_form_says_which_field(site: Site, visitor: Visitor) -> None:
    refused = {"code": "validation_failed", "message": "Only letters", "fields": {"pet_name": "Only letters"}}
    site.answers = {"/api/submissions": [(400, refused)]}
    with pytest.raises(SongFailed, match="submitting: 400 validation_failed - pet_name: Only letters"):
        visitor.submit(ORDER)


def test_every_stage_is_followed_and_timed(site: Site, visitor: Visitor) -> None:
    answers = [status("queued", "pending"), status("generating"), status("rendering"), status("done", "success")]
    site.answers = {"/api/submissions/s1/status": answers}
    shown: list[str] = []
    progress = Progress("s1")
    visitor.follow(progress, lambda now: shown.append(now.stage), seconds=10)
    assert shown == ["queued", "generating", "rendering", "done"]
    report = progress.report()
    assert list(report) == ["queued", "generating", "rendering", "total"]
    assert report["total"] == pytest.approx(sum(report.values()) - report["total"], abs=0.05)


def test_a_failed_song_names_the_stage_and_the_reason(site: Site, visitor: Visitor) -> None:
    failed = status("failed", "fail", reason="song_failed", message="We couldn't generate your song.")
    site.answers = {"/api/submissions/s1/status": [status("generating"), failed]}
    with pytest.raises(SongFailed, match="generating: song_failed - We couldn't"):
        visitor.follow(Progress("s1"), lambda now: None, seconds=10)


def test_a_song_that_takes_too_long_is_given_up(site: Site, visitor: Visitor) -> None:
    site.answers = {"/api/submissions/s1/status": [status("generating")]}
    with pytest.raises(SongFailed, match="generating: not done after 0.1 s"):
        visitor.follow(Progress("s1"), lambda now: None, seconds=0.1)


def test_a_site_that_stays_away_ends_the_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(one_song, "PATIENCE_SECONDS", 0.1)
    with Visitor(f"http://127.0.0.1:{stack.free_port()}") as visitor:
        with pytest.raises(SongFailed, match="the site is away"):
            visitor.submit(ORDER)


@pytest.mark.parametrize(
    ("served", "on_disk"), [(MP4, MP4[:-1]), (b"<html>", b"<html>"), (MP4, None)], ids=["cut", "no mp4", "no file"]
)
def test_a_video_that_is_not_a_file_on_the_disk_fails(
    site: Site, visitor: Visitor, tmp_path: Path, served: bytes, on_disk: bytes | None
) -> None:
    site.answers = {
        "/api/results/s1": [(200, {"video_url": "/storage/video/s1.mp4"})],
        "/storage/video/s1.mp4": [(200, served)],
    }
    if on_disk is not None:
        (tmp_path / "s1.2.mp4").write_bytes(on_disk)
    with pytest.raises(SongFailed, match="is not an MP4 that lies in"):
        visitor.fetch_video("s1", tmp_path)


def test_the_file_of_a_video_is_told_from_an_earlier_one_of_the_same_song(
    site: Site, visitor: Visitor, tmp_path: Path
) -> None:
    site.answers = {
        "/api/results/s1": [(200, {"video_url": "/storage/video/s1.mp4"})],
        "/storage/video/s1.mp4": [(200, MP4)],
    }
    (tmp_path / "s1.4.mp4").write_bytes(MP4 + b"old")
    (tmp_path / "s1.5.mp4").write_bytes(MP4)
    assert visitor.fetch_video("s1", tmp_path) == tmp_path / "s1.5.mp4"


def test_plain_lines_name_every_stage_once(capsys: pytest.CaptureFixture[str]) -> None:
    show = demo_run.stages_shown()
    for stage in ("queued", "queued", "generating", "generating", "done"):
        show(Progress("s1", stage=stage))
    lines = capsys.readouterr().err.splitlines()
    assert [line.split()[-1] for line in lines] == ["queued", "generating", "done"]


def test_a_second_demo_on_the_same_folder_is_told_the_way_out(tmp_path: Path) -> None:
    first = State(tmp_path)
    with pytest.raises(StackError, match="in use by another demo.*--state DIR"):
        State(tmp_path)
    first.close()
    State(tmp_path).close()


def test_the_secret_is_made_once_and_for_the_owner_alone(tmp_path: Path) -> None:
    state = State(tmp_path)
    secret = state.secret_key()
    assert len(secret) == 64
    assert (tmp_path / "secret_key").stat().st_mode & 0o777 == 0o600
    assert state.secret_key() == secret
    (tmp_path / "secret_key").write_text("cut")
    assert len(state.secret_key()) == 64
    state.close()


def test_the_ports_of_last_time_are_taken_again_unless_somebody_has_them(tmp_path: Path) -> None:
    state = State(tmp_path)
    web, sandbox = state.port("web"), state.port("sandbox")
    assert web != sandbox
    assert (state.port("web"), state.port("sandbox")) == (web, sandbox)
    with socket.socket() as other:
        other.bind(("127.0.0.1", web))
        other.listen()
        assert state.port("web") != web
    state.close()


def test_a_preferred_port_that_is_taken_is_left_to_its_owner(tmp_path: Path) -> None:
    state = State(tmp_path)
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        assert state.port("web", preferred=taken) != taken
    state.close()


def test_the_socket_folder_of_a_killed_demo_is_removed_at_the_next_start(tmp_path: Path) -> None:
    state = State(tmp_path)
    left = state.redis_folder()
    assert left.stat().st_mode & 0o777 == 0o700
    assert len(str(left / "redis.sock")) < 100
    second = state.redis_folder()
    assert not left.exists()
    second.rmdir()
    state.close()


def test_a_folder_that_is_not_ours_is_never_removed(tmp_path: Path) -> None:
    state = State(tmp_path)
    precious = tmp_path / "precious"
    precious.mkdir()
    (tmp_path / "redis-folder").write_text(str(precious))
    state.redis_folder().rmdir()
    assert precious.exists()
    state.close()


def test_the_cartoon_passes_as_a_visitors_photo() -> None:
    with Image.open(io.BytesIO(cartoon_pet())) as image:
        assert (image.format, image.size) == ("JPEG", (800, 800))


def test_a_photo_that_is_not_there_is_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with pytest.raises(StackError, match="no-such.jpg: No such file or directory; name a JPG or PNG file"):
        demo_run.read_photo(tmp_path / "no-such.jpg")
