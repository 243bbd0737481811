"""Every job run twice, one after the other and at once: the second changes nothing."""
import threading
from collections.abc import Callable
from typing import Any

import pytest

import kit
from jobs.collect import download_audio, fetch_generation_details, fetch_word_timing
from jobs.dispatch import process_pending_queue, send_to_sonauto
from jobs.produce import create_video, prepare_record
from jobs.upkeep import check_credits, check_timeouts, cleanup_old_files, sweep
from petsong import database
from petsong.models import Attempt, Event, Rendition, Submission
from pipeline import World

pytest_plugins = "pipeline_fixtures"

# What brings a song to its end, in order, with the stage that it is in afterwards.
STEPS: list[tuple[Callable[..., None], str]] = [
    (process_pending_queue, "sending"), (send_to_sonauto, "generating"), (prepare_record, "generating"),
    (fetch_generation_details, "downloading"), (download_audio, "rendering"), (create_video, "done"),
    (fetch_generation_details, "done"), (fetch_word_timing, "done"),
]
PERIODIC = [process_pending_queue, check_credits, check_timeouts, sweep, cleanup_old_files]


def everything(world: World) -> Any:
    """All that is known of the songs, their files, and what the service was told to make."""
    known = (Submission, Attempt, Event, Rendition)
    tables = [list(table.select().order_by(table._meta.primary_key).dicts()) for table in known]
    files = sorted((key, world.tools.storage.stat(key)) for key, _ in world.tools.storage.list_keys())
    return tables, files, world.client.orders()


def run(job: Callable[..., None], session_id: str) -> None:
    job(*([] if job in PERIODIC else [session_id]))


def at_once(job: Callable[..., None], session_id: str) -> None:
    """Three threads, each with a database connection of its own."""
    together = threading.Barrier(3)
    failures: list[BaseException] = []

    def work() -> None:
        together.wait(10)
        try:
            run(job, session_id)
        except BaseException as error:
            failures.append(error)
            raise

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert failures == []


@pytest.fixture
def quiet(world: World) -> World:
    """Nothing becomes due by time alone while a test looks."""
    world.use(poll_interval=600, max_concurrent_requests=1)
    world.client.configure(generate_seconds=0, webhooks=False)
    return world


@pytest.mark.parametrize("how", [run, at_once])
def test_every_job_of_a_song_run_again_changes_nothing(
    quiet: World, how: Callable[[Callable[..., None], str], None]
) -> None:
    session_id = quiet.submit()
    other = quiet.submit()  # waits: there is one slot
    for job, stage in STEPS:
        Submission.update(next_check_at=database.now()).where(
            Submission.session_id == session_id, Submission.stage == "generating"
        ).execute()
        how(job, session_id)
        assert kit.row(session_id).stage == stage, quiet.story()
        before = everything(quiet)
        how(job, session_id)
        assert everything(quiet) == before, job.__name__
    moves = [(event.from_stage, event.to_stage) for event in Event.select().where(Event.submission == session_id)]
    assert len(moves) == len(set(moves)) == 6
    assert kit.row(other).stage == "queued"
    assert len(quiet.client.orders()) == 1


@pytest.mark.parametrize("how", [run, at_once])
@pytest.mark.parametrize("job", PERIODIC)
def test_every_periodic_job_run_again_changes_nothing(
    quiet: World, how: Callable[[Callable[..., None], str], None], job: Callable[..., None]
) -> None:
    for _ in range(2):
        quiet.submit()
    process_pending_queue()
    how(job, "")
    before = everything(quiet)
    how(job, "")
    assert everything(quiet) == before


@pytest.mark.parametrize("job", [job for job, _ in STEPS if job not in PERIODIC])
def test_a_message_about_a_row_that_is_gone_does_nothing(quiet: World, job: Callable[..., None]) -> None:
    before = everything(quiet)
    job("nobody")
    assert everything(quiet) == before


@pytest.mark.parametrize("job", [job for job, _ in STEPS if job not in PERIODIC])
def test_a_message_that_comes_much_too_late_does_nothing(quiet: World, job: Callable[..., None]) -> None:
    session_id = quiet.submit()
    quiet.use(queue_max_hours=0.001)
    kit.age(60)
    check_timeouts()
    assert kit.row(session_id).stage == "failed"
    before = everything(quiet)
    job(session_id)
    assert everything(quiet) == before
