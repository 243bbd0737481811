"""Further formats follow a finished video, one by one; whatever becomes of them, the song stays done."""
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import kit
from jobs.produce import create_video
from jobs.renditions import create_rendition
from jobs.upkeep import SCRATCH_SECONDS, cleanup_old_files, clear_orphans, sweep
from petsong import database
from petsong.campaigns import loader
from petsong.lifecycle.renditions import MAX_TRIES
from petsong.models import Rendition, Submission, Tick
from pipeline import LEASES, World, kill_job, process_state, wait_until
from render import spec
from render.probe import read_movie
from render.spec import RenderError
from render.video import render_video
from render_media import run

pytest_plugins = "pipeline_fixtures"

FURTHER = ("hd", "story")
DAY = 86_400
Renders = list[tuple[str, Path]]


# Where the database makes no difference; what it makes stands in test_lifecycle_renditions.
on_sqlite = pytest.mark.parametrize("world", ["sqlite"], indirect=True)


@pytest.fixture(autouse=True)
def further_formats(world: World) -> None:
    world.use(video_formats=("square", *FURTHER))
    world.client.configure(generate_seconds=0)


@pytest.fixture
def renders(monkeypatch: pytest.MonkeyPatch) -> Renders:
    """(format, file) of every render of a further format in this process."""
    found: Renders = []

    def counted(photo: Path, song: Path, out: Path, of: spec.VideoSpec, **options: Any) -> Any:
        found.append((of.format, out))
        return render_video(photo, song, out, of, **options)

    monkeypatch.setattr("jobs.renditions.render_video", counted)
    return found


def ready(world: World) -> str:
    """A song that is done, and whose further formats wait."""
    session_id = world.submit("Rosalinde", owner_name="Marisol")
    world.collect([session_id])
    create_video(session_id)
    assert kit.row(session_id).stage == "done", world.story()
    return session_id


def renditions(session_id: str) -> dict[str, Any]:
    found = Rendition.select().where(Rendition.submission == session_id, Rendition.kind.in_(FURTHER))
    return {rendition.kind: rendition for rendition in found}


def made(session_id: str) -> set[str]:
    return {kind for kind, rendition in renditions(session_id).items() if rendition.path}


def all_made() -> bool:
    return not Rendition.select().where(Rendition.path == "").exists()


def song_row(session_id: str) -> Any:
    return Submission.select().where(Submission.session_id == session_id).dicts().get()


def waiting(world: World) -> list[str]:
    return sorted(job for job, _ in world.tools.queues.waiting("renders"))


def videos(world: World) -> list[str]:
    return sorted(key for key, _ in world.tools.storage.list_keys("video/") if key.endswith(".mp4"))


def forget_messages(world: World) -> None:
    world.redis.flushall()


def sound_of(path: Path) -> str:
    """A sum over the packets of the sound, as they are."""
    return run("ffmpeg", "-v", "error", "-i", f"file:{path}", "-map", "0:a", "-c", "copy", "-f", "md5", "-")


# ---- what is made

@on_sqlite
def test_the_formats_of_the_renderer_are_those_that_campaigns_may_name() -> None:
    assert tuple(spec.FORMATS) == loader.FORMATS


def test_the_square_video_ends_the_wait_and_the_others_follow(world: World, renders: Renders) -> None:
    session_id = ready(world)
    assert made(session_id) == set() and renders == []
    assert [order.next_try_at is not None for order in renditions(session_id).values()] == [True, True]
    before = song_row(session_id)
    world.drive(all_made)
    assert [name for name, _ in renders] == ["hd", "story"]
    assert song_row(session_id) == before
    for kind, size in (("hd", (1080, 1080)), ("story", (1080, 1920))):
        found = renditions(session_id)[kind]
        assert (found.width, found.height, found.tries, found.next_try_at) == (*size, 1, None)
        with world.tools.storage.open_local(found.path) as path, world.tools.storage.open_local(
            before["generated_video_path"]
        ) as square:
            assert found.bytes == path.stat().st_size
            assert sound_of(path) == sound_of(square)
            picture = read_movie(path).track("vide")
            assert picture and abs(picture.seconds - before["audio_seconds"]) < 0.25
            shown = run("ffprobe", "-v", "error", "-select_streams", "v", "-show_entries", "stream=width,height",
                        "-of", "csv=p=0", str(path))
            assert shown.strip() == f"{size[0]},{size[1]}"


