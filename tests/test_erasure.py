"""Erasing: at once nothing personal of a song is left, whatever stage it is in, and nobody brings anything back."""
import os
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import redis

import kit
from petsong import database, erasure, retention
from petsong.erasure import Receipt, erase, erase_visitor
from petsong.lifecycle import operator, renditions
from petsong.lifecycle.answers import record_answer
from petsong.lifecycle.arrival import Arrival, Idempotency, LimitReached, accept
from petsong.lifecycle.claims import ClaimLost, advance, take, write
from petsong.lifecycle.sending import begin_call, claim_rows
from petsong.lifecycle.stages import ENTRY_STATUS, Stage
from petsong.models import TABLES, Attempt, Event, IdempotencyKey, OutboxMessage, Rendition, Submission
from petsong.queues import Queues
from petsong.settings import Settings
from petsong.storage import LocalStorage

pytest_plugins = "desk_fixtures"

CANARIES = (
    "Xquifara", "Zolbrenta", "KWEE fa ra", "ZOL bren ta", "cookie_canary", "la la canary", "canary.example", "canary said",
)


@pytest.fixture
def settings(desk_settings: Settings) -> Settings:
    return desk_settings.model_copy(update={"form_submit_retry": 3})


@pytest.fixture
def storage(settings: Settings, tmp_path: Path) -> LocalStorage:
    return LocalStorage({name: tmp_path / name for name in ("uploads", "audio", "video")})


@pytest.fixture
def queues(settings: Settings) -> Iterator[Queues]:
    client = redis.Redis.from_url(settings.redis_url)
    yield Queues(client)
    client.close()


Erase = Callable[..., Receipt]


@pytest.fixture
def erased(settings: Settings, storage: LocalStorage, queues: Queues) -> Erase:
    def run(session_id: str = "song1") -> Receipt:
        receipt = erase(settings, storage, queues, session_id, who="Kim")
        assert receipt is not None
        return receipt

    return run


def planted(storage: LocalStorage, stage: Stage = Stage.DONE, session_id: str = "song1") -> None:
    """A song in this stage with a canary wherever a person's data may stand."""
    moment = datetime.now(UTC)
    Submission.insert(
        session_id=session_id, created_at=moment, stage_since=moment, life_since=moment, owner_name=CANARIES[0],
        pet_name=CANARIES[1], owner_name_said=CANARIES[2], pet_name_said=CANARIES[3], cookie_id=CANARIES[4], pet_type="Dog",
        music_vibe="Chill", campaign="valentines", stage=stage, entry_status=ENTRY_STATUS[stage], lyrics=CANARIES[5],
        llm_response=f"https://{CANARIES[6]}/a.mp3", llm_full_response={"lyrics": CANARIES[5]},
        word_timing=[{"word": CANARIES[5]}], photo_path=f"uploads/{session_id}.jpg", next_check_at=moment,
        generated_song_path=f"audio/{session_id}.1.mp3", generated_video_path=f"video/{session_id}.2.mp4",
    ).execute()
    Attempt.insert(
        submission=session_id, number=1, token=f"token-{session_id}", claimed_at=moment, call_started_at=moment,
        outcome="accepted", outcome_detail=CANARIES[7], task_id=f"task-{session_id}",
    ).execute()
    Event.insert(
        submission=session_id, at=moment, from_stage="sending", to_stage="sending", claim_no=1, reason="crashed",
        detail=CANARIES[7],
    ).execute()
    Rendition.insert(submission=session_id, kind="poster", path=f"video/{session_id}.2.poster.jpg", made_at=moment).execute()
    IdempotencyKey.insert(
        key=f"key-{session_id}", body_hash="x", created_at=moment, answer={"session_id": session_id, "cookie_id": CANARIES[4]}
    ).execute()
    OutboxMessage.insert(
        id=f"msg-{session_id}", kind="submission.succeeded", destination="event", created_at=moment,
        payload={"session_id": session_id, "note": CANARIES[7]},
    ).execute()
    for name in ("uploads/{}.jpg", "audio/{}.1.mp3", "video/{}.2.mp4", "video/{}.2.poster.jpg", "video/{}.1.mp4"):
        storage.put_bytes(name.format(session_id), b"data")


def whole_database() -> str:
    return str([list(table.select().dicts()) for table in TABLES])


def keys(storage: LocalStorage) -> list[str]:
    return sorted(key for key, _ in storage.list_keys())


