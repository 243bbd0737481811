"""Orders of further formats: taken by one, tried a few times, given up; who was replaced writes nothing."""
import threading
from collections.abc import Iterator
from typing import Any

import pytest

import kit
from petsong import database
from petsong.lifecycle import renditions
from petsong.lifecycle.renditions import MAX_TRIES, Errand
from petsong.models import Rendition, Submission

LEASE = 300
FACTS = {"width": 1080, "height": 1080, "size": 9}


@pytest.fixture(autouse=True)
def songs(database_url: str) -> Iterator[None]:
    """Two songs with orders, the first one's older."""
    kit.open_database(database_url)
    settings = kit.make_settings(database_url)
    for name in ("song1", "song2"):
        kit.submit(settings, name)
        renditions.order(name, ["hd", "story"], database.now())
    yield
    database.db.close()


def rendition(session_id: str = "song1", kind: str = "hd") -> Any:
    return Rendition.get(Rendition.submission == session_id, Rendition.kind == kind)


def take() -> Errand:
    errand = renditions.take_next(LEASE)
    assert errand is not None
    return errand


def time_passes(seconds: float) -> None:
    kit.age(seconds)


def test_they_are_taken_one_after_the_other_each_by_one() -> None:
    taken = [take() for _ in range(4)]
    names = [(errand.session_id, errand.kind) for errand in taken]
    assert names == [("song1", "hd"), ("song1", "story"), ("song2", "hd"), ("song2", "story")]
    assert renditions.take_next(LEASE) is None and not renditions.is_due()


def test_of_many_who_try_at_once_each_gets_another() -> None:
    found: list[Errand | None] = []
    together = threading.Barrier(8)

    def work() -> None:
        together.wait(10)
        with database.connection():
            found.append(renditions.take_next(LEASE))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    taken = [errand.id for errand in found if errand]
    assert len(found) == 8 and len(taken) == len(set(taken)) == 4


def test_ordering_again_changes_nothing() -> None:
    renditions.finish(take(), "video/a.mp4", **FACTS)
    renditions.order("song1", ["hd", "story"], database.now())
    assert rendition().path == "video/a.mp4"
    assert Rendition.select().count() == 4


def test_what_is_made_is_named_once_and_not_due_again() -> None:
    errand = take()
    assert renditions.finish(errand, "video/a.mp4", **FACTS)
    assert renditions.finish(errand, "video/a.mp4", **FACTS), "a repeat after a lost answer"
    made = rendition()
    assert (made.path, made.width, made.height, made.bytes, made.next_try_at) == ("video/a.mp4", 1080, 1080, 9, None)
    time_passes(10 * LEASE)
    assert [take().kind for _ in range(3)] == ["story", "hd", "story"]


def test_the_order_of_a_worker_that_died_is_due_when_its_lease_is_over() -> None:
    first = take()
    time_passes(LEASE - 60)
    assert (rendition().tries, rendition().next_try_at > database.now()) == (1, True)
    time_passes(120)
    again = [take() for _ in range(4)]
    assert [errand.number for errand in again if errand.id == first.id] == [2]


def test_who_was_replaced_names_nothing_and_puts_nothing_off() -> None:
    frozen = take()
    time_passes(LEASE + 60)
    mine = next(errand for errand in (take() for _ in range(4)) if errand.id == frozen.id)
    before = rendition().next_try_at
    assert not renditions.finish(frozen, "video/late.mp4", **FACTS)
    renditions.put_off(frozen, 0, "late")
    assert (rendition().path, rendition().next_try_at) == ("", before)
    assert renditions.finish(mine, "video/mine.mp4", **FACTS)
    assert not renditions.finish(frozen, "video/late.mp4", **FACTS)
    renditions.put_off(frozen, 0, "late")
    assert (rendition().path, rendition().next_try_at) == ("video/mine.mp4", None)


def test_a_failure_is_tried_again_later_and_given_up_in_the_end(caplog: pytest.LogCaptureFixture) -> None:
    for number in range(1, MAX_TRIES + 1):
        errand = take()
        assert (errand.session_id, errand.kind, errand.number) == ("song1", "hd", number)
        renditions.put_off(errand, 0, "artwork_unreadable")
        Rendition.update(next_try_at=database.now()).where(Rendition.id != errand.id).execute()
    assert (rendition().path, rendition().next_try_at) == ("", None)
    assert "format given up" in caplog.text
    assert take().kind == "story"


def test_a_pause_after_a_failure_is_kept() -> None:
    renditions.put_off(take(), 30, "ffmpeg_failed")
    assert [take().kind for _ in range(3)] == ["story", "hd", "story"]
    assert renditions.take_next(LEASE) is None
    time_passes(31)
    assert take().number == 2


def test_an_order_that_kills_every_worker_is_given_up() -> None:
    Rendition.delete().where((Rendition.submission != "song1") | (Rendition.kind != "hd")).execute()
    for _ in range(MAX_TRIES):
        take()
        time_passes(LEASE + 1)
    assert renditions.is_due()
    assert renditions.take_next(LEASE) is None
    assert not renditions.is_due()
    assert rendition().path == ""


def test_one_who_works_while_all_is_ordered_anew_names_nothing() -> None:
    """The same song, the same format, the first try again: only the number of the claim tells them apart."""
    late = take()
    anew = {"claim_no": Rendition.claim_no + 1, "tries": 0, "next_try_at": database.now()}
    Rendition.update(**anew).where(Rendition.id == late.id).execute()
    mine = next(errand for errand in (take() for _ in range(4)) if errand.id == late.id)
    assert (mine.tries, late.tries) == (1, 1) and mine.number > late.number
    assert not renditions.finish(late, "video/late.mp4", **FACTS)
    assert renditions.finish(mine, "video/mine.mp4", **FACTS)


def test_the_old_file_stays_until_the_new_one_is_made() -> None:
    first = take()
    renditions.finish(first, "video/old.mp4", **FACTS)
    for _ in range(2):
        anew = {"claim_no": Rendition.claim_no + 1, "tries": 0, "next_try_at": database.now()}
        Rendition.update(**anew).where(Rendition.id == first.id).execute()
        Rendition.update(next_try_at=None).where(Rendition.id != first.id).execute()
        for _ in range(MAX_TRIES):
            assert rendition().path == "video/old.mp4"
            renditions.put_off(take(), 0, "artwork_unreadable")
        assert (rendition().path, rendition().next_try_at) == ("video/old.mp4", None)
    Rendition.update(**anew | {"next_try_at": database.now()}).where(Rendition.id == first.id).execute()
    assert renditions.finish(take(), "video/new.mp4", **FACTS)
    assert rendition().path == "video/new.mp4"


def test_an_order_of_a_song_that_was_forgotten_is_not_named() -> None:
    errand = take()
    Rendition.delete().where(Rendition.submission == "song1").execute()
    assert not renditions.finish(errand, "video/a.mp4", **FACTS)


def test_nothing_of_this_touches_the_song() -> None:
    before = list(Submission.select().order_by(Submission.session_id).dicts())
    for number in range(4):
        errand = take()
        if number % 2:
            renditions.finish(errand, "video/a.mp4", **FACTS)
        else:
            renditions.put_off(errand, 5, "x")
    assert list(Submission.select().order_by(Submission.session_id).dicts()) == before
