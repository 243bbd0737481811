"""Two minutes of the drill with a fixed seed: everything dies, nothing is lost."""
import json
import subprocess
import sys
from pathlib import Path

import pytest

import kit


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_two_minutes_of_kills_freezes_and_outages_violate_nothing(tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "scripts.chaos_run", "--minutes", "2", "--seed", "7", "--submissions", "40"]
    done = subprocess.run([*argv, "--keep", str(tmp_path / "drill")], capture_output=True, text=True, cwd=kit.repository())
    story = "\n".join(done.stderr.splitlines()[-60:])
    assert done.stdout.count("\n") == 1, story
    said = json.loads(done.stdout)
    assert {name: count for name, count in said["violations"].items() if count} == {}, story
    assert done.returncode == 0
    assert sum(said["ended"].values()) == said["submissions"] == 40
    assert said["acts"] > 20
    assert said["recoveries"] == 0 or said["recovery_max_s"] < 60, story


@pytest.mark.slow
def test_a_folder_that_is_in_use_is_refused(tmp_path: Path) -> None:
    (tmp_path / "note").touch()
    argv = [sys.executable, "-m", "scripts.chaos_run", "--keep", str(tmp_path)]
    done = subprocess.run(argv, capture_output=True, text=True, cwd=kit.repository())
    assert (done.returncode, done.stdout) == (2, "")
    assert "not empty" in done.stderr