@on_sqlite
def test_the_names_stand_in_the_story_alone(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    captions = {}

    def seen(_photo: Path, _song: Path, _out: Path, of: spec.VideoSpec, **_options: Any) -> Any:
        captions[of.format] = of.shown_caption
        raise RenderError("ffmpeg_failed", "enough was seen")

    monkeypatch.setattr("jobs.renditions.render_video", seen)
    ready(world)
    world.drive(lambda: len(captions) == 2)
    assert captions == {"hd": (), "story": ("Rosalinde", "with love from Marisol")}


@on_sqlite
@pytest.mark.parametrize(("formats", "wanted"), [((), {"hd", "story"}), (("square",), set()), (("square", "story"), {"story"})])
def test_which_are_made_is_the_campaigns_choice_unless_the_setting_says(
    world: World, formats: tuple[str, ...], wanted: set[str]
) -> None:
    world.use(video_formats=formats)
    assert set(renditions(ready(world))) == wanted
    assert waiting(world).count("create_rendition") == bool(wanted)


# ---- once, and in nobody's way

@on_sqlite
def test_nothing_is_made_twice(world: World, renders: Renders) -> None:
    session_id = ready(world)
    for _ in range(2):
        at_once(create_rendition)
    assert sorted(name for name, _ in renders) == ["hd", "story"]
    before, files = renditions(session_id), videos(world)
    for _ in range(3):
        create_rendition()
    create_video(session_id)
    assert len(renders) == 2 and videos(world) == files and len(files) == 3
    assert {kind: it.path for kind, it in renditions(session_id).items()} == {kind: it.path for kind, it in before.items()}
    assert sorted([kit.row(session_id).generated_video_path, *(it.path for it in before.values())]) == files


def at_once(job: Callable[..., None]) -> None:
    together = threading.Barrier(3)

    def work() -> None:
        together.wait(10)
        job()

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)


@on_sqlite
def test_one_message_waits_however_many_are_due(world: World) -> None:
    for _ in range(2):
        ready(world)
    sweep()
    assert waiting(world).count("create_rendition") == 1


@on_sqlite
def test_it_stands_back_while_somebody_waits_for_a_video(world: World, renders: Renders) -> None:
    first = ready(world)
    second = world.submit()
    world.collect([second])
    forget_messages(world)
    create_rendition()
    assert renders == [] and waiting(world) == []
    create_video(second)
    assert waiting(world) == ["create_rendition"]
    world.drive(all_made)
    assert made(first) == made(second) == set(FURTHER)


@on_sqlite
def test_a_video_that_comes_later_is_made_before_those_that_wait(world: World) -> None:
    ready(world)
    second = world.submit()
    world.collect([second])
    [job_id, *others] = world.tools.queues.queue("renders").get_job_ids()
    assert job_id.startswith(f"create_video-{second}-")
    assert any(other.startswith("create_rendition-") for other in others)


@on_sqlite
def test_lost_messages_are_made_up(world: World) -> None:
    session_id = ready(world)
    forget_messages(world)
    assert made(session_id) == set()
    world.drive(lambda: made(session_id) == set(FURTHER))


# ---- failures

def broken_for(kind: str, failure: Exception, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    tried: list[str] = []

    def break_one(photo: Path, song: Path, out: Path, of: spec.VideoSpec, **options: Any) -> Any:
        tried.append(of.format)
        if of.format == kind:
            raise failure
        return render_video(photo, song, out, of, **options)

    monkeypatch.setattr("jobs.renditions.render_video", break_one)
    return tried


@on_sqlite
@pytest.mark.parametrize(("kind", "failure"), [
    ("hd", RenderError("artwork_unreadable", "the record is broken")), ("story", OSError(28, "No space")),
])
def test_a_format_that_fails_is_given_up_and_hurts_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch, kind: str, failure: Exception
) -> None:
    tried = broken_for(kind, failure, monkeypatch)
    session_id = ready(world)
    before = song_row(session_id)
    world.drive(lambda: not Rendition.select().where(Rendition.next_try_at.is_null(False)).exists())
    assert made(session_id) == set(FURTHER) - {kind}
    assert (tried.count(kind), len(tried)) == (MAX_TRIES, MAX_TRIES + 1)
    assert song_row(session_id) == before
    for _ in range(3):
        Tick.update(last_at=database.now().replace(year=2020)).execute()
        sweep()
    assert "create_rendition" not in waiting(world)


