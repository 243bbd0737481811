"""Composed songs as one hears them: six vibes told apart by figures, clean, loud enough, the words where they are said."""

import re
from itertools import combinations
from pathlib import Path

import mutagen.mp3
import numpy as np
import pytest

from scripts.sandbox.compose import lyrics, mixing
from scripts.sandbox.compose.song import Order, Song, compose
from scripts.sandbox.compose.styles import STYLES
from scripts.sandbox.server import start
from sound_figures import RATE, chroma, energy, signature, tempo

pytestmark = pytest.mark.slow

PROMPT = "celebrating the special bond between {owner} and their beloved {kind} {pet}. Make it warm. The mood is {vibe}."
Figures = dict[str, dict[str, float]]  # by vibe
PARENT = {"major": 0, "dorian": -2, "mixolydian": 5}  # from a mode's tonic to the major scale with its notes


def order(vibe: str, owner: str = "Robin Example", pet: str = "Biscuit", kind: str = "dog") -> Order:
    prompt = PROMPT.format(owner=owner, pet=pet, kind=kind, vibe=vibe)
    return Order(prompt, (vibe,), vibe, lyrics.write(prompt, [vibe], vibe))


@pytest.fixture(scope="module")
def songs() -> dict[str, Song]:
    return {vibe: compose(order(vibe)) for vibe in STYLES}


@pytest.fixture(scope="module")
def heard(songs: dict[str, Song]) -> Figures:
    found = {}
    for vibe, song in songs.items():
        sound = song.mix.mean(axis=0)
        found[vibe] = {"tempo": tempo(sound), **energy(sound)}
    return found


def fifths(one: int, other: int) -> int:
    """How many steps two key signatures lie apart."""
    away = (one - other) * 7 % 12
    return min(away, 12 - away)


@pytest.mark.parametrize("vibe", STYLES)
def test_the_tempo_that_is_heard_is_the_vibes_own(songs: dict[str, Song], heard: Figures, vibe: str) -> None:
    # In three a listener may count the halves of beats in twos.
    counted = (1.0, 1.5, 2 / 3) if STYLES[vibe].beats * STYLES[vibe].slots == 6 else (1.0,)
    assert min(abs(heard[vibe]["tempo"] / songs[vibe].score.bpm / share - 1) for share in counted) < 0.015


@pytest.mark.parametrize("vibe", STYLES)
def test_the_key_that_is_heard_is_the_scores(songs: dict[str, Song], vibe: str) -> None:
    song, mode = songs[vibe], STYLES[vibe].mode
    sound = song.band.mean(axis=0)
    assert fifths(signature(sound), (song.score.tonic + PARENT[mode]) % 12) <= 1
    notes = chroma(sound)
    third = notes[(song.score.tonic + 4) % 12] / notes[(song.score.tonic + 3) % 12]
    assert third < 1.0 if mode == "dorian" else third > 1.2


def test_any_two_vibes_are_told_apart_by_tempo_or_energy(heard: Figures) -> None:
    for one, other in combinations(STYLES, 2):
        apart = {name: abs(heard[one][name] - heard[other][name]) for name in heard[one]}
        quicker = max(heard[one]["tempo"], heard[other]["tempo"]) / min(heard[one]["tempo"], heard[other]["tempo"])
        assert quicker > 1.06 or apart["rms"] > 1.5 or apart["onsets"] > 1.0, (one, other, apart)


def test_party_and_energetic_songs_have_the_most_energy_and_relaxing_ones_the_least(heard: Figures) -> None:
    loud = {vibe: figures["rms"] for vibe, figures in heard.items()}
    assert min(loud["party"], loud["energetic"]) > max(loud["other"], loud["chill"]) + 0.8
    assert loud["relaxing"] == min(loud.values())
    assert heard["party"]["onsets"] > 1.4 * heard["relaxing"]["onsets"]
    assert heard["relaxing"]["crest"] > heard["party"]["crest"] + 2


@pytest.mark.parametrize("vibe", STYLES)
def test_a_song_is_whole_clean_and_loud_enough(songs: dict[str, Song], vibe: str) -> None:
    mix = songs[vibe].mix
    assert mix.shape[0] == 2 and 90 <= mix.shape[1] / RATE <= 130
    assert np.isfinite(mix).all()
    assert np.abs(mix).max() <= 0.81
    assert -16.2 <= mixing.loudness(mix) <= -11.8
    assert np.abs(mix[:, :200]).max() < 1e-3 and np.abs(mix[:, -200:]).max() < 1e-3
    assert abs(float(mix.mean())) < 1e-3
    assert np.abs(np.diff(mix, axis=1)).max() < 0.7  # a click is a jump
    left, right = mix
    assert 0.3 < float(np.corrcoef(left, right)[0, 1]) < 0.995


