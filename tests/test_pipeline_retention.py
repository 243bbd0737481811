"""What is old goes: files, names, lyrics and answers of the service; a statistic stays. Files without a row go, too."""
import os
import time
from pathlib import Path
from typing import Any

import pytest

import kit
from jobs import upkeep
from jobs.upkeep import SCRATCH_SECONDS, cleanup_old_files, clear_orphans, clear_scratch
from petsong import database
from petsong.lifecycle.claims import later
from petsong.models import Attempt, Event, Rendition, Submission
from pipeline import World

pytest_plugins = "pipeline_fixtures"

DAY = 86_400
PERSONAL = ("Marisol", "Rosalinde", "mah ree SOL", "rosa LIN deh", "cookie_marisol")


def finished(world: World) -> str:
    session_id = world.submit(
        "Rosalinde", owner_name="Marisol", owner_name_said=PERSONAL[2], pet_name_said=PERSONAL[3], cookie_id=PERSONAL[4]
    )
    world.drive()
    assert kit.row(session_id).stage == "done", world.story()
    return session_id


def everything(session_id: str) -> str:
    tables: list[Any] = [list(Submission.select().where(Submission.session_id == session_id).dicts())]
    tables += [list(table.select().where(table.submission == session_id).dicts()) for table in (Attempt, Event, Rendition)]
    return str(tables)


def stored(world: World) -> list[str]:
    return [key for key, _ in world.tools.storage.list_keys()]


def test_nothing_personal_is_left_after_the_days_of_retention(world: World) -> None:
    session_id = finished(world)
    assert all(word in everything(session_id) for word in PERSONAL)
    assert len(stored(world)) == 5  # photo, song, video, poster, preview
    kit.age(30 * DAY + 60)
    cleanup_old_files()
    assert stored(world) == []
    left = everything(session_id)
    assert not [word for word in PERSONAL if word in left]
    row = kit.row(session_id)
    assert (row.lyrics, row.llm_response, row.llm_full_response, row.word_timing) == (None, None, None, None)
    assert (row.stage, row.entry_status, row.pet_type, row.music_vibe) == ("done", "success", "Dog", "Chill")


def test_cleaning_up_twice_is_harmless_and_forgets_the_same_cookie_alike(world: World) -> None:
    first, second = finished(world), finished(world)
    kit.age(31 * DAY)
    cleanup_old_files()
    before = everything(first), everything(second)
    cleanup_old_files()
    assert (everything(first), everything(second)) == before
    assert kit.row(first).cookie_id == kit.row(second).cookie_id != PERSONAL[4]


def test_a_clean_up_that_was_killed_in_the_middle_is_made_up(world: World) -> None:
    session_id = finished(world)
    kit.age(31 * DAY)
    world.tools.storage.delete(kit.row(session_id).photo_path)  # so far it came
    cleanup_old_files()
    assert stored(world) == []
    assert kit.row(session_id).files_removed_at is not None


def test_a_long_clean_up_lets_others_in_between(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = sorted([finished(world), finished(world)])
    kit.age(31 * DAY)
    monkeypatch.setattr(upkeep, "CLEANUP_SECONDS", -1)
    world.tools.queues.queue("periodic").empty()
    cleanup_old_files()
    assert (kit.row(first).pet_name, kit.row(second).pet_name) == ("", "Rosalinde")
    assert [job for job in world.tools.queues.queue("periodic").job_ids if "cleanup_old_files" in job]
    cleanup_old_files()
    assert kit.row(second).pet_name == ""


def test_what_is_younger_or_still_on_its_way_stays(world: World) -> None:
    waiting = world.submit("Rosalinde")
    kit.age(40 * DAY)
    young = finished_beside(world, waiting)
    kit.age(29 * DAY)
    before = everything(young), everything(waiting), sorted(stored(world))
    cleanup_old_files()
    assert (everything(young), everything(waiting), sorted(stored(world))) == before
    kit.age(2 * DAY)
    cleanup_old_files()
    assert kit.row(waiting).pet_name == "Rosalinde"
    assert stored(world) == [f"uploads/{waiting}.jpg"]


def finished_beside(world: World, waiting: str) -> str:
    """A song that is done while somebody works on the other one."""
    hold = later(database.now(), 100 * DAY)
    Submission.update(stage="rendering", lease_until=hold).where(Submission.session_id == waiting).execute()
    session_id = world.submit()
    world.drive(lambda: kit.row(session_id).stage == "done")
    return session_id


def make_old(path: Path, seconds: float) -> None:
    moment = time.time() - seconds
    os.utime(path, (moment, moment))


def test_files_without_a_row_go_after_an_hour(world: World) -> None:
    session_id = finished(world)
    mine = sorted(stored(world))
    storage, video = world.tools.storage, world.settings.video_storage
    for name in ("gone", session_id):  # of no row, and of a try that did not come to its end
        storage.put_bytes(f"video/{name}.99.mp4", b"left behind")
    storage.put_bytes("audio/young.1.mp3", b"its row is not written yet")
    for path in video.glob("*"):
        make_old(path, SCRATCH_SECONDS + 60)
    for _ in range(2):
        clear_orphans(world.tools)
        assert sorted(stored(world)) == sorted([*mine, "audio/young.1.mp3"])


def test_the_sweep_sends_for_the_look_at_orphans_and_does_not_wait_for_it(world: World) -> None:
    world.tools.queues.queue("periodic").empty()
    upkeep.run_sweep(world.tools)
    assert [job for job in world.tools.queues.queue("periodic").job_ids if "remove_orphans" in job]


def test_scratch_of_dead_jobs_goes_after_an_hour(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    for name in ("petsong-job-dead", "petsong-render-dead", "petsong-job-alive", "not-ours"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "song.mp3").touch()
    for name in ("petsong-job-dead", "petsong-render-dead", "not-ours"):
        make_old(tmp_path / name, SCRATCH_SECONDS + 60)
    clear_scratch(world.settings.turn_cache)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["not-ours", "petsong-job-alive"]