@on_sqlite
def test_a_missing_photo_is_no_crash(world: World) -> None:
    session_id = ready(world)
    world.tools.storage.delete(kit.row(session_id).photo_path)
    world.drive(lambda: not Rendition.select().where(Rendition.next_try_at.is_null(False)).exists())
    assert made(session_id) == set() and kit.row(session_id).stage == "done"


# ---- whoever is killed or frozen

@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("world", "point"), [("sqlite", "format_made"), ("postgresql", "format_stored")], indirect=["world"]
)
def test_a_job_that_is_killed_is_made_up(world: World, point: str) -> None:
    world.stop_at(point)
    with world.pool(tuned=LEASES):
        session_id = world.submit()
        pid = world.stopped(point)
        assert kit.row(session_id).stage == "done"
        before = song_row(session_id)
        kill_job(pid)
        wait_until(lambda: made(session_id) == set(FURTHER), 60, "both formats")
        assert song_row(session_id) == before
    tries = {kind: it.tries for kind, it in renditions(session_id).items()}
    assert tries == {"hd": 2, "story": 1}
    named = [kit.row(session_id).generated_video_path, *(it.path for it in renditions(session_id).values())]
    left = set(videos(world)) - set(named)
    assert left == ({f"video/{session_id}.hd.1.mp4"} if point == "format_stored" else set())
    age_files(world, SCRATCH_SECONDS + 60)
    clear_orphans(world.tools)
    assert videos(world) == sorted(named)


def age_files(world: World, seconds: float) -> None:
    for path in world.settings.video_storage.iterdir():
        os.utime(path, (path.stat().st_mtime - seconds,) * 2)


@on_sqlite
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_one_that_wakes_up_after_it_was_replaced_takes_its_file_away(world: World) -> None:
    two_renderers = {"dispatch": 1, "sonauto": 1, "downloads": 1, "renders": 2, "periodic": 1}
    world.stop_at("format_made")
    with world.pool(tuned=LEASES, workers=two_renderers, video_formats=("square", *FURTHER)) as pool:
        session_id = world.submit()
        pid = world.stopped("format_made")
        wait_until(lambda: made(session_id) == set(FURTHER), 60, "both formats")
        before = {kind: (it.path, it.tries) for kind, it in renditions(session_id).items()}
        assert before["hd"][1] == 2
        os.kill(pid, signal.SIGCONT)
        wait_until(lambda: process_state(pid) in ("", "Z"), 60, f"{pid} to end")
        assert "format no longer ours" in pool.said()
        assert {kind: (it.path, it.tries) for kind, it in renditions(session_id).items()} == before
    assert len(videos(world)) == 3


# ---- the end of it all

def test_retention_removes_their_files(world: World) -> None:
    session_id = ready(world)
    world.drive(all_made)
    assert len(videos(world)) == 3
    kit.age(31 * DAY)
    cleanup_old_files()
    assert videos(world) == [] and renditions(session_id) == {}


@on_sqlite
def test_a_song_that_is_forgotten_meanwhile_leaves_no_file(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def forget_and_render(*arguments: Any, **options: Any) -> Any:
        facts = render_video(*arguments, **options)
        with database.connection():
            kit.age(31 * DAY)
            cleanup_old_files()
        return facts

    monkeypatch.setattr("jobs.renditions.render_video", forget_and_render)
    session_id = ready(world)
    for _ in range(2):
        create_rendition()
        assert videos(world) == [] and renditions(session_id) == {}
