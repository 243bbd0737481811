"""The stand-in's song files: real MP3s, whole, of the length asked for, each order recognisable by its tone."""

import subprocess
from collections.abc import Iterator
from io import BytesIO

import mutagen.mp3
import pytest
import requests

from scripts.sandbox.client import SandboxClient
from scripts.sandbox.server import start
from scripts.sandbox.tunes import BANDS, find_ffmpeg, tone_hz, vibe_of

RATE = 44100


@pytest.fixture(scope="module")
def shared() -> Iterator[SandboxClient]:
    with start(generate_seconds=0, song_seconds=3) as server:
        yield server.client


@pytest.fixture
def sandbox(shared: SandboxClient) -> SandboxClient:
    shared.reset()
    return shared


def song_url(sandbox: SandboxClient, prompt: str = "a song", file_format: str = "mp3") -> str:
    task_id = sandbox.submit({"prompt": prompt, "output_format": file_format}).json()["task_id"]
    return str(sandbox.task(task_id).json()["song_paths"][0])


def samples(song: bytes) -> memoryview:
    """The song decoded to mono, 16 bit, 44.1 kHz; any error of ffmpeg's fails."""
    argv = [find_ffmpeg(), "-v", "error", "-xerror", "-i", "pipe:0", "-ac", "1", "-ar", str(RATE), "-f", "s16le", "-"]
    done = subprocess.run(argv, input=song, capture_output=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, b"")
    return memoryview(done.stdout).cast("h")


def pitch(sound: memoryview) -> float:
    """Hz of a pure tone, by its zero crossings."""
    middle = sound[RATE // 2 : -RATE // 2].tolist()
    crossings = sum(1 for one, other in zip(middle, middle[1:], strict=False) if (one < 0) != (other < 0))
    return crossings / 2 / (len(middle) / RATE)


def test_a_song_is_a_whole_stereo_mp3_of_the_length_asked_for(sandbox: SandboxClient) -> None:
    answer = sandbox.song(song_url(sandbox))
    assert answer.headers["Content-Type"] == "audio/mpeg"
    assert int(answer.headers["Content-Length"]) == len(answer.content)
    info = mutagen.mp3.MP3(BytesIO(answer.content)).info
    assert info is not None
    assert (info.sample_rate, info.channels, round(info.bitrate, -3)) == (44100, 2, 192000)
    assert info.length == pytest.approx(3.0, abs=0.06)
    assert len(samples(answer.content)) / RATE == pytest.approx(3.0, abs=0.06)


def test_songs_have_the_length_that_was_set_when_they_were_ordered(sandbox: SandboxClient) -> None:
    earlier = song_url(sandbox)
    sandbox.configure(song_seconds=7)
    later = song_url(sandbox)
    assert [round(len(samples(sandbox.song(url).content)) / RATE) for url in (earlier, later)] == [3, 7]


def test_every_vibe_has_a_tune_of_its_own_that_is_neither_silent_nor_clipped(sandbox: SandboxClient) -> None:
    songs = [sandbox.song(song_url(sandbox, f"a {vibe} song")).content for vibe in BANDS]
    assert len(set(songs)) == len(BANDS) == 6
    assert [order["vibe"] for order in sandbox.orders()] == list(BANDS)
    for song in songs:
        loudest = max(map(abs, samples(song).tolist()))
        assert 3000 < loudest < 32767


def test_the_tags_choose_the_vibe_where_the_prompt_does_not() -> None:
    assert vibe_of("A Party song", ["romantic", "ballad"]) == "party"
    assert vibe_of("a song", ["pop", "lo-fi", "mellow"]) == "chill"
    assert vibe_of("a song", ["pop"]) == "other"


def test_in_tone_mode_each_order_is_heard_by_its_pitch(sandbox: SandboxClient) -> None:
    sandbox.configure(tune="tone")
    urls = [song_url(sandbox) for _ in range(3)]
    expected = [order["tone_hz"] for order in sandbox.orders()]
    assert len(set(expected)) == 3
    for url, hertz in zip(urls, expected, strict=True):
        assert pitch(samples(sandbox.song(url).content)) == pytest.approx(hertz, abs=2)


def test_two_hundred_orders_have_two_hundred_pitches() -> None:
    assert len({tone_hz(number) for number in range(1, 201)}) == 200


@pytest.mark.parametrize("file_format", ["ogg", "flac", "wav", "m4a"])
def test_other_formats_are_what_they_are_called(sandbox: SandboxClient, file_format: str) -> None:
    answer = sandbox.song(song_url(sandbox, file_format=file_format))
    start_bytes = {"ogg": b"OggS", "flac": b"fLaC", "wav": b"RIFF", "m4a": b"ftyp"}[file_format]
    assert start_bytes in answer.content[:8]
    assert answer.headers["Content-Type"].startswith("audio/")


def test_head_tells_size_and_type_without_bytes_and_without_using_up_a_fault(sandbox: SandboxClient) -> None:
    url = song_url(sandbox)
    size = sandbox.song(url).headers["Content-Length"]
    sandbox.add_fault("song_404", count=1)
    answer = requests.head(url, timeout=10)
    assert (answer.status_code, answer.headers["Content-Length"], answer.content) == (200, size, b"")
    assert answer.headers["Content-Type"] == "audio/mpeg"
    assert sandbox.song(url).status_code == 404


def test_a_song_is_there_from_success_until_its_time_is_over(sandbox: SandboxClient) -> None:
    url = song_url(sandbox)
    assert sandbox.song(url.replace(".mp3", ".ogg")).status_code == 404
    sandbox.configure(keep_seconds=0)
    assert sandbox.song(url).status_code == 404
    sandbox.configure(keep_seconds=60, generate_seconds=60)
    task_id = sandbox.submit({"prompt": "x", "output_format": "mp3"}).json()["task_id"]
    assert sandbox.song(f"{sandbox.url}/files/audio_{task_id}_0.mp3").status_code == 404


def test_a_warmed_up_song_is_made_before_it_listens() -> None:
    with start(prewarm=True, song_seconds=1) as server:
        made = {path.name for path in (server.data / "songs").glob("*.mp3")}
        assert made == {f"{vibe}-1.mp3" for vibe in BANDS}
