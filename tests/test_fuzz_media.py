"""The fuzzer of songs and photos finds nothing, and would find what it looks for."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from render.spec import RenderError
from scripts.fuzzing import media
from scripts.fuzzing.media import Bench, fuzz

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    return Bench(tmp_path_factory.mktemp("fuzz"), seed=7, render=False)


def found(bench, numbers=(0,), **options):
    return fuzz(bench, list(numbers), **options)["first"]


def test_200_damaged_files_end_as_results_or_refusals():
    """In a process of its own: the peak of memory is that of all its children, whatever tests ran before."""
    argv = [sys.executable, "-m", "scripts.fuzzing.media", "--count", "200", "--seed", "7"]
    run = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=110)
    figures = json.loads(run.stdout.splitlines()[-1])
    assert figures["violations"] == 0, figures["first"]
    outcomes = figures["outcomes"]
    assert {"check: accepted", "check: audio_undecodable", "renderer: accepted", "renderer: photo_unreadable",
            "site: accepted", "site: damaged"} <= outcomes.keys()
    assert sum(outcomes.values()) == 300  # a photo has two readers
    assert figures["peak_mb"] < 600


def test_an_input_is_the_same_each_time_and_differs_by_number_and_seed(bench, tmp_path):
    other = Bench(tmp_path, seed=8, render=False)
    assert bench.input(4) == bench.input(4)
    assert len({bench.input(4), bench.input(6), other.input(4)}) == 3


@pytest.mark.parametrize(("failure", "words"), [
    (KeyError("moov"), "check raised KeyError('moov')"),
    (RenderError("ffmpeg_failed", "ffmpeg was killed by SIGSEGV"), "killed by SIGSEGV [ffmpeg_failed]"),
    (RenderError("audio_undecodable", "two\nlines"), "not one readable line"),
])
def test_anything_but_a_refusal_is_a_violation_and_kept(bench, tmp_path, monkeypatch, failure, words):
    def check_song(path, **options):
        raise failure

    monkeypatch.setattr(media, "check_song", check_song)
    first, = found(bench, keep=tmp_path)
    assert first.startswith("0: ") and words in first
    assert (tmp_path / "0").read_bytes() == bench.input(0)


def test_a_hang_is_a_violation(bench, monkeypatch):
    monkeypatch.setattr(media, "LIMIT", 0.1)
    monkeypatch.setattr(media, "SLACK", 0.1)
    monkeypatch.setattr(media, "check_song", lambda path, **options: time.sleep(30))
    assert found(bench) == ["0: check took longer than 0.2 s"]


def test_a_process_that_stays_is_a_violation(bench, monkeypatch):
    children = []

    def check_song(path, **options):
        children.append(subprocess.Popen(["sleep", "60"]))
        raise RenderError("audio_silent", "nothing to hear")

    monkeypatch.setattr(media, "check_song", check_song)
    try:
        assert found(bench) == [f"0: left behind: ['{children[0].pid}']"]
    finally:
        children[0].kill()
        children[0].wait()


def test_accepted_songs_are_rendered_on_demand(tmp_path):
    bench = Bench(tmp_path, seed=7, render=True)
    bench.songs = bench.songs[:1]
    whole = bench.songs[0]
    assert bench.read(0, whole) == ["check: accepted"]
    assert (tmp_path / "turns").exists() and bench.traces() == []


def test_the_command_prints_one_json_line():
    done = subprocess.run([ROOT / "scripts" / "fuzz", "media", "--count", "4"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["inputs"] == 4
    assert subprocess.run([ROOT / "scripts" / "fuzz"], capture_output=True, timeout=10).returncode == 2
