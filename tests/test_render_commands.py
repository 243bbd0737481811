from pathlib import Path

import pytest

from render import commands
from render.audio import AudioReport, gain_plan, sound_filter
from render.spec import VideoSpec
from render_media import small_spec


def report(lufs: float, peak: float, channels: int = 2, rate: int = 44100) -> AudioReport:
    return AudioReport(100.0, 100.0, rate, channels, lufs, 5.0, peak, 0.0, False)


def test_the_check_decodes_once_with_the_format_pinned():
    assert commands.check_args("/bin/ffmpeg", Path("/music/a song.mp3")) == [
        "/bin/ffmpeg", "-hide_banner", "-nostdin", "-nostats", "-progress", "pipe:1", "-stats_period", "0.2",
        "-loglevel", "info", "-protocol_whitelist", "file,pipe", "-threads", "1",
        "-f", "mp3", "-i", "file:/music/a song.mp3", "-map", "0:a:0",
        "-map_metadata", "-1", "-map_chapters", "-1", "-dn", "-sn",
        "-af", "silencedetect=noise=-60dB:d=0.5,ebur128=peak=true:framelog=verbose,volumedetect@song", "-f", "null", "-",
        "-map", "0:a:0", "-map_metadata", "-1", "-map_chapters", "-1", "-dn", "-sn",
        "-af", "aformat=channel_layouts=stereo,pan=1c|c0=c0-c1,volumedetect@difference", "-f", "null", "-"]


def test_a_turn_is_one_closed_group_without_b_frames():
    argv = commands.turn_args("/bin/ffmpeg", small_spec(size=720, fps=30), Path("/tmp/turn.mp4"))
    options = dict(zip(argv, argv[1:], strict=False))
    assert {name: options[name] for name in ("-c:v", "-pix_fmt", "-crf", "-bf", "-g", "-keyint_min", "-sc_threshold",
                                             "-flags", "-video_size", "-framerate")} == {
        "-c:v": "libx264", "-pix_fmt": "yuv420p", "-crf": "28", "-bf": "0", "-g": "90", "-keyint_min": "90",
        "-sc_threshold": "0", "-flags": "+cgop", "-video_size": "720x720", "-framerate": "30"}
    assert argv[-2:] == ["mp4", "file:/tmp/turn.mp4"][-2:]


def test_the_video_copies_the_turn_and_is_cut_by_time():
    argv = commands.video_args("/bin/ffmpeg", Path("/t.mp4"), commands.finished_input(Path("/s.mp4")), ["-c:a", "copy"],
                               12.3456789, Path("/o.mp4"))
    assert argv[8:] == [
        "-loglevel", "error", "-y", "-protocol_whitelist", "file,pipe", "-stream_loop", "-1", "-f", "mp4",
        "-i", "file:/t.mp4", "-protocol_whitelist", "file,pipe", "-f", "mp4", "-i", "file:/s.mp4",
        "-map", "0:v:0", "-map", "1:a:0", "-map_metadata", "-1", "-map_chapters", "-1", "-dn", "-sn",
        "-c:v", "copy", "-c:a", "copy", "-t", "12.345679", "-movflags", "+faststart", "-f", "mp4", "file:/o.mp4"]


def test_names_cannot_become_options_or_protocols(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("-i.mp3", "concat:a|b.mp3", "http://127.0.0.1/x.mp3", "a\nb.mp3", "%d.mp3"):
        assert commands.file_url(Path(name)) == f"file:{tmp_path}/{Path(name)}"


def test_the_sound_keeps_the_rate_and_a_cutoff_below_half_of_it():
    assert commands.aac_options(small_spec(), 44100, "volume=-2.00dB") == [
        "-af", "volume=-2.00dB", "-ar", "44100", "-c:a", "aac", "-b:a", "192k", "-aac_coder", "fast", "-aac_is", "0",
        "-cutoff", "19845"]
    assert commands.aac_options(small_spec(), 32000, "")[-1] == "14400"
    assert "-af" not in commands.aac_options(small_spec(), 44100, "")


@pytest.mark.parametrize(("lufs", "peak", "mode", "gain"), [
    (-10.0, -0.5, "linear", -4.0),  # loud: down
    (-20.0, -8.0, "linear", 6.0),  # quiet, with room above
    (-20.0, -6.7, "linear", 5.7),  # up to the ceiling: 0.3 LU short, which nobody hears
    (-20.0, -3.0, "limited", 6.0),  # quiet with high peaks
    (-24.0, -3.0, "dynamic", 10.0),  # so quiet that limited peaks would be heard
    (-70.0, -60.0, "none", 0.0),
    (float("-inf"), float("-inf"), "none", 0.0),
    (float("nan"), -1.0, "none", 0.0),
])
def test_gain_is_linear_under_the_ceiling_else_limited_else_dynamic(lufs, peak, mode, gain):
    plan = gain_plan(report(lufs, peak), small_spec())
    assert (plan.mode, plan.gain_db) == (mode, pytest.approx(gain))
    if mode == "linear":
        assert peak + plan.gain_db <= -1.0 + 1e-9
    assert {"mode", "gain_db", "measured_lufs"} <= plan.as_dict().keys() and plan.as_dict()["sample_rate"] == 44100


def test_the_dynamic_filter_names_rate_and_layout():
    mono = report(-26.0, -3.0, channels=1, rate=48000)
    assert sound_filter(gain_plan(mono, small_spec()), mono) == (
        "loudnorm=I=-14.00:TP=-1.00:LRA=20:linear=false,aformat=sample_rates=48000:channel_layouts=mono")


def test_peaks_are_limited_at_four_times_the_rate():
    peaky = report(-20.0, -3.0, rate=22050)
    assert sound_filter(gain_plan(peaky, small_spec()), peaky) == (
        "volume=6.00dB,aresample=176400,alimiter=limit=0.8913:level=false:attack=5:release=60,aresample=44100")


def test_readings_survive_json():
    silent = report(float("-inf"), float("-inf"))
    assert silent.as_dict()["integrated_lufs"] is None
    assert AudioReport.from_dict(silent.as_dict()) == silent


@pytest.mark.parametrize(("changes", "reason"), [
    ({"size": 721}, "size must be even"), ({"size": 20}, "size must be from 64"), ({"size": "720"}, "whole number"),
    ({"fps": 0}, "fps must be"), ({"fps": True}, "fps must be"), ({"rpm": 0}, "rpm must be"), ({"crf": 99}, "crf"),
    ({"rpm": float("nan")}, "rpm must be"), ({"photo_size": 800}, "photo_size must be"),
    ({"audio_bitrate": "192k -y"}, "audio_bitrate"), ({"true_peak_db": 3}, "true_peak_db"),
    ({"fps": 60, "rpm": 1}, "frames a turn"),
])
def test_a_spec_that_cannot_be_rendered_is_refused_with_its_reason(changes, reason):
    with pytest.raises(ValueError, match=reason):
        small_spec(**changes)


def test_a_turn_is_whole_frames_and_says_what_was_rounded():
    assert small_spec(fps=30).turn_frames == 90
    assert small_spec(fps=30).notes == ()
    odd = VideoSpec(Path("b"), Path("r"), Path("n"), fps=30, rpm=33)
    assert odd.turn_frames == 55
    assert odd.actual_rpm == pytest.approx(32.727, abs=0.001)
    assert odd.notes == ("33 RPM at 30 fps is not a whole number of frames a turn: 32.73 RPM (55 frames)",)
