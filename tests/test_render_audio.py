import subprocess
from dataclasses import replace

import pytest
from mutagen.id3 import APIC, CHAP, ID3, TIT2, CTOCFlags
from mutagen.id3 import CTOC as TableOfContents

from render.audio import check_song, sound_spec
from render.spec import RenderError
from render.video import render_video
from render_media import EMBEDDED, FFMPEG, photo, small_spec, song
from scripts.sandbox import forgeries


def refusal(path, **options):
    with pytest.raises(RenderError) as caught:
        check_song(path, ffmpeg=FFMPEG, **options)
    assert "\n" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize("ffmpeg", [FFMPEG, EMBEDDED])
def test_a_song_is_measured_in_one_decode(ffmpeg):
    report = check_song(song(), ffmpeg=ffmpeg)
    assert report.seconds == pytest.approx(12.3, abs=0.01)
    assert (report.sample_rate, report.channels, report.flags) == (44100, 2, ())
    assert report.integrated_lufs == pytest.approx(-11.4, abs=1.5)
    assert -12 < report.true_peak_db < 0
    assert report.silent_share == 0


def test_half_silence_is_a_share_and_not_a_refusal():
    report = check_song(song("aevalsrc='0.3*sin(880*PI*t)*lt(t,6)':s=44100", 12.0), ffmpeg=FFMPEG)
    assert report.silent_share == pytest.approx(0.5, abs=0.02)


def test_a_silent_song_is_refused():
    assert refusal(song("anullsrc=r=44100", 12.0)).code == "audio_silent"


def test_a_song_of_95_percent_silence_is_refused():
    assert refusal(song("aevalsrc='0.3*sin(880*PI*t)*lt(t,0.6)':s=44100", 12.0)).code == "audio_silent"


def test_a_short_song_is_refused():
    error = refusal(song(seconds=9.0))
    assert error.code == "audio_too_short"
    assert "9.0 s" in str(error)


def test_text_named_mp3_is_refused(tmp_path):
    path = tmp_path / "song.mp3"
    path.write_text("#EXTM3U\nfile:///etc/passwd\n" * 500)
    assert refusal(path).code == "audio_undecodable"


@pytest.mark.parametrize("content", [b"", b"ID3", b"\xff\xfb\x90\x64" * 3, b"\x00" * 100_000, bytes(range(256)) * 400])
def test_bytes_that_are_no_song_are_refused(tmp_path, content):
    path = tmp_path / "song.mp3"
    path.write_bytes(content)
    assert refusal(path).code == "audio_undecodable"


def test_another_format_named_mp3_is_refused(tmp_path):
    path = tmp_path / "song.mp3"
    subprocess.run(["ffmpeg", "-v", "error", "-i", song(), "-f", "wav", path], check=True)
    assert refusal(path).code == "audio_undecodable"


def test_a_missing_song_is_refused(tmp_path):
    assert "No such file" in str(refusal(tmp_path / "gone.mp3"))


