"""Is this MP3 a song, how loud is it, and what gain brings it to the target."""

import math
import re
import threading
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from render.commands import check_args
from render.ffmpeg import run_ffmpeg
from render.probe import SongHeader, song_header, tags_end
from render.spec import RenderError, VideoSpec

SHORTEST_SECONDS = 10.0
LONG_SECONDS = 8 * 60.0
SILENT_SHARE = 0.9
CUT_SECONDS = 0.25  # encoder delay and padding account for up to 0.1 s
GATE_LUFS = -70.0  # ebur128 reads this, or -inf, where nothing was loud enough to count
NEAR_ENOUGH_LU = 0.5  # rather this much too quiet, which nobody hears, than a song with its dynamics changed
# Peaks may be held down by so much; songs that need more are made even as a whole. Measured on six mixes of 120 s, peaks
# 3 dB over: 0.1 LU nearer to the target than loudnorm, which overshoots the ceiling by 0.1 dB, and 1.1 s less each.
LIMITED_DB = 6.0
# Samples within 1 dB of full scale: a loud master has about 1 %, a clipped one 5 % and more. Coding smears the flat
# tops and encoders scale by up to 0.45 dB, so neither runs of equal samples nor a peak above 0 dB can be asked for.
CLIPPED_SHARE = 0.05
ONE_LSB_DB = -90.3  # of 16 bits; volumedetect says -91.0 for nothing at all
# The coder cannot spend 192k on one channel said twice, and tries five times a frame: 3.7 s for a song of 120 s, with
# this 1.6 s and still nearer to the source than other songs are at 192k.
TWIN_KBITS = 128
CLIPPED_PEAK_DB = -0.5


