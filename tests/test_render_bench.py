import json
import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.slow
def test_the_render_benchmark_compares_all_ways_in_one_run():
    done = subprocess.run(["scripts/bench", "render", "--seconds", "12", "--rounds", "1"], cwd=ROOT,
                          capture_output=True, text=True)
    assert done.stderr == ""
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["way"] for line in lines] == [
        "every_frame", "ours", "ours_prepared", "ours_30fps", "ours_prepared_30fps"]
    for line in lines:
        assert min(line["wall_s"], line["cpu_s"], line["peak_rss_mb"], line["bytes"]) > 0
    assert "within" in lines[1]


def test_an_unknown_benchmark_is_told_the_known_ones():
    done = subprocess.run(["scripts/bench", "nothing"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert "render" in done.stderr
    assert os.access(ROOT / "scripts" / "bench", os.X_OK)