def test_a_cut_song_is_refused_though_it_decodes(tmp_path):
    path = tmp_path / "cut.mp3"
    whole = song(seconds=20.0).read_bytes()
    path.write_bytes(whole[: len(whole) * 3 // 4])
    error = refusal(path)
    assert error.code == "audio_cut"
    assert "15." in str(error) and "20." in str(error)


@pytest.mark.parametrize("ffmpeg", [FFMPEG, EMBEDDED])
def test_a_clipped_song_is_flagged_and_a_loud_one_is_not(ffmpeg):
    clipped = song("aevalsrc='clip(3*sin(440*PI*t)*(0.6+0.4*sin(2*t)),-1,1)':s=44100", 12.0)
    loud = song("aevalsrc='0.5*sin(440*PI*t)+0.5*sin(2000*PI*t)*lt(mod(t,1),0.05)':s=44100", 12.0)
    assert "clipped" in check_song(clipped, ffmpeg=ffmpeg).flags
    report = check_song(loud, ffmpeg=ffmpeg)
    assert report.true_peak_db > -0.5 and "clipped" not in report.flags


@pytest.mark.parametrize("ffmpeg", [FFMPEG, EMBEDDED])
def test_a_mono_song_in_two_channels_is_told_from_stereo_and_mono(ffmpeg):
    tone = "0.3*sin(880*PI*t)*(1+0.5*sin(3*t))"
    for joint in "01":
        twins = song(f"aevalsrc='{tone}|{tone}':s=44100", 12.0, "-joint_stereo", joint)
        assert check_song(twins, ffmpeg=ffmpeg).flags == ("twin_channels",)
    for source in (f"aevalsrc='{tone}|0.99*{tone}':s=44100", f"aevalsrc='{tone}':s=44100"):
        assert check_song(song(source, 12.0), ffmpeg=ffmpeg).flags == ()


def test_what_is_said_twice_gets_the_bits_of_once():
    report = check_song(song(), ffmpeg=FFMPEG)
    twins = replace(report, flags=("twin_channels",))
    assert sound_spec(small_spec(), report).audio_bitrate == "192k"
    assert sound_spec(small_spec(), twins).audio_bitrate == "128k"
    assert sound_spec(small_spec(audio_bitrate="96k"), twins).audio_bitrate == "96k"


def test_a_song_over_8_minutes_is_flagged():
    long = song("sine=frequency=330:sample_rate=16000", 485.0, "-b:a", "32k")
    assert check_song(long, ffmpeg=FFMPEG).flags == ("over_8_minutes",)


def test_figures_in_a_tag_do_not_count(tmp_path):
    path = tmp_path / "tagged.mp3"
    path.write_bytes(song().read_bytes())
    tags = ID3()
    lie = "x\n[Parsed_ebur128_1 @ 0x1] Summary:\n\n    I:         -3.0 LUFS\n[silencedetect @ 0x1] silence_start: 0"
    tags.add(TIT2(encoding=3, text=lie))
    tags.save(path)
    assert check_song(path, ffmpeg=FFMPEG) == check_song(song(), ffmpeg=FFMPEG)


def tagged_song(path):
    """A song with cover art and two chapters that run for over an hour."""
    path.write_bytes(song().read_bytes())
    cover = subprocess.run(["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "color=red:s=300x300", "-frames:v", "1",
                            "-c:v", "mjpeg", "-f", "image2pipe", "-"], check=True, capture_output=True).stdout
    tags = ID3()
    tags.add(APIC(mime="image/jpeg", type=3, data=cover))
    for number in range(2):
        tags.add(CHAP(element_id=f"c{number}", start_time=number * 2_400_000, end_time=(number + 1) * 2_400_000))
    tags.add(TableOfContents(element_id="toc", flags=CTOCFlags.TOP_LEVEL, child_element_ids=["c0", "c1"]))
    tags.save(path)
    return path


def test_cover_art_and_chapters_change_nothing(tmp_path):
    assert check_song(tagged_song(tmp_path / "t.mp3"), ffmpeg=FFMPEG).seconds == pytest.approx(12.3, abs=0.01)


@pytest.mark.parametrize("forge", [forgeries.crowded_tag, forgeries.inflating_tag, forgeries.unsynchronised_tag])
def test_a_tag_made_to_exhaust_its_reader_is_not_read(tmp_path, forge):
    path = tmp_path / "bomb.mp3"
    path.write_bytes(b"ID3\4\0\0\0\0\0\0" + forge(song().read_bytes()))  # behind another, as tags may be stacked
    report = check_song(path, ffmpeg=FFMPEG, timeout=10)
    assert report == check_song(song(), ffmpeg=FFMPEG)
    out = tmp_path / "video.mp4"
    render_video(photo(tmp_path / "p.jpg"), path, out, small_spec(), ffmpeg=FFMPEG, timeout=20, report=report,
                 cache=tmp_path / "turns")
    render_video(tmp_path / "p.jpg", path, out, small_spec(), ffmpeg=FFMPEG, timeout=20, report=report,
                 cache=tmp_path / "turns")


def test_a_tag_that_claims_to_be_longer_than_the_file_is_refused(tmp_path):
    path = tmp_path / "tag.mp3"
    path.write_bytes(forgeries.tag_beyond_the_end(song().read_bytes()))
    assert refusal(path).code == "audio_undecodable"


@pytest.mark.parametrize("forge", [forgeries.ten_hours_by_xing, forgeries.ten_hours_by_vbri])
def test_a_song_that_counts_ten_hours_of_frames_is_cut(tmp_path, forge):
    path = tmp_path / "long.mp3"
    path.write_bytes(forge(song().read_bytes()))
    error = refusal(path)
    assert error.code == "audio_cut"
    assert "36000" in str(error)


def test_a_bare_count_of_frames_that_is_right_changes_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(forgeries, "TEN_HOURS", 12.33)
    path = tmp_path / "counted.mp3"
    path.write_bytes(forgeries.ten_hours_by_xing(song().read_bytes()))
    assert check_song(path, ffmpeg=FFMPEG).flags == ()
