import json
import os
from pathlib import Path

import pytest
from PIL import ImageStat

from render.audio import AudioReport, check_song
from render.probe import read_movie
from render.spec import RenderError
from render.video import prepare_turn, render_video
from render_media import EMBEDDED, FFMPEG, frames, photo, run, small_spec, song, unlike
from test_render_audio import tagged_song

SIZE = 128


def make(tmp_path, out="out.mp4", source=None, **options):
    spec = options.pop("spec", small_spec())
    pet = photo(tmp_path / "pet.png")
    options.setdefault("ffmpeg", FFMPEG)
    return tmp_path / out, render_video(pet, source or song(), tmp_path / out, spec, **options)


def streams(video):
    shown = run("ffprobe", "-v", "error", "-show_streams", "-show_format", "-show_chapters", "-of", "json", f"file:{video}")
    found = json.loads(shown)
    return found, {stream["codec_type"]: stream for stream in found["streams"]}


@pytest.mark.parametrize("ffmpeg", [FFMPEG, EMBEDDED])
@pytest.mark.parametrize("ready", [False, True])
def test_a_video_has_the_songs_length_within_a_frame(tmp_path, ffmpeg, ready):
    if ready:
        prepare_turn(photo(tmp_path / "pet.png"), small_spec(), tmp_path / "cache", ffmpeg=ffmpeg)
    video, facts = make(tmp_path, ffmpeg=ffmpeg, cache=tmp_path / "cache")
    found, kinds = streams(video)
    assert facts.turn_was_ready is ready
    assert sorted(kinds) == ["audio", "video"]
    assert (kinds["video"]["codec_name"], kinds["video"]["pix_fmt"], kinds["video"]["width"]) == ("h264", "yuv420p", SIZE)
    assert kinds["video"]["has_b_frames"] == 0
    assert kinds["audio"]["codec_name"] == "aac"
    for kind in ("audio", "video"):
        assert float(kinds[kind]["duration"]) == pytest.approx(12.3, abs=0.1)
    assert float(found["format"]["duration"]) == pytest.approx(12.3, abs=0.1)
    assert int(kinds["video"]["nb_frames"]) == facts.frames == 123
    assert facts.bytes == video.stat().st_size


@pytest.mark.parametrize("ffmpeg", [FFMPEG, EMBEDDED])
def test_both_ways_give_the_same_sound_and_pictures(tmp_path, ffmpeg):
    one, _ = make(tmp_path, "one.mp4", ffmpeg=ffmpeg, cache=tmp_path / "cache")
    two, facts = make(tmp_path, "two.mp4", ffmpeg=ffmpeg, cache=tmp_path / "cache")
    assert facts.turn_was_ready
    sums = [run("ffmpeg", "-v", "error", "-i", str(video), "-f", "streamhash", "-") for video in (one, two)]
    assert sums[0] == sums[1]


def test_the_video_starts_before_it_has_arrived(tmp_path):
    video, _ = make(tmp_path)
    head = video.read_bytes()[:200_000]
    assert 0 < head.find(b"moov") < head.find(b"mdat")
    assert read_movie(video).moov_first