def test_nothing_personal_is_left_in_whatever_stage_it_was(erased: Erase, storage: LocalStorage) -> None:
    for stage in Stage:
        planted(storage, stage, f"in{stage}")
        assert all(word in whole_database() for word in CANARIES)
        receipt = erased(f"in{stage}")
        left = whole_database()
        assert not [word for word in CANARIES if word in left]
        assert keys(storage) == []
        assert (receipt.already, receipt.files) == (False, 5)
        row = kit.row(f"in{stage}")
        assert (row.stage, row.pet_type, row.campaign) == ("done" if stage == Stage.DONE else "failed", "Dog", "valentines")
        assert ("erased", "by Kim") in [(event.reason, event.detail) for event in row.events]


def test_songs_of_others_stay(erased: Erase, storage: LocalStorage) -> None:
    planted(storage)
    planted(storage, session_id="song11")
    erased()
    assert len(keys(storage)) == 5 and all("/song11." in key for key in keys(storage))
    assert kit.row("song11").pet_name == CANARIES[1]
    assert IdempotencyKey.select().count() == OutboxMessage.select().count() == Rendition.select().count() == 1


def test_a_repeat_removes_what_came_late(erased: Erase, storage: LocalStorage) -> None:
    planted(storage)
    first = erased()
    storage.put_bytes("video/song1.2.mp4", b"by a worker that was frozen, under the very name that the row has")
    again = erased()
    assert (again.already, again.files, again.erased_at) == (True, 1, first.erased_at)
    assert keys(storage) == []
    assert [event.reason for event in Event.select()].count("erased") == 1


def test_a_repeat_leaves_what_tells_the_agency_of_the_end(erased: Erase, storage: LocalStorage) -> None:
    planted(storage, Stage.GENERATING)
    erased()
    [told] = OutboxMessage.select()
    assert told.payload["reason"] == "deleted"
    erased()
    assert [message.id for message in OutboxMessage.select()] == [told.id]


def test_a_song_that_cannot_be_erased_whole_is_bought_no_more(
    erased: Erase, storage: LocalStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_key: str) -> bool:
        raise OSError("read-only file system")

    planted(storage, Stage.QUEUED)
    with monkeypatch.context() as broken:
        broken.setattr(storage, "delete", full)
        with pytest.raises(OSError, match="read-only"):
            erased()
    assert kit.row("song1").stage == "failed"
    with pytest.raises(operator.ImpossibleMove, match="delete it again"):
        operator.retry("song1", who="Kim", has_song=True)
    assert erased().already is False
    assert keys(storage) == [] and [message.payload["reason"] for message in OutboxMessage.select()] == ["deleted"]


