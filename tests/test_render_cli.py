import contextlib
import json
import os
import pty
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from render_media import photo, run, song, unlike

ROOT = Path(__file__).resolve().parent.parent


def cli(*arguments, **options):
    command = [sys.executable, "-m", "render", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, **options)


def test_photo_and_song_become_a_video_and_a_json_line(tmp_path):
    done = cli(photo(tmp_path / "p.jpg", (700, 500)), song(), tmp_path / "o.mp4", "--size", 128, "--fps", 10, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    facts = json.loads(done.stdout)
    assert facts["frames"] == 123
    assert facts["gain"]["mode"] == "linear"
    assert facts["report"]["flags"] == []
    assert facts["bytes"] == (tmp_path / "o.mp4").stat().st_size


def test_without_json_one_line_tells_and_rounding_is_said(tmp_path):
    done = cli(photo(tmp_path / "p.jpg"), song(), tmp_path / "o.mp4", "--size", 128, "--fps", 10, "--rpm", 33)
    assert done.stdout.count("\n") == 1
    assert "123 frames" in done.stdout
    assert done.stderr == "note: 33 RPM at 10 fps is not a whole number of frames a turn: 33.33 RPM (18 frames)\n"


@pytest.mark.parametrize(("change", "code", "words"), [
    ({"photo": "song"}, 3, "the photo is not a whole JPEG or PNG [photo_unreadable]"),
    ({"photo": "none"}, 3, "the photo cannot be read: No such file"),
    ({"song": "photo"}, 4, "[audio_undecodable]"),
    ({"song": "none"}, 4, "No such file"),
    ({"out": "none/o.mp4"}, 1, "[output_unwritable]"),
    ({"more": ["--ffmpeg", "/none"]}, 5, "[ffmpeg_missing]"),
    ({"more": ["--size", "129"]}, 2, "size must be even"),
    ({"more": ["--size", "big"]}, 2, "invalid int value"),
    ({"more": ["--format", "round"]}, 2, "invalid choice: 'round'"),
    ({"more": ["--assets", "/none"]}, 2, "[artwork_unreadable]"),
    ({"more": ["--timeout", "0.01"]}, 1, "[render_timeout]"),
])
def test_every_failure_is_one_line_and_its_exit_code(tmp_path, change, code, words):
    files = {"photo": photo(tmp_path / "p.jpg"), "song": song(), "none": tmp_path / "none"}
    done = cli(files[change.get("photo", "photo")], files[change.get("song", "song")],
               tmp_path / change.get("out", "o.mp4"), "--fps", 10, *change.get("more", ()))
    assert done.returncode == code
    assert words in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert os.listdir(tmp_path) == ["p.jpg"]


def test_help_names_the_exit_codes():
    assert "the song cannot be used" in cli("--help").stdout
    assert "the song cannot be used" in cli("check", "--help").stdout


def test_a_failure_is_json_too_where_that_was_asked_for(tmp_path):
    done = cli(song(), song(), tmp_path / "o.mp4", "--json")
    assert json.loads(done.stdout) == {"error": "photo_unreadable", "message": "the photo is not a whole JPEG or PNG"}
    assert (done.returncode, done.stderr.count("\n")) == (3, 1)


def test_pictures_come_with_the_video(tmp_path):
    files = {name: tmp_path / name for name in ("o.mp4", "poster.jpg", "preview.jpg")}
    done = cli(photo(tmp_path / "p.jpg"), song(), files["o.mp4"], "--size", 128, "--fps", 10, "--json",
               "--poster", files["poster.jpg"], "--preview", files["preview.jpg"])
    facts = json.loads(done.stdout)
    assert [facts["path"], facts["poster"], facts["preview"]] == [str(path) for path in files.values()]
    with Image.open(files["poster.jpg"]) as poster, Image.open(files["preview.jpg"]) as preview:
        assert (poster.size, preview.size) == ((128, 128), (1200, 630))
    assert sorted(os.listdir(tmp_path)) == sorted([*files, "p.jpg"])


def test_a_story_is_high_and_has_its_caption(tmp_path):
    pet, plain, named = photo(tmp_path / "p.jpg"), tmp_path / "plain.jpg", tmp_path / "named.jpg"
    for poster, caption in ((plain, ()), (named, ("--caption", "Biscuit", "--caption", "with love from Robin"))):
        done = cli(pet, song(), tmp_path / "o.mp4", "--format", "story", "--fps", 2, "--poster", poster, *caption)
        assert (done.returncode, done.stderr) == (0, "")
    shape = run("ffprobe", "-v", "error", "-select_streams", "v", "-show_entries", "stream=width,height", "-of", "csv=p=0",
                str(tmp_path / "o.mp4"))
    assert shape.strip() == "1080,1920"
    with Image.open(plain) as one, Image.open(named) as other:
        assert one.size == other.size == (1080, 1920) and unlike(one, other) > 0.5


def test_a_song_is_checked_for_a_person_and_for_a_program():
    done = cli("check", song())
    assert (done.returncode, done.stderr) == (0, "")
    told = dict(line.split(maxsplit=1) for line in done.stdout.splitlines())
    assert told["length"] == "12.30 s" and told["format"] == "44100 Hz, stereo" and told["flags"] == "none"
    assert "LUFS, range" in told["loudness"] and "dBTP" in told["loudness"] and told["gain"].startswith("linear, ")
    facts = json.loads(cli("check", song(), "--json").stdout)
    assert facts["seconds"] == pytest.approx(12.3, abs=0.01) and facts["flags"] == []
    assert facts["gain"] == facts["gain"] | {"mode": "linear", "target_lufs": -14.0, "sample_rate": 44100}


def test_a_song_that_is_refused_is_one_line_and_exit_code_4(tmp_path):
    short = song(seconds=5.0)
    done = cli("check", short)
    assert (done.returncode, done.stdout) == (4, "")
    assert done.stderr == "error: the song is too short: 5.0 s, at least 10 s are needed [audio_too_short]\n"
    assert json.loads(cli("check", short, "--json").stdout)["error"] == "audio_too_short"
    assert cli("check").returncode == 2


def test_ended_by_a_signal_it_leaves_nothing(tmp_path):
    """SIGTERM, as a supervisor sends it, in the midst of the work."""
    (tmp_path / "tmp").mkdir()
    command = [sys.executable, "-m", "render", photo(tmp_path / "p.jpg"), song(seconds=300.0), tmp_path / "o.mp4"]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, env={**os.environ, "TMPDIR": str(tmp_path / "tmp")})
    end = time.monotonic() + 20
    while not any((tmp_path / "tmp").rglob("*.mp4")) and time.monotonic() < end:
        time.sleep(0.02)
    process.terminate()
    _, said = process.communicate(timeout=5)
    assert (process.returncode, said) == (143, b"")
    assert sorted(os.listdir(tmp_path)) == ["p.jpg", "tmp"] and os.listdir(tmp_path / "tmp") == []


