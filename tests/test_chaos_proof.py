"""The drill's judge proves itself: with a guard of the product taken away it objects, with the guard it does not.

Each scenario is a short piece of a drill on real servers, aimed at one guard; what is judged is what the drill judges.
"""
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import doubles
import pipeline
from petsong.models import Attempt, Submission
from pipeline import LEASES, World, process_state, wait_until
from scripts.chaos_run.checker import judge
from scripts.chaos_run.records import Records, Told, hear_videos, read_disk, read_tables
from scripts.chaos_run.watch import FileWatch

pytest_plugins = "pipeline_fixtures"
pytestmark = pytest.mark.slow
QUEUES = {"dispatch": 1, "sonauto": 2, "downloads": 2, "renders": 2, "periodic": 1}
PATIENCE_SECONDS = 8.0


def a_message_comes_three_times(world: World) -> None:
    """… to three workers, while the service is slow to answer."""
    world.use(workers={**QUEUES, "sonauto": 3})
    world.client.add_fault("answer_slow", seconds=1.0)
    world.submit("Pet Aaa")
    with world.pool():
        wait_until(lambda: Submission.select().where(Submission.stage == "sending").exists(), 15, world.story)
        for _ in range(2):
            world.tools.queues.enqueue("send_to_sonauto", Submission.get().session_id)
        wait_until(world.client.orders, 10, "an order")
        wait_a_while(world)


def a_frozen_download_wakes_up_after_another_one_has_failed(world: World) -> None:
    world.stop_at("song_fetched")
    with world.pool(tuned=LEASES, workers=QUEUES, retry_backoff=(5.0,)):
        session_id = world.submit("Pet Aaa")
        frozen = world.stopped("song_fetched")
        world.client.add_fault("song_cut", count=1)
        wait_until(lambda: "download_cut" in world.reasons(session_id), 30, world.story)
        os.kill(frozen, signal.SIGCONT)
        wait_until(lambda: process_state(frozen) in ("", "Z"), 20, f"{frozen} to end")
        wait_a_while(world, 12)


def a_song_is_made_while_somebody_watches_the_folders(world: World) -> None:
    world.submit("Pet Aaa")
    with world.pool(workers=QUEUES):
        wait_a_while(world, 25)


def redis_is_emptied(world: World) -> None:
    """A song has come, and the message that would fetch it is lost."""
    world.open_site()
    world.submit("Pet Aaa")
    with world.pool("dispatch", "sonauto", workers=QUEUES):
        wait_until(lambda: Submission.select().where(Submission.stage == "downloading").exists(), 20, world.story)
    world.redis.flushall()
    with world.pool():
        wait_a_while(world)


def three_dispatchers_at_once(world: World) -> None:
    world.use(workers={**QUEUES, "dispatch": 3}, max_concurrent_requests=2)
    world.client.configure(slots=100, generate_seconds=2)
    for number in range(6):
        world.submit(f"Pet Aa{chr(97 + number)}")
    for _ in range(3):
        world.tools.queues.queue("dispatch").enqueue_call("jobs.dispatch.process_pending_queue")
    with world.pool():
        wait_a_while(world, 25)


def wait_a_while(world: World, seconds: float = PATIENCE_SECONDS) -> None:
    """Until all has ended, or as long as it would take."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and not (world.all_ended() and _orders_are_over()):
        time.sleep(0.05)


def _orders_are_over() -> bool:
    return not Attempt.select().where(Attempt.ended_at.is_null()).exists()


CASES: dict[str, tuple[Callable[[World], None], str]] = {
    "without_the_claim": (a_message_comes_three_times, "paid_twice"),
    "without_the_fencing": (a_frozen_download_wakes_up_after_another_one_has_failed, "unfenced"),
    "without_the_rename": (a_song_is_made_while_somebody_watches_the_folders, "file_changed"),
    "without_the_sweep": (redis_is_emptied, "not_ended"),
    "without_the_slots_lock": (three_dispatchers_at_once, "over_slots"),
}


def test_every_guard_is_taken_away_once() -> None:
    assert set(CASES) == set(doubles.DOUBLES)


@pytest.mark.parametrize("world", ["postgresql"], indirect=True)
@pytest.mark.parametrize("guard", CASES)
def test_the_judge_objects(world: World, guard: str, monkeypatch: pytest.MonkeyPatch) -> None:
    scenario, finding = CASES[guard]
    monkeypatch.setattr(pipeline, "__file__", str(Path(doubles.__file__)))
    monkeypatch.setenv("PETSONG_TEST_DOUBLE", guard)
    found = judge(played(world, scenario))
    assert found[finding], found


@pytest.mark.parametrize("world", ["postgresql"], indirect=True)
@pytest.mark.parametrize("guard", CASES)
def test_the_judge_is_content_where_the_guard_is_there(world: World, guard: str) -> None:
    scenario, _ = CASES[guard]
    found = {name: list_ for name, list_ in judge(played(world, scenario)).items() if list_}
    assert found == {}, world.story()


def played(world: World, scenario: Callable[[World], None]) -> Records:
    folders = {name: world.folder / "storage" / name for name in ("uploads", "audio", "video")}
    watch = FileWatch(folders)
    watch.pause = 0.05
    watch.start()
    try:
        scenario(world)
    finally:
        watch.end()
    tables = read_tables(world.database_url)
    videos = [row["generated_video_path"] for row in tables["submissions"] if row["generated_video_path"]]
    told = [Told(0, row["pet_name"], "submit", 200, "", row["session_id"]) for row in tables["submissions"]]
    return Records(
        told=told, ledger=world.client.ledger(), submissions=tables["submissions"], attempts=tables["attempts"],
        events=tables["events"], renditions=tables["renditions"], disk=read_disk(folders), changed=watch.changed,
        heard=hear_videos(videos, folders), slots=world.settings.max_concurrent_requests, fps=world.settings.video_fps,
    )
