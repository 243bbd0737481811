"""Whatever may call itself MP3 is played in full or refused with a reason."""

import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from mutagen.id3 import APIC, CHAP, COMM, CTOC, ID3, TIT2, CTOCFlags

from render.audio import check_song
from render.probe import read_movie
from render.spec import RenderError
from render.video import render_video
from render_media import FFMPEG, photo, small_spec, song
from scripts.sandbox import forgeries

SECONDS = 12.0
TONES = "aevalsrc='0.3*sin(2*PI*440*t)|0.25*sin(2*PI*550*t)'"
Change = Callable[[bytes, Path], bytes]


def made(*options: str) -> bytes:
    return song(TONES, SECONDS, *options).read_bytes()


def frames_of(data: bytes) -> list[bytes]:
    """The frames of an MPEG 1 song without padding, tags aside (ISO 11172-3 2.4.1.3)."""
    data, frames = forgeries.without_tag(data), []
    while len(data) > 4 and data[0] == 0xFF:
        size = 144_000 * forgeries.BIT_RATES[data[2] >> 4] // forgeries.SAMPLE_RATES[data[2] >> 2 & 3] + (data[2] >> 1 & 1)
        frames.append(data[:size])
        data = data[size:]
    return frames


# ---- what the encoder can vary

RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
CODINGS = {
    **{f"{rate} Hz": ("-ar", str(rate), "-ac", "2", "-b:a", "64k") for rate in RATES},
    **{f"{rate} Hz mono": ("-ar", str(rate), "-ac", "1", "-b:a", "48k") for rate in RATES[::4]},
    "8 kbit/s": ("-ar", "8000", "-ac", "1", "-b:a", "8k"),
    "320 kbit/s": ("-b:a", "320k"),
    "variable rate": ("-q:a", "2"),
    "variable rate, mono, MPEG 2": ("-q:a", "6", "-ar", "22050", "-ac", "1"),
    "average rate": ("-abr", "1", "-b:a", "110k"),
    "channels apart": ("-joint_stereo", "0"),
    "no header that counts": ("-write_xing", "0"),
    "variable rate, no header that counts": ("-q:a", "4", "-write_xing", "0"),
    "frames that stand alone": ("-reservoir", "0"),
}


@pytest.mark.parametrize("coding", CODINGS)
def test_every_coding_is_played_in_full(room, tmp_path, coding):
    played(room, tmp_path, song(TONES, SECONDS, *CODINGS[coding]))


@pytest.fixture(scope="module")
def room(tmp_path_factory):
    """A photo and its turn, made once."""
    made = tmp_path_factory.mktemp("room")
    photo(made / "pet.jpg")
    return made


def played(room: Path, tmp_path: Path, path: Path, flags: tuple[str, ...] = (), seconds: float = SECONDS) -> None:
    """The check hears all of it, and so does who plays the video."""
    report = check_song(path, ffmpeg=FFMPEG)
    assert report.seconds == pytest.approx(seconds, abs=0.15)  # without the encoder's figures some padding is played
    assert report.flags == flags and report.silent_share < 0.05
    out = tmp_path / "video.mp4"
    render_video(room / "pet.jpg", path, out, small_spec(size=64, fps=4), ffmpeg=FFMPEG, report=report, cache=room / "turns")
    sound = read_movie(out).track("soun")
    assert sound is not None and sound.seconds == pytest.approx(report.seconds, abs=1024 / 32000)
    levels = subprocess.run(["ffmpeg", "-v", "info", "-i", out, "-map", "0:a", "-af", "silencedetect=noise=-50dB:d=0.3",
                             "-f", "null", "-"], capture_output=True, text=True, check=True).stderr
    assert levels.count("silence_start") <= 1 + (seconds != SECONDS)


# ---- what may stand around and between the frames

def footer_tag(data: bytes) -> bytes:
    """ID3v2.4 with a footer (structure 3.4), whose ten bytes do not count in the size."""
    body = b"TIT2" + bytes((0, 0, 0, 5, 0, 0)) + b"\3Song" + b"\0" * 85
    return b"ID3\4\0\x10\0\0\0" + bytes((len(body),)) + body + b"3DI\4\0\x10\0\0\0" + bytes((len(body),)) + data


def tagged(data: bytes, path: Path, *more: object, version: int = 4, v1: int = 0) -> bytes:
    path.write_bytes(data)
    tags = ID3()
    for frame in (TIT2(encoding=3, text="Song"), COMM(encoding=3, lang="eng", text="x" * 500), *more):
        tags.add(frame)
    tags.save(path, v2_version=version, v1=v1)
    return path.read_bytes()


def chapters() -> list[object]:
    made = [CHAP(element_id=f"c{n}", start_time=n * 2_400_000, end_time=(n + 1) * 2_400_000) for n in range(2)]
    return [*made, CTOC(element_id="toc", flags=CTOCFlags.TOP_LEVEL, child_element_ids=["c0", "c1"])]


def cover(kind: str) -> APIC:
    codec = {"jpeg": "mjpeg", "png": "png"}[kind]
    data = subprocess.run(["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=s=300x300", "-frames:v", "1", "-c:v", codec,
                           "-f", "image2pipe", "-"], check=True, capture_output=True).stdout
    return APIC(mime=f"image/{kind}", type=3, data=data)


