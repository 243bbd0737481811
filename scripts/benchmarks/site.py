"""What Lighthouse says of the form and of a finished song's page, on a phone.

    scripts/bench site [--runs 3]

The first run fetches Lighthouse from the npm registry into .petsong/lighthouse. One JSON line per page, of the medians,
{bench, page, performance, accessibility, best_practices, within}; the exit code is 1 where one is under 95. Take them on
an idle machine: Lighthouse slows the processor down fourfold, and whatever else it does counts as ours.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from scripts.gallery.stage import rendered, served

ROOT = Path(__file__).resolve().parents[2]
HOME = ROOT / ".petsong" / "lighthouse"
VERSION = "12.8.2"
PAGES = {"form": "/", "result": "/result/finished"}
CATEGORIES = ("performance", "accessibility", "best-practices")
LEAST = 95


def fetch_lighthouse() -> Path:
    program = HOME / "node_modules" / ".bin" / "lighthouse"
    stamp = HOME / VERSION
    if not (program.exists() and stamp.exists()):
        HOME.mkdir(parents=True, exist_ok=True)
        argv = ["npm", "install", "--prefix", str(HOME), "--ignore-scripts", "--no-audit", "--no-fund", f"lighthouse@{VERSION}"]
        subprocess.run(argv, check=True, stdout=sys.stderr, timeout=600)
        stamp.touch()
    return program


def scores(program: Path, address: str) -> dict[str, int]:
    """0 to 100 for each category."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "report.json"
        argv = [
            str(program), address, "--quiet", "--output=json", f"--output-path={out}", "--no-enable-error-reporting",
            f"--only-categories={','.join(CATEGORIES)}", "--chrome-path=/usr/bin/chromium",
            "--chrome-flags=--headless=new --no-sandbox --disable-gpu",
        ]
        for last in (False, True):  # now and then it loses its own trace and asks to be run again (NO_NAVSTART)
            if subprocess.run(argv, check=last, stdout=sys.stderr, timeout=180).returncode == 0:
                break
        found = json.loads(out.read_text("utf-8"))["categories"]
    return {name.replace("-", "_"): round(100 * found[name]["score"]) for name in CATEGORIES}


def main() -> int:
    parser = argparse.ArgumentParser("scripts/bench site", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=3, help="per page (default: %(default)s)")
    options = parser.parse_args()
    program, within = fetch_lighthouse(), True
    with served("valentines", *rendered("valentines", ROOT / ".petsong" / "gallery")) as site:
        for page, path in PAGES.items():
            runs = [scores(program, site.address + path) for _ in range(options.runs)]
            line = {name: round(statistics.median(run[name] for run in runs)) for name in runs[0]}
            good = min(line.values()) >= LEAST
            within = within and good
            print(json.dumps({"bench": "site", "page": page, **line, "within": good}), flush=True)
    return 0 if within else 1


if __name__ == "__main__":
    sys.exit(main())
