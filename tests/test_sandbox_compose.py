"""Lyrics, score and voice of composed songs: what needs no mix."""

import random
import time
from pathlib import Path

import numpy as np
import pytest

from petsong.campaigns.loader import load_campaign
from scripts.sandbox.compose import lyrics, melody, score, singing, voice
from scripts.sandbox.compose.lyrics import Section
from scripts.sandbox.compose.styles import STYLES, chord
from scripts.sandbox.studio import Commission, Studio
from scripts.sandbox.tunes import HINTS, TuneError, vibe_of

VALENTINES = load_campaign("valentines")


def prompt(owner: str = "Robin Example", pet: str = "Biscuit", kind: str = "Dog", vibe: str = "Romantic", **said: str) -> str:
    order = VALENTINES.song_order(owner_name=owner, pet_name=pet, pet_type=kind, music_vibe=vibe, **said)
    return order.prompt


def written(text: str, vibe: str = "other") -> str:
    return lyrics.write(text, ["pop"], vibe)


@pytest.mark.parametrize("kind", VALENTINES.pet_types)
@pytest.mark.parametrize("vibe", VALENTINES.vibes)
def test_the_lyrics_of_every_vibe_and_pet_name_both_in_verse_and_chorus(kind: str, vibe: str) -> None:
    order = VALENTINES.song_order(owner_name="Robin Example", pet_name="Sir Biscuit", pet_type=kind, music_vibe=vibe)
    text = lyrics.write(order.prompt, list(order.tags), vibe_of(order.prompt, list(order.tags)))
    assert "Robin Example" in text and "Sir Biscuit" in text
    assert "{" not in text
    parts = lyrics.sections(text)
    assert {part.kind for part in parts} == {"verse", "chorus", "bridge"}
    assert [part.label for part in parts][:4] == ["[Verse 1]", "[Chorus]", "[Verse 2]", "[Chorus]"]
    for part in parts:
        if part.kind == "chorus":
            assert "Robin" in " ".join(part.lines) and "Biscuit" in " ".join(part.lines)


def test_every_vibe_of_the_campaign_is_sung_in_its_own_style() -> None:
    found = set()
    for vibe in VALENTINES.vibes:
        order = VALENTINES.song_order(owner_name="A", pet_name="B", pet_type="Dog", music_vibe=vibe)
        found.add(vibe_of(order.prompt, list(order.tags)))
    assert found == set(STYLES) == {*HINTS, "other"}


def test_the_same_order_has_the_same_words_and_others_have_others() -> None:
    assert written(prompt()) == written(prompt())
    texts = {written(prompt(owner=f"Xy{letter}")).replace(f"Xy{letter}", "X") for letter in "abcdefgh"}
    assert len(texts) == 8
    assert lyrics.write(prompt(), ["pop"], "other") != lyrics.write(prompt(), ["soul"], "other")


def test_dogs_and_cats_are_sung_of_in_their_own_words() -> None:
    def of(kind: str) -> set[str]:
        texts = [written(prompt(kind=kind, owner=f"O{at}")).replace(f"O{at}", "") for at in range(30)]
        return {line for text in texts for line in text.splitlines()}

    dog, cat = of("Dog"), of("Cat")
    assert any("stick in the park" in line for line in dog - cat)
    assert any("Whiskers" in line for line in cat - dog)


@pytest.mark.parametrize(
    ("name", "called"),
    [("Biscuit", "Biscuit"), ("Robin Example", "Robin"), ("Mr Whiskerton Fluff", "Mr Whiskerton"), ("Bo Li", "Bo Li")],
)
def test_long_names_are_called_by_their_first_word(name: str, called: str) -> None:
    assert lyrics.called(name) == called


def test_names_with_braces_stay_as_they_are() -> None:
    assert "{owner}" in lyrics.write("between {pet} and their beloved fish {owner}", [], "other")


def test_ordered_lyrics_fall_into_sections() -> None:
    assert lyrics.sections("oh\n[Hook]\nla la\n\n[Outro]\nbye\n[Empty]") == [
        Section("verse", "", ("oh",)),
        Section("chorus", "[Hook]", ("la la",)),
        Section("verse", "[Outro]", ("bye",)),
    ]


def test_chords_are_read_from_their_names() -> None:
    assert chord("ii7").classes() == {2, 5, 9, 0}
    assert chord("bVII").classes() == {10, 2, 5}
    assert chord("IVM7").classes() == {5, 9, 0, 4}
    assert chord("V").classes() == {7, 11, 2}


@pytest.mark.parametrize("count", [1, 3, 8, 13, 14, 20, 40])
@pytest.mark.parametrize("vibe", STYLES)
def test_syllables_follow_each_other_within_their_line(count: int, vibe: str) -> None:
    units = [melody.Sung(random.Random(at).random(), at % 2 == 0) for at in range(count)]
    placed = melody.rhythm(units, STYLES[vibe], random.Random(1))
    assert len(placed) == count
    ends = [slot + length for slot, length in placed]
    assert all(end <= slot for end, (slot, _length) in zip(ends, placed[1:], strict=False))
    assert all(length > 0 for _slot, length in placed)
    assert placed[0][0] >= 0 and ends[-1] <= STYLES[vibe].line_slots