def ape_tag(data: bytes) -> bytes:
    """APEv2 at the end, as loudness scanners write it."""
    item = struct.pack("<II", 5, 0) + b"TITLE\0Songs"
    head = struct.pack("<8sIIII8x", b"APETAGEX", 2000, len(item) + 32, 1, 0xA0000000)
    foot = struct.pack("<8sIIII8x", b"APETAGEX", 2000, len(item) + 32, 1, 0x80000000)
    return data + head + item + foot


def counting(data: bytes, seconds: float, monkeypatch: pytest.MonkeyPatch) -> bytes:
    monkeypatch.setattr(forgeries, "TEN_HOURS", seconds)
    return forgeries.ten_hours_by_xing(data)


def between(data: bytes, filler: bytes) -> bytes:
    frames = frames_of(data)
    return b"".join(frames[:200]) + filler + b"".join(frames[200:])


SURROUNDINGS: dict[str, Change] = {
    "ID3v1": lambda data, path: forgeries.without_tag(tagged(data, path, v1=2)),
    "ID3v2.3": lambda data, path: tagged(data, path, version=3),
    "ID3v2.4": tagged,
    "ID3v2.4 with a footer": lambda data, path: footer_tag(data),
    "two tags": lambda data, path: b"ID3\3\0\0\0\0\0\0" + tagged(data, path),
    "an APE tag": lambda data, path: ape_tag(data),
    "all tags": lambda data, path: ape_tag(footer_tag(tagged(data, path, v1=2))),
    "a JPEG cover": lambda data, path: tagged(data, path, cover("jpeg")),
    "a PNG cover": lambda data, path: tagged(data, path, cover("png")),
    "chapters over an hour": lambda data, path: tagged(data, path, *chapters()),
    "zeros before": lambda data, path: bytes(3000) + data,
    "zeros behind": lambda data, path: data + bytes(50_000),
    "zeros between": lambda data, path: between(data, bytes(4000)),
    "text between": lambda data, path: between(data, b"not a frame " * 50),
    "a cover of 15 MB": lambda data, path: forgeries.large_cover(data),
    "a frame begun before": lambda data, path: frames_of(data)[5][100:] + b"".join(frames_of(data)[6:]),
    "a frame cut at the end": lambda data, path: data[:-150],
    "a WAV header before": lambda data, path: (
        struct.pack("<4sI8sIHHIIHHH", b"RIFF", len(data) + 38, b"WAVEfmt ", 18, 0x55, 2, 44100, 16000, 1, 0, 0)
        + struct.pack("<4sI", b"data", len(data)) + data),
}


@pytest.mark.parametrize("surroundings", SURROUNDINGS)
def test_what_stands_around_the_frames_changes_nothing(room, tmp_path, surroundings):
    path = tmp_path / "song.mp3"
    data = SURROUNDINGS[surroundings](made("-id3v2_version", "0"), tmp_path / "tagged.mp3")
    path.write_bytes(data)
    played(room, tmp_path, path)


# ---- lies

def test_a_header_that_counts_too_few_frames_is_told_and_the_song_played_in_full(room, tmp_path, monkeypatch):
    path = tmp_path / "song.mp3"
    path.write_bytes(counting(made(), 4.0, monkeypatch))
    played(room, tmp_path, path, ("length_differs",))


def test_two_songs_in_one_file_are_played_both(room, tmp_path):
    path = tmp_path / "song.mp3"
    path.write_bytes(made() + made())
    played(room, tmp_path, path, ("length_differs",), 2 * SECONDS)


def free_format(data: bytes) -> bytes:
    """Frames of one size that do not tell it (ISO 11172-3 2.4.2.3)."""
    return b"".join(frame[:2] + bytes((frame[2] & 0x0F,)) + frame[3:] for frame in frames_of(data))


REFUSED: dict[str, tuple[Callable[[], bytes], str, str]] = {
    "free format": (lambda: free_format(made("-ar", "48000")), "audio_undecodable", "free format"),
    "too many frames counted": (lambda: forgeries.ten_hours_by_vbri(made()), "audio_cut", "36000"),
    "a third is missing": (lambda: made()[: len(made()) * 2 // 3], "audio_cut", "12.0 s that its header states"),
    "a sample rate that changes": (lambda: made("-ar", "44100") + made("-ar", "48000"), "audio_undecodable", "half-way"),
    "channels that change": (lambda: made() + made("-ac", "1"), "audio_undecodable", "half-way"),
    "noise": (lambda: bytes(n * n * 7919 >> 8 & 0xFF for n in range(200_000)), "audio_undecodable", "MP3"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_played_is_refused_with_a_reason(tmp_path, kind):
    make, code, words = REFUSED[kind]
    path = tmp_path / "song.mp3"
    path.write_bytes(make())
    with pytest.raises(RenderError) as caught:
        check_song(path, ffmpeg=FFMPEG)
    assert (caught.value.code, caught.value.permanent) == (code, True)
    assert words in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("coder", ["mp2", "aac", "flac", "pcm_s16le"])
def test_other_codings_by_that_name_are_refused(tmp_path, coder):
    path = tmp_path / "song.mp3"
    form = {"mp2": "mp2", "aac": "adts", "flac": "flac", "pcm_s16le": "wav"}[coder]
    subprocess.run(["ffmpeg", "-v", "error", "-i", song(TONES, SECONDS), "-c:a", coder, "-f", form, path], check=True)
    with pytest.raises(RenderError, match="MP3") as caught:
        check_song(path, ffmpeg=FFMPEG)
    assert caught.value.code == "audio_undecodable"
