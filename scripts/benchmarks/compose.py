"""What a composed song costs the stand-in: CPU of the whole way from an order to its MP3, for every vibe.

    scripts/bench compose [--rounds 1]

Each song is made as for an order, by processes of its own (composer, voice, ffmpeg); cpu_s is the kernel's figure for
all of them. One JSON line per vibe, of the median round, {bench, vibe, cpu_s, wall_s, song_s, sung, bpm,
bytes, within}; the exit code is 1 where a song takes more than 4 s of CPU.
"""

import argparse
import json
import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from scripts.sandbox.compose import lyrics
from scripts.sandbox.compose.styles import STYLES
from scripts.sandbox.studio import Commission, Studio

CPU_AT_MOST = 4.0
PROMPT = (
    "Create a heartfelt love song celebrating the special bond between Robin Example and their beloved {kind} Biscuit."
    " Make it warm, genuine, and mention both names in the lyrics. The mood is {vibe}."
)


def measure(order: Commission, folder: Path) -> dict[str, Any]:
    began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    song = Studio(folder).song(order, "mp3")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    facts = json.loads((folder / f"{order.name}.json").read_text(encoding="utf-8"))
    return {
        "cpu_s": round(cpu, 2), "wall_s": round(time.monotonic() - began, 2), "song_s": facts["seconds"],
        "sung": facts["sung"], "bpm": facts["bpm"], "bytes": song.stat().st_size,
    }  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser("scripts/bench compose", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=1, help="songs per vibe (default: %(default)s)")
    parser.add_argument("--vibe", choices=STYLES, action="append", help="this one alone")
    options = parser.parse_args()
    within = True
    for vibe in options.vibe or STYLES:
        rounds = []
        for _ in range(options.rounds):
            prompt = PROMPT.format(kind="dog", vibe=vibe)
            order = Commission(prompt, (vibe,), vibe, lyrics.write(prompt, [vibe], vibe))
            with tempfile.TemporaryDirectory() as folder:
                rounds.append(measure(order, Path(folder)))
        line = rounds[-1] | {name: round(statistics.median(it[name] for it in rounds), 2) for name in ("cpu_s", "wall_s")}
        line["within"] = line["cpu_s"] <= CPU_AT_MOST
        within = within and line["within"]
        print(json.dumps({"bench": "compose", "vibe": vibe, **line}), flush=True)
    return 0 if within else 1


if __name__ == "__main__":
    sys.exit(main())