LONG = ("Abracadabrasimsalabimhokuspokus", "Konstantinopolitanarepublika")


@pytest.mark.parametrize("vibe", STYLES)
@pytest.mark.parametrize(("owner", "pet"), [("Al", "Bo"), ("Robin Example", "Biscuit"), LONG])
def test_a_score_is_90_to_130_seconds_and_its_words_come_in_order(vibe: str, owner: str, pet: str) -> None:
    text = lyrics.write(prompt(owner, pet), [], vibe)
    made = score.write(STYLES[vibe], lyrics.sections(text), 7, False, {})
    assert 90 <= made.seconds <= 130
    notes = [note for word in made.words for note in word.notes]
    assert all(one.start < one.end <= two.start + 1e-6 for one, two in zip(notes, notes[1:], strict=False))
    assert 0 < notes[0].start and notes[-1].end < made.music_seconds
    assert "".join(word.shown if word.shown.endswith("\n") else word.shown + " " for word in made.words).split() == text.split()
    assert {note.midi for note in notes} <= set(range(50, 76))


def test_ordered_lyrics_of_a_line_still_make_a_song_and_none_make_none() -> None:
    made = score.write(STYLES["chill"], lyrics.sections("la la la"), 7, True, {})
    assert 90 <= made.seconds <= 130
    with pytest.raises(ValueError, match="nothing to sing"):
        score.write(STYLES["chill"], lyrics.sections("[Chorus]"), 7, True, {})


NAMES = {"Biscuit": 2, "Барсик": 2, "रानी": 2, "小花": 2, "ポチ": 2, "초코": 2, "Ρεξ": 1, "Łukasz": 2}


@pytest.fixture(scope="module")
def spoken() -> dict[str, voice.Spoken]:
    return voice.speak([*NAMES, "a", "...", "[[x"], "f3", 82)


@pytest.mark.parametrize("name", NAMES)
def test_names_of_every_script_are_spoken_with_their_syllables(spoken: dict[str, voice.Spoken], name: str) -> None:
    word = spoken[name]
    assert len(word.syllables) == NAMES[name]
    for syllable in word.syllables:
        assert 0 <= syllable.start <= syllable.vowel < syllable.coda <= syllable.end <= len(word.sound)
        loud, whole = (np.sqrt(np.mean(part**2)) for part in (word.sound[syllable.vowel : syllable.coda], word.sound))
        assert loud > 0.7 * whole > 0


def test_what_has_no_sound_is_left_out(spoken: dict[str, voice.Spoken]) -> None:
    assert "..." not in spoken


def test_the_voice_says_the_same_each_time() -> None:
    one = voice.speak(["Biscuit", "रानी"], "f3", 82)
    time.sleep(1.1)  # espeak-ng's chance begins with the second
    two = voice.speak(["Biscuit", "रानी"], "f3", 82)
    assert all(np.array_equal(one[text].sound, two[text].sound) for text in one)


def test_without_a_library_nothing_is_spoken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(voice, "find_library", lambda: None)
    assert voice.speak(["Biscuit"], "f3", 82) == {}


def test_a_voice_that_crashes_leaves_the_song_without_words(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    broken = tmp_path / "broken.so"
    broken.write_bytes(b"no library")
    monkeypatch.setattr(voice, "find_library", lambda: (str(broken), None))
    assert voice.speak(["Biscuit"], "f3", 82) == {}


def test_the_voice_sings_the_notes_that_it_is_given() -> None:
    words = voice.speak(["la"], "f3", 82)
    source = singing.Source(words)
    for midi in (57, 64, 69):
        sung = score.SungWord("la", "la", "verse", 57, (score.Note(0.5, 1.6, midi),))
        placed = singing.place([sung], source)
        assert placed[0].start < 0.5 < 1.4 < placed[0].end < 1.7
        sound = singing.sing(placed, source, 2.0, singing.pitch(placed, 2.0))
        middle = sound[int(0.7 * source.rate) : int(0.9 * source.rate)]  # before the vibrato
        likeness = np.fft.irfft(np.abs(np.fft.rfft(middle, 16384)) ** 2)
        wanted = source.rate / (440 * 2 ** ((midi - 69) / 12))
        low = int(wanted * 0.7)
        assert low + int(np.argmax(likeness[low : int(wanted * 1.4)])) == pytest.approx(wanted, rel=0.02)


def test_a_song_that_cannot_be_composed_is_tried_once(tmp_path: Path) -> None:
    studio, order = Studio(tmp_path), Commission("x", (), "chill", "[Nothing]")
    for _ in range(2):
        with pytest.raises(TuneError, match="nothing to sing"):
            studio.song(order, "mp3")
    with pytest.raises(TuneError):
        studio.timing(order)
    assert list(tmp_path.iterdir()) == []
