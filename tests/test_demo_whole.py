"""scripts/demo as a whole: one song from one command, restarts, and nothing left behind however it ends."""

import json
import os
import shutil
import signal
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests

from scripts import demo_run
from scripts.cartoon import cartoon_pet
from scripts.one_song import Order
from scripts.stack import Stack

ROOT = Path(__file__).resolve().parent.parent
OURS = ("REDIS_URL", "DATABASE_URL", "PORT", "CAMPAIGN")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


class Demo:
    """scripts/demo in a state folder of its own; all its processes carry a mark in their environment."""

    def __init__(self, folder: Path) -> None:
        self.mark = f"DEMO_TEST_MARK={uuid.uuid4().hex}"
        self.folder = folder
        self.said = folder / "said"
        self.output = folder / "output"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *options: str) -> subprocess.Popen[bytes]:
        name, value = self.mark.split("=")
        environment = {**{key: text for key, text in os.environ.items() if key not in OURS}, name: value}
        argv = [str(ROOT / "scripts" / "demo"), "--fast", "--state", "state", *options]
        with self.said.open("wb") as said, self.output.open("wb") as output:
            self.process = subprocess.Popen(argv, cwd=self.folder, env=environment, stdout=output, stderr=said)
        return self.process

    def run(self, *options: str) -> int:
        return self.start(*options).wait(200)

    def text(self) -> str:
        return self.said.read_text()

    def pids(self) -> list[int]:
        """All living processes that descend from the demo, whatever became of their parents."""
        found = []
        for path in Path("/proc").glob("[0-9]*/environ"):
            try:
                if self.mark.encode() in path.read_bytes().split(b"\0"):
                    found.append(int(path.parent.name))
            except OSError:  # ended meanwhile, or another user's
                continue
        return found

    def site(self) -> str:
        """The address, once the demo says it is up."""
        until(lambda: "petsong is at" in self.text() or self.ended())
        assert not self.ended(), self.text()
        return self.text().partition("petsong is at ")[2].split()[0]

    def ended(self) -> bool:
        return self.process is not None and self.process.poll() is not None

    def socket_folder(self) -> Path:
        return Path((self.folder / "state" / "redis-folder").read_text())

    def children(self, name: str) -> list[int]:
        """Direct children of the demo whose command line holds the name."""
        assert self.process is not None
        listed = Path(f"/proc/{self.process.pid}/task").glob("*/children")
        pids = [int(pid) for file in listed for pid in file.read_text().split()]
        return [pid for pid in pids if name in Path(f"/proc/{pid}/cmdline").read_text()]


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Demo]:
    made = Demo(tmp_path)
    yield made
    for pid in made.pids():
        os.kill(pid, signal.SIGKILL)
    if made.process is not None:
        made.process.wait(10)
    if (tmp_path / "state" / "redis-folder").exists():
        shutil.rmtree(made.socket_folder(), ignore_errors=True)


def until(check: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.1)


def until_replaced(demo: Demo, name: str, killed: list[int]) -> None:
    until(lambda: demo.children(name) not in ([], killed))


def healthy(site: str) -> bool:
    try:
        return requests.get(f"{site}/api/health", timeout=5).status_code == 200
    except requests.RequestException:
        return False


def test_one_song_from_one_command(demo: Demo) -> None:
    assert demo.run("--once", "--pet", "Zoë", "--owner", "Łukasz", "--vibe", "Party") == 0, demo.text()
    report = json.loads(demo.output.read_text())  # raises when there is more than the one line
    assert report["status"] == "success"
    assert Path(report["video"]).read_bytes()[4:8] == b"ftyp"
    assert report["result_url"].endswith(f"/result/{report['session_id']}")
    assert report["seconds"]["total"] > 0
    stages = [line.split()[-1] for line in demo.text().splitlines() if " s  " in line]
    assert stages[-1] == "done"
    assert set(stages) <= {"queued", "sending", "generating", "downloading", "rendering", "done"}
    assert demo.pids() == []
    assert not demo.socket_folder().exists()


def test_a_photo_that_is_none_ends_with_the_reason(demo: Demo) -> None:
    (demo.folder / "photo.jpg").write_text("no photo")
    assert demo.run("--once", "--photo", "photo.jpg") == 1
    assert "failed in submitting: 400 invalid_image" in demo.text()
    assert demo.output.read_text() == ""
    assert demo.pids() == []


def test_a_song_that_fails_at_the_service_ends_with_stage_and_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in OURS:
        monkeypatch.delenv(name, raising=False)
    stack = Stack(tmp_path / "state", sandbox=["--generate-seconds", "2", "--tune", "premade"], say=demo_run.say)
    stack.start()
    try:
        requests.post(f"{stack.sandbox_url}/sandbox/faults", json={"fault": "failure"}, timeout=5).raise_for_status()
        order = Order(cartoon_pet(), "Biscuit", "Dog", "Chill", "Robin")
        assert demo_run.make_one_song(stack, order, seconds=100) == 1
    finally:
        stack.stop()
    shown = capsys.readouterr()
    report = json.loads(shown.out)
    assert (report["status"], report["video"]) == ("fail", None)
    assert "failed in generating: service_failed - Your song could not be made" in shown.err


def test_what_dies_is_restarted_and_ctrl_c_leaves_nothing(demo: Demo) -> None:
    process = demo.start()
    site = demo.site()
    assert len(demo.pids()) > 8  # or the mark does not reach the children and the end of this test means nothing
    for name in ("gunicorn", "jobs.schedule", "renders", "redis-server"):
        killed = demo.children(name)
        assert len(killed) == 1, name
        os.kill(killed[0], signal.SIGKILL)
        until_replaced(demo, name, killed)
    until(lambda: healthy(site))
    socket = demo.socket_folder() / "redis.sock"
    assert socket.exists()
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0
    assert demo.pids() == []
    assert not socket.parent.exists()
    assert not healthy(site)


def test_a_second_demo_beside_the_first_has_its_own_ports_or_says_why_not(demo: Demo, tmp_path: Path) -> None:
    process = demo.start()
    site = demo.site()
    (tmp_path / "other").mkdir()
    rival = Demo(tmp_path / "other")
    assert rival.run("--state", str(tmp_path / "state")) == 1
    assert rival.text().strip().endswith("in use by another demo: stop that one, or take --state DIR")
    second = rival.start()
    try:
        assert rival.site() != site
        assert healthy(site)
    finally:
        second.send_signal(signal.SIGTERM)
        second.wait(30)
    assert rival.pids() == []
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0


def test_a_killed_demo_takes_its_processes_along_and_the_next_start_goes_on(demo: Demo) -> None:
    process = demo.start()
    site = demo.site()
    left = demo.socket_folder()
    process.kill()
    process.wait(5)
    until(lambda: demo.pids() == [], seconds=20)
    process = demo.start()
    assert demo.site() == site
    assert not left.exists()
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
    assert demo.pids() == []