@dataclass(frozen=True)
class AudioReport:
    """One song, measured.

    `seconds` is what decodes and `header_seconds` what the file claims; `integrated_lufs` (LUFS), `range_lu` (LU)
    and `true_peak_db` (dBTP) are EBU R 128 readings, -inf for silence; `silent_share` is 0-1 of the time under
    -60 dB; `flags` are of over_8_minutes, clipped, length_differs, twin_channels (stereo, but the same in both).
    """

    seconds: float
    header_seconds: float
    sample_rate: int
    channels: int
    integrated_lufs: float
    range_lu: float
    true_peak_db: float
    silent_share: float
    clipped: bool
    flags: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """For JSON: infinite and undefined readings become None."""
        return _finite(asdict(self)) | {"flags": list(self.flags)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "AudioReport":
        """The inverse of as_dict. Raises TypeError when a field is missing or unknown."""
        lost = {"integrated_lufs": -math.inf, "true_peak_db": -math.inf, "range_lu": math.nan}
        return cls(**(values | {name: low for name, low in lost.items() if values.get(name) is None}
                      | {"flags": tuple(values.get("flags", ()))}))


@dataclass(frozen=True)
class Gain:
    """How the loudness is brought to the target: mode none, linear, limited or dynamic; gain_db is the linear part in dB.

    `sample_rate` (Hz) is that of the video's sound.
    """

    mode: str
    gain_db: float
    target_lufs: float
    ceiling_db: float
    measured_lufs: float
    measured_peak_db: float
    sample_rate: int

    def as_dict(self) -> dict[str, Any]:
        """For JSON: infinite readings become None."""
        return _finite(asdict(self))


def check_song(
    song: Path, *, ffmpeg: str, timeout: float = 60, stop: threading.Event | None = None
) -> AudioReport:
    """Decode the whole MP3 once: validates it and measures it.

    Raises RenderError audio_undecodable, audio_cut (decodes to less than its header claims), audio_silent (over
    90 %), audio_too_short (under 10 s), or what run_ffmpeg raises.
    """
    header = song_header(song)
    try:
        outcome = run_ffmpeg(check_args(ffmpeg, song, tags_end(song)), timeout=timeout, stop=stop)
    except RenderError as error:
        # A positive exit code is ffmpeg's verdict on the file; a signal or no memory says nothing about it.
        if error.code == "ffmpeg_failed" and "was killed" not in str(error) and "Cannot allocate" not in error.detail:
            raise RenderError("audio_undecodable", f"the song does not decode: {error}", error.detail) from None
        raise
    report = read_report(outcome.log, outcome.seconds, header)
    _refuse(report, header, outcome.log)
    return report


def read_report(log: str, seconds: float, header: SongHeader) -> AudioReport:
    """The figures in ffmpeg's log; only lines that filters wrote count, for tags of the file are printed as well."""
    summaries = re.split(r"^\[Parsed_ebur128_\d+ @ \w+\] Summary:$", log, flags=re.MULTILINE)[1:]
    if len(summaries) != 1:
        reason = "it changes its format half-way" if summaries else "nothing of it decodes"
        raise RenderError("audio_undecodable", f"the song does not decode: {reason}", log[-4096:])
    peak = _reading(summaries[0], "Peak")
    clipped = peak > CLIPPED_PEAK_DB and _volume(log, "song", "histogram_0db") > CLIPPED_SHARE * _volume(
        log, "song", "n_samples")
    twins = header.channels == 2 and _volume(log, "difference", "max_volume") < ONE_LSB_DB
    flags = {"over_8_minutes": seconds > LONG_SECONDS, "clipped": clipped,
             "length_differs": header.exact and seconds > header.seconds + CUT_SECONDS, "twin_channels": twins}
    return AudioReport(
        seconds=seconds, header_seconds=header.seconds, sample_rate=header.sample_rate, channels=header.channels,
        integrated_lufs=_reading(summaries[0], "I"), range_lu=_reading(summaries[0], "LRA"), true_peak_db=peak,
        silent_share=_silent(log, seconds), clipped=clipped, flags=tuple(name for name, set_ in flags.items() if set_),
    )


def gain_plan(report: AudioReport, spec: VideoSpec) -> Gain:
    """Linear gain to the target where the peaks allow it, none for silence.

    Where single peaks are in the way they are limited; where that would be heard, the gain becomes dynamic.
    """
    loudness, peak = report.integrated_lufs, report.true_peak_db
    wanted = spec.loudness_lufs - loudness
    if not math.isfinite(loudness) or not math.isfinite(peak) or loudness <= GATE_LUFS:
        mode, wanted = "none", 0.0
    elif peak + wanted <= spec.true_peak_db:
        mode = "linear"
    elif spec.true_peak_db - peak >= wanted - NEAR_ENOUGH_LU:
        mode, wanted = "linear", spec.true_peak_db - peak
    else:
        mode = "limited" if peak + wanted <= spec.true_peak_db + LIMITED_DB else "dynamic"
    return Gain(mode, round(wanted, 2), spec.loudness_lufs, spec.true_peak_db, loudness, peak, output_rate(report))


def sound_filter(gain: Gain, report: AudioReport) -> str:
    """The ffmpeg filter for a gain; what works at a rate of its own is brought back by name."""
    if gain.mode == "none":
        return ""
    if gain.mode == "linear":
        return f"volume={gain.gain_db:.2f}dB"
    if gain.mode == "limited":  # at four times the rate: a limiter of samples lets the true peaks between them pass
        rate = output_rate(report)
        return (f"volume={gain.gain_db:.2f}dB,aresample={4 * rate},"
                f"alimiter=limit={10 ** (gain.ceiling_db / 20):.4f}:level=false:attack=5:release=60,aresample={rate}")
    layout = "mono" if report.channels == 1 else "stereo"
    return (f"loudnorm=I={gain.target_lufs:.2f}:TP={gain.ceiling_db:.2f}:LRA=20:linear=false,"
            f"aformat=sample_rates={output_rate(report)}:channel_layouts={layout}")


def sound_spec(spec: VideoSpec, report: AudioReport) -> VideoSpec:
    """The spec with the bit rate that this song's sound can use."""
    if "twin_channels" not in report.flags or int(spec.audio_bitrate[:-1]) <= TWIN_KBITS:
        return spec
    return replace(spec, audio_bitrate=f"{TWIN_KBITS}k")


def output_rate(report: AudioReport) -> int:
    """The AAC's sample rate in Hz: the song's own where every player takes it, else 44100."""
    return report.sample_rate if report.sample_rate in (32000, 44100, 48000) else 44100


def _refuse(report: AudioReport, header: SongHeader, log: str) -> None:
    if header.exact and report.seconds < header.seconds - CUT_SECONDS:
        raise RenderError("audio_cut", f"the song is cut short: {report.seconds:.1f} s decode of the "
                          f"{header.seconds:.1f} s that its header states", log[-4096:])
    if report.seconds < SHORTEST_SECONDS:
        raise RenderError("audio_too_short", f"the song is too short: {report.seconds:.1f} s, "
                          f"at least {SHORTEST_SECONDS:g} s are needed")
    if report.silent_share > SILENT_SHARE:
        raise RenderError("audio_silent", f"the song is {report.silent_share:.0%} silence")


def _reading(summary: str, name: str) -> float:
    found = re.search(rf"^\s+{name}:\s+(-?(?:[\d.]+|inf|nan))", summary, flags=re.MULTILINE)
    return float(found.group(1)) if found else math.nan


def _volume(log: str, which: str, name: str) -> float:
    """A figure of one of the two volumedetects, 0 where it says none; newer ffmpegs let an idle one speak first."""
    found = re.findall(rf"^\[volumedetect@{which} @ \w+\] {name}: (-?[\d.]+)(?: dB)?$", log, flags=re.MULTILINE)
    return float(found[-1]) if found else 0.0


def _silent(log: str, seconds: float) -> float:
    lines = re.findall(r"^\[silencedetect @ \w+\] silence_(start|end): (-?[\d.]+)", log, flags=re.MULTILINE)
    silent, since = 0.0, None
    for what, at in lines:
        if what == "start":
            since = float(at)
        elif since is not None:
            silent, since = silent + float(at) - since, None
    if since is not None:
        silent += seconds - since
    return min(1.0, max(0.0, silent / seconds)) if seconds > 0 else 1.0


def _finite(values: dict[str, Any]) -> dict[str, Any]:
    return {name: None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in values.items()}