def test_a_retry_in_the_middle_of_it_brings_nothing_back(
    erased: Erase, storage: LocalStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An operator retries all that failed while a visitor deletes one of them."""
    real, retries = erasure.stop, iter([True])

    def stop(*arguments: str) -> bool:
        stopped = real(*arguments)
        if next(retries, False):
            assert operator.retry("song1", who="Kim", has_song=True) == Stage.RENDERING
        return stopped

    planted(storage, Stage.FAILED)
    monkeypatch.setattr(erasure, "stop", stop)
    receipt = erased()
    row = kit.row("song1")
    assert (receipt.already, row.stage, row.fail_reason, row.pet_name) == (False, "failed", "deleted", "")
    assert keys(storage) == []


def test_late_files_go_with_the_orphans(erased: Erase, storage: LocalStorage, tmp_path: Path) -> None:
    planted(storage)
    erased()
    storage.put_bytes("video/song1.2.mp4", b"late")
    assert list(retention.orphans(storage)) == []
    long_ago = time.time() - 2 * retention.ORPHAN_SECONDS
    os.utime(tmp_path / "video" / "song1.2.mp4", (long_ago, long_ago))
    assert list(retention.orphans(storage)) == ["video/song1.2.mp4"]
    assert list(retention.missing(storage)) == []


def test_whoever_works_on_it_writes_nothing_back(erased: Erase, storage: LocalStorage) -> None:
    for stage in (Stage.GENERATING, Stage.DOWNLOADING, Stage.RENDERING):
        planted(storage, stage, f"in{stage}")
        claim = take(f"in{stage}", stage, 60)
        assert claim is not None
        erased(f"in{stage}")
        with pytest.raises(ClaimLost):
            write(claim, lyrics=CANARIES[5])
        with pytest.raises(ClaimLost):
            advance(claim, Stage.FAILED, reason="x", detail=CANARIES[7])
        left = whole_database()
        assert not [word for word in CANARIES if word in left]


def test_an_answer_that_comes_after_it_frees_the_slot_and_tells_nothing(
    settings: Settings, storage: LocalStorage, erased: Erase
) -> None:
    kit.submit(settings, "song1")
    claim_rows(settings)
    claim = take("song1", Stage.SENDING, 60)
    assert claim is not None
    attempt = begin_call(claim)
    erased()
    with pytest.raises(ClaimLost):
        record_answer(settings, claim, attempt, kit.accepted("task-1"))
    assert kit.attempts("song1")[0].task_hint == "task-1"  # asked about until it is known to have ended


def test_a_further_format_in_the_making_is_not_named_any_more(erased: Erase, storage: LocalStorage) -> None:
    planted(storage)
    renditions.order("song1", ["hd"], database.now())
    errand = renditions.take_next(60)
    assert errand is not None
    erased()
    assert not renditions.finish(errand, "video/song1.hd.1.mp4", width=1, height=1, size=1)
    assert Rendition.select().count() == 0


def test_what_cannot_be_removed_stays_named_and_a_repeat_goes_on(
    erased: Erase, storage: LocalStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    planted(storage)
    with monkeypatch.context() as patch:
        patch.setattr(LocalStorage, "delete", lambda *_: (_ for _ in ()).throw(PermissionError(13, "no")))
        with pytest.raises(PermissionError):
            erased()
    assert kit.row("song1").files_removed_at is None and len(keys(storage)) == 5
    assert not erased().already
    assert keys(storage) == []


def test_unknown_ids_are_none(settings: Settings, storage: LocalStorage, queues: Queues) -> None:
    for session_id in ("nosuchsong", "", "*", "../x", "a" * 300):
        assert erase(settings, storage, queues, session_id, who="Kim") is None


def test_a_visitor_is_erased_as_a_whole(settings: Settings, storage: LocalStorage, queues: Queues) -> None:
    for session_id in ("song1", "song2"):
        planted(storage, session_id=session_id)
    planted(storage, session_id="other")
    Submission.update(cookie_id="cookie_other").where(Submission.session_id == "other").execute()
    receipts = erase_visitor(settings, storage, queues, CANARIES[4], who="Kim")
    assert {receipt.session_id for receipt in receipts} == {"song1", "song2"}
    assert [receipt.already for receipt in erase_visitor(settings, storage, queues, CANARIES[4], who="Kim")] == [True, True]
    assert kit.row("other").pet_name == CANARIES[1]


def test_messages_go_and_those_of_others_stay(erased: Erase, storage: LocalStorage, queues: Queues) -> None:
    planted(storage)
    for session_id in ("song1", "song11"):
        queues.enqueue("create_video", session_id)
        queues.enqueue("fetch_generation_details", session_id)
    assert erased().messages == 2
    left = [key.decode() for key in queues.client.scan_iter("*")]
    assert not [key for key in left if "-song1-" in key]
    assert queues.waiting("renders", "sonauto") == {("create_video", "song11"), ("fetch_generation_details", "song11")}


# ---- the limit per visitor

def submit_again(settings: Settings, session_id: str, key: str | None = None) -> None:
    arrival = Arrival(session_id, "cookie_a1", "valentines", "Ana Sample", "Bello", "Dog", "Chill", f"uploads/{session_id}.jpg")
    accept(settings, arrival, {"session_id": session_id}, Idempotency(key, "hash") if key else None)


def test_deleting_songs_buys_no_new_ones(settings: Settings, erased: Erase) -> None:
    for number in range(3):
        submit_again(settings, f"song{number}")
        erased(f"song{number}")
    with pytest.raises(LimitReached):
        submit_again(settings, "song3")


def test_songs_deleted_longer_ago_than_the_retention_do_not_count(settings: Settings, erased: Erase) -> None:
    for number in range(3):
        submit_again(settings, f"song{number}")
        erased(f"song{number}")
    kit.age(settings.file_retention_days * 86_400 + 60)
    submit_again(settings, "song3")
    assert kit.row("song3").stage == "queued"


# ---- files and rows that miss each other

def test_files_without_rows_and_rows_without_files_are_found(
    settings: Settings, storage: LocalStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "ROWS_PER_PASS", 2)
    for number in range(5):
        planted(storage, session_id=f"song{number}")
    storage.put_bytes("audio/nobody.1.mp3", b"data")
    long_ago = time.time() - 2 * retention.ORPHAN_SECONDS
    for path in tmp_path.glob("*/*.*"):
        os.utime(path, (long_ago, long_ago))
    strays = {f"video/song{number}.1.mp4" for number in range(5)}
    assert set(retention.orphans(storage)) == {"audio/nobody.1.mp3", *strays}
    storage.delete("video/song3.2.mp4")
    storage.delete("video/song4.2.poster.jpg")
    assert set(retention.missing(storage)) == {("song3", "video/song3.2.mp4"), ("song4", "video/song4.2.poster.jpg")}
