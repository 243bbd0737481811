"""python -m render check SONG.mp3: what the renderer hears in a song, and what it would do about it."""

import json
from pathlib import Path

from render.audio import AudioReport, Gain, check_song, gain_plan
from render.cli import guarded, parser, spec_with
from render.ffmpeg import find_ffmpeg


def main(argv: list[str]) -> int:
    made = parser("python -m render check", "Decode a whole song once: is it sound, and how loud is it?")
    made.add_argument("song", type=Path, help="MP3")
    made.add_argument("--timeout", type=float, default=60, metavar="N", help="seconds (default: %(default)s)")
    args = made.parse_args(argv)

    def check() -> None:
        report = check_song(args.song, ffmpeg=find_ffmpeg(args.ffmpeg), timeout=args.timeout)
        gain = gain_plan(report, spec_with())
        if args.json:
            print(json.dumps(report.as_dict() | {"gain": gain.as_dict(), "path": str(args.song)}))
        else:
            print(*lines(report, gain), sep="\n")

    return guarded(check, args.json)


def lines(report: AudioReport, gain: Gain) -> list[str]:
    """The report for a person."""
    claim = f", {report.header_seconds:.2f} s by its header" if "length_differs" in report.flags else ""
    channels = "mono" if report.channels == 1 else "stereo"
    change = "none" if gain.mode == "none" else f"{gain.mode}, {gain.gain_db:+.1f} dB"
    return [
        f"length    {report.seconds:.2f} s{claim}",
        f"format    {report.sample_rate} Hz, {channels}",
        f"loudness  {report.integrated_lufs:.1f} LUFS, range {report.range_lu:.1f} LU, peak {report.true_peak_db:.1f} dBTP",
        f"silence   {report.silent_share:.0%}",
        f"gain      {change} (to {gain.target_lufs:g} LUFS, peaks under {gain.ceiling_db:g} dBTP, {gain.sample_rate} Hz)",
        f"flags     {', '.join(report.flags) or 'none'}",
    ]
