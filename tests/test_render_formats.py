import os
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image, ImageChops, ImageStat

from render import record
from render.audio import check_song
from render.backdrop import backdrop
from render.pictures import artwork
from render.record import layout_of, make_poster, make_preview, make_scene
from render.spec import FORMATS, VideoSpec
from render.turns import turn_key
from render.video import prepare_turn, render_video
from render_media import ART, FFMPEG, frames, photo, run, small_spec, song, unlike

SIZES = {"square": (128, 128), "hd": (1080, 1080), "story": (1080, 1920)}
CAPTION = ("Biscuit", "with love from Robin")


def quick_spec(format="square", **changes):
    """Four frames a turn."""
    return small_spec(format=format, fps=4, rpm=60, **changes)


def sound_of(video: Path) -> str:
    return run("ffmpeg", "-v", "error", "-i", f"file:{video}", "-map", "0:a", "-c", "copy", "-f", "streamhash", "-")


@pytest.fixture(scope="module")
def square(tmp_path_factory):
    """A photo and the finished square video of the usual song."""
    folder = tmp_path_factory.mktemp("square")
    pet = photo(folder / "pet.png")
    render_video(pet, song(), folder / "square.mp4", quick_spec(), ffmpeg=FFMPEG)
    return pet, folder / "square.mp4"


def test_the_formats_are_three_and_have_their_sizes():
    assert list(FORMATS) == list(SIZES)
    for name, size in SIZES.items():
        spec = quick_spec(name)
        assert (spec.width, spec.height) == size
    assert (VideoSpec(Path("b"), Path("r"), Path("n")).width, small_spec(size=720).height) == (720, 720)


@pytest.mark.parametrize(("changes", "reason"), [
    ({"format": "tall"}, "format must be one of square, hd, story: 'tall'"), ({"format": ""}, "format must be"),
    ({"format": None}, "format must be"), ({"format": ["hd"]}, "format must be"),
    ({"caption": "Biscuit"}, "caption must be a tuple"),
    ({"caption": ("a", 5)}, "caption must be a tuple"), ({"caption": ("x" * 401,)}, "at most 400 characters"),
])
def test_a_wrong_format_or_caption_is_named(changes, reason):
    with pytest.raises(ValueError, match=reason):
        small_spec(**changes)


def test_a_spec_becomes_another_format():
    tall = replace(small_spec(), format="story", caption=CAPTION)
    assert (tall.width, tall.height, tall.shown_caption) == (1080, 1920, CAPTION)
    assert replace(tall, format="hd").shown_caption == ()


@pytest.mark.parametrize("name", ["hd", "story"])
def test_a_further_format_takes_the_finished_videos_sound(square, tmp_path, name):
    pet, finished = square
    report = check_song(song(), ffmpeg=FFMPEG)
    spec = quick_spec(name, caption=CAPTION)
    facts = render_video(pet, song(), tmp_path / "v.mp4", spec, ffmpeg=FFMPEG, report=report, sound=finished,
                         cache=tmp_path / "cache")
    again = render_video(pet, song(), tmp_path / "w.mp4", spec, ffmpeg=FFMPEG, report=report, sound=finished,
                         cache=tmp_path / "cache")
    assert (facts.turn_was_ready, again.turn_was_ready) == (False, True)
    assert sound_of(tmp_path / "v.mp4") == sound_of(tmp_path / "w.mp4") == sound_of(finished)
    shown = run("ffprobe", "-v", "error", "-select_streams", "v", "-show_entries", "stream=width,height,nb_frames,pix_fmt",
                "-of", "csv=p=0", f"file:{tmp_path / 'v.mp4'}")
    width, height = SIZES[name]
    assert shown.strip() == f"{width},{height},yuv420p,{facts.frames}"
    assert facts.seconds == pytest.approx(report.seconds, abs=1 / spec.fps)
    assert sorted(os.listdir(tmp_path)) == ["cache", "v.mp4", "w.mp4"]


def test_copied_sound_is_not_encoded_again(square, tmp_path, monkeypatch):
    pet, finished = square

    def encode(*args, **options):
        raise AssertionError("the sound was encoded")

    monkeypatch.setattr("render.commands.aac_options", encode)
    render_video(pet, song(), tmp_path / "v.mp4", quick_spec(), ffmpeg=FFMPEG, sound=finished)
    with pytest.raises(AssertionError):
        render_video(pet, song(), tmp_path / "w.mp4", quick_spec(), ffmpeg=FFMPEG)


@pytest.mark.parametrize(("kind", "ready"), [
    ("another song's", False), ("another song's", True), ("missing", False), ("cut", True), ("no video", False)])
def test_sound_that_does_not_fit_is_encoded_anew(square, tmp_path, kind, ready):
    pet, finished = square
    wrong = tmp_path / "wrong.mp4"
    if kind == "another song's":
        render_video(pet, song(seconds=11.0), wrong, quick_spec(), ffmpeg=FFMPEG)
    elif kind != "missing":
        wrong.write_bytes(finished.read_bytes()[:5000] if kind == "cut" else b"text")
    if ready:
        prepare_turn(pet, quick_spec(), tmp_path / "cache", ffmpeg=FFMPEG)
    facts = render_video(pet, song(), tmp_path / "v.mp4", quick_spec(), ffmpeg=FFMPEG, sound=wrong, cache=tmp_path / "cache")
    assert facts.turn_was_ready is ready
    assert sound_of(tmp_path / "v.mp4") == sound_of(finished)