def test_a_terminal_sees_a_line_that_moves(tmp_path):
    parent, child = pty.openpty()
    process = subprocess.Popen([sys.executable, "-m", "render", photo(tmp_path / "p.jpg"), song(), tmp_path / "o.mp4",
                                "--size", "128", "--fps", "10"], cwd=ROOT, stderr=child, stdout=subprocess.DEVNULL)
    os.close(child)
    seen = b""
    try:
        while data := os.read(parent, 4096):
            seen += data
    except OSError:
        pass  # how Linux says that the other side of a terminal is closed
    os.close(parent)
    assert process.wait() == 0
    assert seen.count(b"\r[") > 1
    assert seen.rstrip().endswith(b"100%")


def test_on_a_terminal_an_error_has_a_line_of_its_own(tmp_path):
    parent, child = pty.openpty()
    process = subprocess.Popen([sys.executable, "-m", "render", photo(tmp_path / "p.jpg"), song(seconds=5.0),
                                tmp_path / "o.mp4", "--fps", "2"], cwd=ROOT, stderr=child, stdout=subprocess.DEVNULL)
    os.close(child)
    seen = b""
    with contextlib.suppress(OSError):
        while data := os.read(parent, 4096):
            seen += data
    os.close(parent)
    assert process.wait() == 4
    assert seen.splitlines()[-1].startswith(b"error: the song is too short")


def test_the_renderer_knows_nothing_of_the_app():
    program = ("import sys, render.__main__, render.video; "
               "print(*sorted({'flask', 'peewee', 'redis', 'rq', 'petsong', 'pydantic'} & set(sys.modules)))")
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip() == ""
