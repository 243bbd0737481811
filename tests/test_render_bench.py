import json
import os
import subprocess
from pathlib import Path

import pytest

from scripts.benchmarks.quality import variants

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_the_render_benchmark_compares_all_ways_in_one_run():
    done = subprocess.run(["scripts/bench", "render", "--seconds", "12", "--rounds", "1"], cwd=ROOT,
                          capture_output=True, text=True)
    assert done.stderr == ""
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    found = {line["way"]: line for line in lines}
    assert list(found) == ["every_frame", "floor", "ours", "prepared", "square", "hd", "story", "square+hd+story"]
    for line in lines[:-1]:
        assert min(line["wall_s"], line["cpu_s"], line["peak_rss_mb"], line["bytes"]) > 0
    assert found["ours"]["wall_ratio"].startswith("1/") and float(found["prepared"]["of_floor"]) > 0
    assert all("within" in found[way] for way in ("square", "hd", "story", "square+hd+story"))
    assert done.returncode == (0 if all(line.get("within", True) for line in lines) else 1)


def test_an_unknown_benchmark_is_told_the_known_ones():
    done = subprocess.run(["scripts/bench", "nothing"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert "render" in done.stderr
    assert os.access(ROOT / "scripts" / "bench", os.X_OK)


def test_the_quality_benchmark_changes_one_option_at_a_time():
    argv = ["ffmpeg", "-preset", "fast", "-crf", "28", "-x264-params", "ref=1", "out.mp4"]
    found = dict(variants(argv))
    assert found.pop("ours: fast crf 28") == argv
    assert found["preset slow"] == [*argv[:2], "slow", *argv[3:]]
    assert found["tune film"] == [*argv[:3], "-tune", "film", *argv[3:]]
    assert found["ref=5"] == [*argv[:6], "ref=1:ref=5", "out.mp4"]
    assert argv not in found.values() and len(found) > 15