def test_format_and_caption_are_in_the_turns_key_where_they_are_seen():
    data = photo_bytes()
    keys = [turn_key(data, quick_spec(name, caption=lines)) for name, lines in (
        ("square", ()), ("hd", ()), ("story", ()), ("story", CAPTION), ("story", ("Biscuit",)), ("story", ("Bis", "cuit")))]
    assert len(set(keys)) == len(keys)
    assert turn_key(data, quick_spec("hd", caption=CAPTION)) == keys[1]
    assert turn_key(data, quick_spec("hd", size=720)) == keys[1]  # the setting is the square's alone
    assert turn_key(data, quick_spec("square", size=1080)) != keys[1]


def photo_bytes() -> bytes:
    return (ART / "record.png").read_bytes()


def test_record_and_text_of_a_story_lie_in_the_safe_area(tmp_path):
    """Apps cover about the upper 14 % and the lower 20 %, and the last 12 % of the width."""
    bare, named = (make_scene(photo_bytes(), quick_spec("story", caption=lines)).at_rest() for lines in ((), CAPTION))
    left, top, right, bottom = ImageChops.difference(bare, named).convert("L").point(
        [255 if value > 60 else 0 for value in range(256)]).getbbox()
    assert left >= 1080 * 0.12 and right <= 1080 * 0.88
    assert bottom <= 1920 * 0.80
    place = layout_of(quick_spec("story"))
    reach = 394 * place.scale  # the platter's rim
    assert place.middle - reach >= 1920 * 0.14 and place.middle + reach <= top
    assert 540 + 368 * place.scale <= 1080 * 0.88


@pytest.mark.parametrize("size", [300, 736, 1000])
def test_a_story_has_the_same_room_for_records_of_all_sizes(size):
    spec = quick_spec("story", record_size=size, photo_size=size // 2)
    assert layout_of(spec).scale * size == pytest.approx(FORMATS["story"].disc)
    make_scene(photo_bytes(), spec)


def test_the_background_of_a_story_goes_on_without_an_edge():
    art = artwork(ART / "background.png").convert("RGB")
    tall = backdrop(art, (1080, 1920), 730)
    assert unlike(tall.crop((0, 190, 1080, 1270)), art) == 0  # all of it, as it is
    steps = [unlike(tall.crop((0, y, 1080, y + 1)), tall.crop((0, y + 1, 1080, y + 2))) for y in range(1919)]
    for seam in (189, 1269):
        assert max(steps[seam - 1:seam + 2]) <= max(steps[400:1000])
    assert ImageStat.Stat(tall.crop((0, 1700, 1080, 1920))).stddev[0] > 5  # not one flat colour


def test_poster_and_preview_are_made_of_every_format(tmp_path):
    pet = photo(tmp_path / "p.png")
    for name, size in SIZES.items():
        spec = quick_spec(name, caption=CAPTION)
        make_poster(pet, spec, tmp_path / "poster.jpg")
        make_preview(pet, spec, tmp_path / "preview.jpg")
        with Image.open(tmp_path / "poster.jpg") as made:
            assert (made.format, made.size) == ("JPEG", size)
        with Image.open(tmp_path / "preview.jpg") as made:
            assert made.size == (1200, 630)
        assert (tmp_path / "preview.jpg").stat().st_size < 300_000


def test_the_preview_is_the_same_whatever_the_format(tmp_path):
    pet = photo(tmp_path / "p.png")
    for name in SIZES:
        make_preview(pet, quick_spec(name, caption=CAPTION), tmp_path / f"{name}.jpg")
    assert len({(tmp_path / f"{name}.jpg").read_bytes() for name in SIZES}) == 1


@pytest.mark.parametrize("name", SIZES)
def test_every_format_turns_on_whole_pixels_of_the_colour_planes(name):
    scene = make_scene(photo_bytes(), quick_spec(name))
    assert scene.still.size == SIZES[name]
    assert all(at % 2 == 0 for at in (*scene.corner, *scene.square.size))
    frame = next(record.Turntable(scene, 4).turn())
    assert len(frame) == SIZES[name][0] * SIZES[name][1] * 3 // 2


def turn_of(tmp_path: Path, **changes) -> list[Image.Image]:
    """The decoded frames of a turn of 90 frames with a photo of large shapes."""
    spec = small_spec(size=360, fps=30, **changes)
    return frames(prepare_turn(photo(tmp_path / "p.png"), spec, tmp_path / "cache", ffmpeg=FFMPEG), 360)


def steps_of(turn: list[Image.Image]) -> list[float]:
    """What changes from each frame to the next, the last one's being the first."""
    return [unlike(one, two) for one, two in zip(turn, turn[1:] + turn[:1], strict=True)]


def test_the_last_frame_of_a_turn_leads_to_the_first_as_each_to_the_next(tmp_path):
    """At a quality at which the encoder's own changes do not count."""
    steps = steps_of(turn_of(tmp_path, crf=8))
    assert len(steps) == 90
    assert steps[-1] == pytest.approx(sorted(steps)[45], rel=0.1)


def test_what_stands_still_does_not_pulse_once_a_turn(tmp_path):
    turn = turn_of(tmp_path)
    for box in ((0, 0, 360, 48), (0, 312, 360, 360), (60, 150, 100, 210), (250, 90, 275, 110)):  # the last two are vinyl
        parts = [picture.crop(box) for picture in turn]
        assert max(steps_of(parts)) < 0.1
