"""A finished song's video made anew: the song stays done, and visitors see the old video until the new one is there."""
import threading
from typing import Any

import pytest

import kit
from jobs.produce import create_video
from jobs.renditions import create_rendition
from jobs.rerender import rerender_video
from jobs.upkeep import sweep
from petsong import database
from petsong.erasure import erase
from petsong.lifecycle import renditions, rerendering
from petsong.lifecycle.rerendering import MAX_TRIES, order, take
from petsong.models import Event, Rendition, Submission, Tick
from pipeline import World
from render.spec import RenderError

pytest_plugins = "pipeline_fixtures"

# Where the database makes no difference.
on_sqlite = pytest.mark.parametrize("world", ["sqlite"], indirect=True)


def ready(world: World, *formats: str) -> str:
    """A finished song."""
    world.use(video_formats=("square", *formats))
    world.client.configure(generate_seconds=0)
    session_id = world.submit("Rosalinde")
    world.collect([session_id])
    create_video(session_id)
    assert kit.row(session_id).stage == "done", world.story()
    world.redis.flushall()
    return session_id


def files(world: World) -> dict[str, bytes]:
    storage = world.tools.storage
    return {key: b"".join(storage.stream(key)) for key, _ in storage.list_keys("video/")}


def reasons(session_id: str) -> list[str]:
    return [event.reason for event in Event.select().where(Event.submission == session_id).order_by(Event.id)]


def served(session_id: str) -> set[str]:
    found = Rendition.select().where(Rendition.submission == session_id)
    return {kit.row(session_id).generated_video_path, *(rendition.path for rendition in found)}


def test_the_new_video_takes_the_old_ones_place(world: World) -> None:
    session_id = ready(world)
    before, old = kit.row(session_id), files(world)
    world.use(video_resolution=160, video_formats=("square",))
    order(session_id, who="Kim")
    assert kit.row(session_id).generated_video_path == before.generated_video_path
    sweep()
    assert world.tools.queues.waiting("renders") == {("rerender_video", session_id)}
    rerender_video(session_id)
    row = kit.row(session_id)
    assert (row.stage, row.entry_status, row.rerender_at) == ("done", "success", None)
    assert served(session_id).isdisjoint(old) and served(session_id) <= set(files(world))
    assert files(world)[row.generated_video_path] != old[before.generated_video_path]
    assert {key: data for key, data in files(world).items() if key in old} == old  # until the orphans go
    assert reasons(session_id)[-2:] == ["rerender_ordered", "rerendered"]
    rerender_video(session_id)  # a message that comes twice
    assert reasons(session_id).count("rerendered") == 1


def test_a_move_whose_acknowledgement_is_lost_is_made_once(world: World) -> None:
    session_id = ready(world)
    order(session_id, who="Kim")
    errand = take(session_id, 60)
    assert errand is not None
    for _ in range(2):
        assert rerendering.replace_video(errand, f"video/{session_id}.99.mp4", {}, None) is True
    assert reasons(session_id).count("rerendered") == 1


@on_sqlite
def test_a_second_time_overwrites_nothing(world: World) -> None:
    session_id = ready(world)
    seen = {kit.row(session_id).generated_video_path}
    for _ in range(2):
        order(session_id, who="Kim")
        rerender_video(session_id)
        seen.add(kit.row(session_id).generated_video_path)
    assert len(seen) == 3


@on_sqlite
def test_further_formats_follow(world: World) -> None:
    session_id = ready(world, "hd")
    create_rendition()
    [old] = [it.path for it in Rendition.select().where(Rendition.kind == "hd")]
    assert old
    order(session_id, who="Kim")
    rerender_video(session_id)
    assert Rendition.get(Rendition.kind == "hd").path == old  # served until the new one is there
    create_rendition()
    [new] = Rendition.select().where(Rendition.kind == "hd")
    assert new.path not in ("", old) and kit.row(session_id).stage == "done"


@on_sqlite
def test_a_further_format_of_the_old_video_that_comes_late_is_not_named(world: World) -> None:
    session_id = ready(world, "hd")
    errand = renditions.take_next(60)
    order(session_id, who="Kim")
    rerender_video(session_id)
    assert errand is not None and not renditions.finish(errand, "video/late.mp4", width=1, height=1, size=1)


@on_sqlite
def test_when_it_fails_the_old_video_stays(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise RenderError("ffmpeg_failed", "no", "its last words")

    session_id = ready(world)
    before = served(session_id)
    monkeypatch.setattr("jobs.produce.render_video", broken)
    order(session_id, who="Kim")
    for _ in range(MAX_TRIES):
        Submission.update(rerender_at=database.now()).where(Submission.rerender_at.is_null(False)).execute()
        rerender_video(session_id)
    row = kit.row(session_id)
    assert (row.stage, row.rerender_at, served(session_id)) == ("done", None, before)
    assert reasons(session_id)[-3:] == ["rerender_failed", "rerender_failed", "rerender_given_up"]
    assert "its last words" in Event.select().order_by(Event.id.desc()).first().detail
    monkeypatch.undo()
    assert order(session_id, who="Kim")  # by hand it may be tried again
    rerender_video(session_id)
    assert served(session_id).isdisjoint(before)


@on_sqlite
def test_an_order_whose_worker_died_becomes_due_by_itself_and_the_dead_one_changes_nothing(world: World) -> None:
    session_id = ready(world)
    order(session_id, who="Kim")
    dead = take(session_id, 60)
    assert dead is not None and take(session_id, 60) is None and rerendering.due() == []
    kit.age(61)
    Tick.delete().execute()
    sweep()
    assert ("rerender_video", session_id) in world.tools.queues.waiting("renders")
    rerender_video(session_id)
    after = served(session_id)
    assert not rerendering.replace_video(dead, "video/late.mp4", {}, None)
    rerendering.put_off(dead, 5, "late")
    assert served(session_id) == after and reasons(session_id)[-1] == "rerendered"


@on_sqlite
def test_one_that_kills_every_worker_is_given_up(world: World) -> None:
    session_id = ready(world)
    order(session_id, who="Kim")
    for _ in range(MAX_TRIES):
        assert take(session_id, 60) is not None
        kit.age(61)
    assert take(session_id, 60) is None
    assert (kit.row(session_id).rerender_at, kit.row(session_id).stage) == (None, "done")


@on_sqlite
def test_a_song_that_is_erased_meanwhile_gets_no_video(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    session_id = ready(world)
    order(session_id, who="Kim")
    real = rerendering.replace_video

    def late(*arguments: Any) -> bool:
        erase(world.settings, world.tools.storage, world.tools.queues, session_id, who="Kim")
        return real(*arguments)

    monkeypatch.setattr("petsong.lifecycle.rerendering.replace_video", late)
    rerender_video(session_id)
    assert list(world.tools.storage.list_keys()) == []
    assert reasons(session_id)[-1] == "erased"


@on_sqlite
def test_two_orders_at_once_are_one(world: World) -> None:
    session_id = ready(world)
    found: list[bool] = []

    def ask() -> None:
        with database.connection():
            found.append(order(session_id, who="Kim"))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(found) == [False, False, False, True]
    assert reasons(session_id).count("rerender_ordered") == 1
