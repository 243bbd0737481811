import os
import subprocess
import threading

import pytest

from render import commands, turns, video
from render.ffmpeg import Limits, run_ffmpeg
from render.record import Turntable, make_scene
from render.spec import RenderError
from render.turns import TurnCache, turn_key
from render.video import prepare_turn
from render_media import EMBEDDED, FFMPEG, photo, small_spec, song


@pytest.fixture
def made(monkeypatch):
    """Counts the turns that are really rendered."""
    count = []
    real = video.make_turn

    def counted(*args, **options):
        count.append(1)
        return real(*args, **options)

    monkeypatch.setattr(video, "make_turn", counted)
    return count


@pytest.mark.parametrize("ffmpeg", [FFMPEG, EMBEDDED])
def test_what_the_encoder_keeps_is_what_players_will_see(tmp_path, ffmpeg):
    """In a temporary folder of any name."""
    room = tmp_path / "it's: a=b, c"
    room.mkdir()
    frames = Turntable(make_scene(photo(tmp_path / "p.png").read_bytes(), small_spec()), 30).turn()
    argv = commands.turn_args(ffmpeg, small_spec(), room / "turn.mp4", decoded=room / "turn.yuv")
    run_ffmpeg(argv, timeout=20, feed=frames)
    seen = ["ffmpeg", "-v", "error", "-i", f"file:{room / 'turn.mp4'}", "-pix_fmt", "yuv420p", "-f", "rawvideo", "-"]
    assert (room / "turn.yuv").read_bytes() == subprocess.run(seen, check=True, capture_output=True).stdout


SLOW = [{"size": 2160, "fps": 60, "rpm": 2}, {"format": "story", "rpm": 1}, {"format": "hd", "rpm": 1}]


@pytest.mark.parametrize("changes", SLOW)
def test_the_slowest_turns_stay_within_the_limit_of_a_file(changes):
    spec = small_spec(**({"fps": 30} | changes))
    assert (turns._approaching(spec) + 1) * spec.width * spec.height * 3 // 2 < Limits().file_bytes


def test_the_same_photo_and_spec_make_no_second_turn(tmp_path, made):
    pet = photo(tmp_path / "p.png")
    one = prepare_turn(pet, small_spec(), tmp_path / "cache", ffmpeg=FFMPEG)
    two = prepare_turn(pet.rename(tmp_path / "q.png"), small_spec(), tmp_path / "cache", ffmpeg=FFMPEG)
    assert (one, len(made)) == (two, 1)


def test_what_shapes_the_turn_is_in_its_key_and_nothing_else(tmp_path):
    data = photo(tmp_path / "p.png").read_bytes()
    spec = small_spec()
    other = tmp_path / "needle.png"
    other.write_bytes(photo(tmp_path / "o.png").read_bytes())
    redrawn = type(spec)(spec.background, spec.record, other, size=128, fps=10)
    keys = [turn_key(data, spec), turn_key(data + b" ", spec), turn_key(data, redrawn)]
    keys += [turn_key(data, small_spec(**change)) for change in (
        {"size": 130}, {"fps": 12}, {"rpm": 30}, {"crf": 20}, {"photo_size": 300}, {"record_size": 700})]
    assert len(set(keys)) == len(keys)
    assert turn_key(data, small_spec(loudness_lufs=-20.0, audio_bitrate="96k")) == keys[0]


def test_a_damaged_turn_is_made_again(tmp_path, made):
    pet = photo(tmp_path / "p.png")
    path = prepare_turn(pet, small_spec(), tmp_path / "cache", ffmpeg=FFMPEG)
    whole = path.read_bytes()
    path.write_bytes(whole[:-500])
    assert prepare_turn(pet, small_spec(), tmp_path / "cache", ffmpeg=FFMPEG).read_bytes() == whole
    assert len(made) == 2


def test_the_cache_stays_under_its_size_and_keeps_what_is_used(tmp_path):
    cache, turn = TurnCache(tmp_path / "cache", most=2500), tmp_path / "t"
    turn.write_bytes(b"x" * 1000)
    for age, key in ((300, "a"), (200, "b")):
        path = cache.store(key, turn)
        os.utime(path, (path.stat().st_mtime - age,) * 2)
    os.utime(cache.path("a"))
    cache.store("c", turn)
    assert sorted(os.listdir(cache.folder)) == ["turn-a.mp4", "turn-c.mp4"]
    turn.write_bytes(b"x" * 9000)
    cache.store("d", turn)
    assert os.listdir(cache.folder) == ["turn-d.mp4"]


def test_many_makers_of_one_turn_do_no_harm(tmp_path):
    pet, found = photo(tmp_path / "p.png"), []
    threads = [threading.Thread(target=lambda: found.append(
        prepare_turn(pet, small_spec(), tmp_path / "cache", ffmpeg=FFMPEG))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1 and len(found) == 4
    assert turns.is_turn(found[0], small_spec())
    assert os.listdir(tmp_path / "cache") == [found[0].name]


def test_a_cache_that_cannot_be_written_costs_no_video(tmp_path):
    (tmp_path / "cache").write_text("a file, not a folder")
    pet = photo(tmp_path / "p.png")
    facts = video.render_video(pet, song(), tmp_path / "o.mp4", small_spec(), ffmpeg=FFMPEG, cache=tmp_path / "cache")
    assert facts.frames == 123
    with pytest.raises(RenderError, match="cannot be written"):
        prepare_turn(pet, small_spec(), tmp_path / "cache", ffmpeg=FFMPEG)


def test_without_a_cache_the_turn_is_the_callers_file(tmp_path):
    path = prepare_turn(photo(tmp_path / "p.png"), small_spec(), None, ffmpeg=FFMPEG)
    assert turns.is_turn(path, small_spec())
    path.unlink()


def test_leftovers_of_killed_processes_go_after_an_hour(tmp_path):
    cache = TurnCache(tmp_path)
    old, new = tmp_path / ".render-old.mp4", tmp_path / ".render-new.mp4"
    for path in (old, new):
        path.write_bytes(b"x")
    os.utime(old, (old.stat().st_mtime - 4000,) * 2)
    cache.store("a", new)
    assert sorted(os.listdir(tmp_path)) == [".render-new.mp4", "turn-a.mp4"]