def test_the_record_turns_clockwise_and_without_a_seam(tmp_path):
    video, facts = make(tmp_path)
    shown = frames(video, SIZE)
    assert len(shown) == facts.frames
    steps = [unlike(one, two) for one, two in zip(shown, shown[1:], strict=False)]
    usual = sorted(steps)[len(steps) // 2]
    assert usual > 0.5
    assert max(steps[29], steps[59], steps[89]) < 1.5 * usual  # 30 frames a turn: these are the joins
    assert unlike(shown[0], shown[30]) == 0
    # A quarter turn on, what was at the top left (red) is at the top right.
    red, _, blue = ImageStat.Stat(shown[0].crop((52, 52, 60, 60))).mean
    assert red > 150 > blue
    red, _, blue = ImageStat.Stat(shown[7].crop((66, 50, 76, 60))).mean
    assert red > 150 > blue


def test_needle_and_background_stand_still(tmp_path):
    shown = frames(make(tmp_path)[0], SIZE)
    for box in ((0, 0, 128, 14), (104, 16, 124, 34), (0, 114, 128, 128)):
        assert unlike(shown[0].crop(box), shown[13].crop(box)) < 1.5


def test_the_sound_is_brought_to_the_target(tmp_path):
    quiet = song("aevalsrc='0.05*sin(880*PI*t)|0.05*sin(660*PI*t)':s=44100", 12.0)
    video, facts = make(tmp_path, source=quiet)
    assert facts.gain["mode"] == "linear"
    run("ffmpeg", "-v", "error", "-i", str(video), "-c:a", "libmp3lame", "-b:a", "320k", str(tmp_path / "back.mp3"))
    after = check_song(tmp_path / "back.mp3", ffmpeg=FFMPEG)
    assert after.integrated_lufs == pytest.approx(-14, abs=0.6)
    assert after.true_peak_db <= -1


@pytest.mark.parametrize("stereo", [True, False])
@pytest.mark.parametrize(("tone", "peaks", "mode", "louder_by"), [
    (0.05, "0.8*sin(2000*PI*t)*exp(-80*mod(t,3))", "dynamic", 3.0),
    (0.12, "0.5*sin(2000*PI*t)*exp(-80*mod(t,1))", "limited", None),  # None: all the way to the target
])
def test_peaks_are_held_under_the_ceiling(tmp_path, tone, peaks, mode, louder_by, stereo):
    other = f"|{tone}*sin(660*PI*t)" if stereo else ""
    video, facts = make(tmp_path, source=song(f"aevalsrc='{tone}*sin(880*PI*t)+{peaks}{other}':s=44100", 12.0))
    assert facts.gain["mode"] == mode
    assert streams(video)[1]["audio"]["sample_rate"] == "44100"
    run("ffmpeg", "-v", "error", "-i", str(video), "-c:a", "libmp3lame", "-b:a", "320k", str(tmp_path / "back.mp3"))
    after = check_song(tmp_path / "back.mp3", ffmpeg=FFMPEG)
    assert after.true_peak_db <= -0.5
    if louder_by is None:
        assert after.integrated_lufs == pytest.approx(-14, abs=0.6)
    else:
        assert after.integrated_lufs > facts.report.integrated_lufs + louder_by


@pytest.mark.parametrize("ready", [False, True])
def test_cover_art_chapters_and_tags_stay_out(tmp_path, ready):
    if ready:
        prepare_turn(photo(tmp_path / "pet.png"), small_spec(), tmp_path / "cache", ffmpeg=FFMPEG)
    video, facts = make(tmp_path, source=tagged_song(tmp_path / "t.mp3"), cache=tmp_path / "cache")
    found, kinds = streams(video)
    assert len(found["streams"]) == 2
    assert found["chapters"] == []
    assert float(found["format"]["duration"]) == pytest.approx(12.3, abs=0.1)


@pytest.mark.parametrize("name", ["-y.mp4", "two\nlines.mp4", "it's \"quoted\".mp4", "a:b|c.mp4", "%03d [x].mp4", "रानी.mp4"])
def test_names_of_files_mean_nothing(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    pet = photo(tmp_path / "pet.png").rename(name.replace(".mp4", ".png"))
    music = tmp_path / name.replace(".mp4", ".mp3")
    music.write_bytes(song().read_bytes())
    render_video(Path(pet.name), Path(music.name), Path(name), small_spec(), ffmpeg=FFMPEG)
    assert sorted(os.listdir(tmp_path)) == sorted([pet.name, music.name, name])
    assert read_movie(tmp_path / name).track("vide")


@pytest.mark.parametrize("size", [(400, 900), (1200, 401), (50, 50)])
def test_a_photo_of_any_shape_is_cropped_in_the_middle(tmp_path, size):
    pet = photo(tmp_path / "p.jpg", size)
    facts = render_video(pet, song(), tmp_path / "o.mp4", small_spec(), ffmpeg=FFMPEG)
    assert facts.frames == 123


def test_odd_speed_is_whole_frames(tmp_path):
    _, facts = make(tmp_path, spec=small_spec(rpm=33.3))
    assert facts.rpm == pytest.approx(600 / 18)


def test_progress_rises_to_one(tmp_path):
    seen = []
    make(tmp_path, progress=seen.append)
    assert seen == sorted(seen)
    assert 0 <= seen[0] < 1 and seen[-1] == 1 and seen.count(1) == 1


@pytest.mark.parametrize(("figures", "code"), [({"seconds": 11.0}, None), ({"seconds": 14.0}, "output_invalid")])
def test_a_video_that_does_not_match_the_report_is_not_published(tmp_path, figures, code):
    wrong = check_song(song(), ffmpeg=FFMPEG).as_dict() | figures
    report = AudioReport.from_dict(wrong)
    if code is None:
        assert make(tmp_path, report=report)[1].seconds == pytest.approx(11.0, abs=0.1)
        return
    with pytest.raises(RenderError) as caught:
        make(tmp_path, report=report)
    assert caught.value.code == code
    assert os.listdir(tmp_path) == ["pet.png"]


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(RenderError, match="cannot be written") as caught:
        make(tmp_path, "nowhere/out.mp4")
    assert caught.value.code == "output_unwritable"