@pytest.mark.parametrize("vibe", STYLES)
def test_the_voice_is_heard_at_the_words_and_not_between_the_lines(songs: dict[str, Song], vibe: str) -> None:
    song = songs[vibe]
    voice, seconds = song.voice.mean(axis=0), song.mix.shape[1] / RATE
    assert song.sung
    assert all(0 <= word.start < word.end <= seconds for word in song.words)
    assert all(one.end <= two.start + 0.002 for one, two in zip(song.words, song.words[1:], strict=False))
    silent = np.ones(len(voice), bool)
    loud = []
    for word in song.words:
        first, last = int(word.start * RATE), int(word.end * RATE)
        loud.append(float(np.sqrt(np.mean(voice[first:last] ** 2))))
        silent[max(0, first - RATE // 20) : last + RATE // 20] = False
    between = float(np.sqrt(np.mean(voice[silent] ** 2)))
    assert np.median(loud) > 20 * between
    assert sum(power > 5 * between for power in loud) > 0.97 * len(loud)


@pytest.mark.parametrize("vibe", ["chill", "energetic"])
def test_the_words_are_the_lyrics_with_labels_and_line_breaks(songs: dict[str, Song], vibe: str) -> None:
    text = order(vibe).text
    told = "".join(word.text if word.text.endswith("\n") else f"{word.text} " for word in songs[vibe].words)
    assert told.strip() == text.replace("\n\n", "\n").strip()


def test_the_same_order_is_the_same_to_the_last_bit(songs: dict[str, Song]) -> None:
    again = compose(order("party"))
    assert np.array_equal(again.mix, songs["party"].mix)
    assert again.words == songs["party"].words


def test_names_of_three_scripts_are_sung_in_a_song_of_their_own(songs: dict[str, Song]) -> None:
    song = compose(order("chill", owner="Мария Примерова", pet="रानी 小花", kind="cat"))
    assert song.mix.shape != songs["chill"].mix.shape
    voice = song.voice.mean(axis=0)
    for name in ("Мария", "रानी", "小花"):
        powers = [
            float(np.sqrt(np.mean(voice[int(word.start * RATE) : int(word.end * RATE)] ** 2)))
            for word in song.words
            if name in word.text
        ]
        assert powers and min(powers) > 0.005
    assert 90 <= song.mix.shape[1] / RATE <= 130


def test_without_a_voice_an_instrument_plays_the_words() -> None:
    song = compose(order("other"), with_voice=False)
    assert not song.sung and not song.voice.any()
    assert 90 <= song.mix.shape[1] / RATE <= 130
    assert -16.2 <= mixing.loudness(song.mix) <= -11.8
    assert [word.text.split()[-1] for word in song.words] == re.sub(r"\[.*\]", "", order("other").text).split()
    played = song.band.mean(axis=0)
    at = song.words[len(song.words) // 2]
    assert np.abs(played[int(at.start * RATE) : int(at.end * RATE)]).max() > 0.01


def test_the_stand_in_composes_what_it_is_ordered_and_tells_the_words_times(tmp_path: Path) -> None:
    prompt = order("party").prompt
    with start(tune="compose", generate_seconds=0, align_seconds=0, data=tmp_path) as server:
        request = {"prompt": prompt, "tags": ["party"], "output_format": "mp3", "align_lyrics": True}
        task_id = server.client.submit(request).json()["task_id"]
        early = server.client.task(task_id).json()
        assert (early["status"], early["alignment_status"], early["word_aligned_lyrics"]) == ("SUCCESS", "ALIGNING", None)
        assert server.client.status(task_id, include_alignment=True).json()["alignment_status"] == "ALIGNING"
        song = server.client._http.get(early["song_paths"][0], timeout=100)
        (tmp_path / "song.mp3").write_bytes(song.content)
        info = mutagen.mp3.MP3(tmp_path / "song.mp3").info
        assert info is not None and 90 <= info.length <= 130
        assert (info.sample_rate, info.channels) == (44100, 2)
        late = server.client.task(task_id).json()
        assert late["alignment_status"] == "SUCCESS"
        words = late["word_aligned_lyrics"]
        assert words[0]["word"].startswith("[Verse 1]\n")
        assert 0 < words[0]["start"] < words[-1]["end"] < info.length
        assert "Robin Example" in late["lyrics"]
        again = server.client.submit(request).json()["task_id"]
        assert server.client.task(again).json()["alignment_status"] == "SUCCESS"
        assert server.client.song(server.client.task(again).json()["song_paths"][0]).content == song.content


def test_a_song_that_cannot_be_composed_is_the_vibes_premade_one(tmp_path: Path) -> None:
    with start(tune="compose", generate_seconds=0, align_seconds=0, song_seconds=3, data=tmp_path) as server:
        request = {"prompt": "quiet", "lyrics": "[Chorus]", "output_format": "mp3", "align_lyrics": True}
        task_id = server.client.submit(request).json()["task_id"]
        task = server.client.task(task_id).json()
        assert len(server.client.song(task["song_paths"][0]).content) > 10_000
        assert {path.name for path in (tmp_path / "songs").glob("*.mp3")} == {"other-3.mp3"}
        assert server.client.task(task_id).json()["alignment_status"] == "SUCCESS"
