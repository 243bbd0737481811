"""GET status, results and availability: what a visitor may know of a song, at any point of its life."""
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from api_kit import Api, check_error
from kit import age
from petsong import database, retention
from petsong.lifecycle import breaker
from petsong.lifecycle.claims import advance, later, take
from petsong.lifecycle.stages import Stage
from petsong.models import Attempt, Rendition, Submission

pytest_plugins = "api_fixtures"

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
STATUS_KEYS = {"session_id", "status", "created_at", "stage", "progress", "queue_position", "estimated_seconds",
               "poll_after_seconds", "reason", "message"}
KNOWN = {"session_id", "status", "owner_name", "pet_name", "created_at"}


def status(api: Api, session_id: str) -> dict[str, Any]:
    answer = api.get(f"/api/submissions/{session_id}/status")
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.get_json()
    assert set(body) == STATUS_KEYS
    assert TIME.fullmatch(body["created_at"]) and 0 <= body["progress"] <= 100 and body["message"]
    return body


# ---- status

@pytest.mark.parametrize(("stage", "word"), [
    ("queued", "pending"), ("sending", "processing"), ("generating", "processing"), ("downloading", "processing"),
    ("rendering", "processing"), ("done", "success"), ("failed", "fail"),
])
def test_status_of_every_stage(api: Api, stage: str, word: str) -> None:
    reason = "service_failed" if stage == "failed" else None
    body = status(api, api.song("song1", stage=stage, entry_status=word, fail_reason=reason))
    assert (body["session_id"], body["status"], body["stage"], body["reason"]) == ("song1", word, stage, reason)
    assert (body["queue_position"] == 1) is (stage == "queued")
    if stage in ("done", "failed"):
        assert body["estimated_seconds"] is None and body["progress"] == 100
    else:
        assert 0 < body["estimated_seconds"]["low"] < body["estimated_seconds"]["high"]
        assert body["progress"] < 100 and 0 < body["poll_after_seconds"] <= 10


def test_progress_never_turns_back(api: Api) -> None:
    api.song("song1", stage="queued", entry_status="pending")
    seen = []
    for stage in ("queued", "sending", "generating", "downloading", "rendering", "done"):
        with database.connection():
            Submission.update(stage=stage, stage_since=database.now()).execute()
        for _ in range(3):
            seen.append(status(api, "song1")["progress"])
            with database.connection():
                age(60)
    assert seen == sorted(seen) and seen[0] < seen[-1] == 100


def spend(seconds: float) -> None:
    with database.connection():
        age(seconds)


@pytest.mark.parametrize(("stage", "next_stage"), [
    ("queued", "sending"), ("sending", "generating"), ("generating", "downloading"), ("downloading", "rendering"),
    ("rendering", "done"),
])
def test_progress_creeps_in_every_stage_and_leaves_room_for_the_next(api: Api, stage: str, next_stage: str) -> None:
    api.song("song1", stage=stage, entry_status="processing")
    seen = [status(api, "song1")["progress"]]
    for seconds in (5, 15, 40, 6000):
        spend(seconds)
        seen.append(status(api, "song1")["progress"])
    assert seen == sorted(seen) and len(set(seen)) >= 4
    with database.connection():
        Submission.update(stage=next_stage, stage_since=database.now()).execute()
    assert max(seen) <= status(api, "song1")["progress"] and max(seen) < 100


def test_progress_never_turns_back_where_the_song_does(api: Api) -> None:
    session_id = api.post().get_json()["session_id"]
    way = [Stage.SENDING, Stage.QUEUED, Stage.SENDING, Stage.GENERATING, Stage.SENDING, Stage.GENERATING, Stage.DOWNLOADING,
           Stage.GENERATING, Stage.DOWNLOADING, Stage.RENDERING, Stage.DONE]
    seen, stage = [], Stage.QUEUED
    for following in way:
        for seconds in (0, 10, 300):
            spend(seconds)
            seen.append(status(api, session_id)["progress"])
        with database.connection():
            claim = take(session_id, stage, 60, due_only=False)
            assert claim
            advance(claim, following)
        stage = following
    assert seen == sorted(seen) and seen[-1] < status(api, session_id)["progress"] == 100


def test_a_retried_song_begins_again(api: Api) -> None:
    api.song("song1", stage="rendering", entry_status="processing")
    spend(60)
    with database.connection():
        claim = take("song1", Stage.RENDERING, 60, due_only=False)
        assert claim
        advance(claim, Stage.FAILED)
    spend(60)
    with database.connection():
        moment = database.now()
    api.change("song1", stage="queued", entry_status="pending", stage_since=moment, life_since=moment)
    assert status(api, "song1")["progress"] < 10


def add_songs(api: Api, took: float) -> None:
    """Twenty songs that the service sent just now."""
    api.song(f"took{took}")
    with database.connection():
        moment = database.now()
        for number in range(20):
            Attempt.insert(
                submission=f"took{took}", number=number, token=f"{took}-{number}", claimed_at=moment,
                call_started_at=later(moment, -took), ended_at=moment, ended_as="success",
            ).execute()


@pytest.mark.parametrize("stage", ["queued", "generating"])
def test_progress_does_not_turn_back_when_songs_begin_to_take_longer(api: Api, stage: str) -> None:
    add_songs(api, 30)
    spend(1)
    api.song("song1", stage=stage, entry_status="processing")
    spend(40)
    before = status(api, "song1")["progress"]
    add_songs(api, 900)
    assert status(api, "song1")["progress"] >= before


def test_progress_does_not_turn_back_when_an_older_song_is_queued_again(make_api: Callable[..., Api]) -> None:
    api = make_api(max_concurrent_requests=1)
    api.song("song1", stage="queued", entry_status="pending")
    spend(60)
    before = status(api, "song1")
    api.song("older", stage="queued", entry_status="pending")
    api.change("older", created_at=later(api.row("song1").created_at, -60))
    after = status(api, "song1")
    assert (before["queue_position"], after["queue_position"]) == (1, 2)
    assert after["progress"] >= before["progress"]


# ---- how long it may still take

def expected(api: Api, session_id: str = "song1") -> tuple[int, int]:
    found = status(api, session_id)["estimated_seconds"]
    return found["low"], found["high"]


@pytest.mark.parametrize(("stage", "usual"), [("sending", 90), ("generating", 90), ("downloading", 15), ("rendering", 15)])
def test_what_took_long_may_take_as_long_again(api: Api, stage: str, usual: int) -> None:
    api.song("song1", stage=stage, entry_status="processing")
    fresh = expected(api)
    spend(2 * usual)
    late = expected(api)
    assert late[0] < fresh[0] and 2 * usual <= late[1] <= 2 * usual + 2
    spend(2 * usual)
    assert 4 * usual <= expected(api)[1] <= 4 * usual + 2
    spend(20 * usual)
    assert status(api, "song1")["estimated_seconds"] is None  # nobody can tell any more


def test_the_range_shrinks_while_all_goes_as_usual(api: Api) -> None:
    api.song("song1", stage="generating", entry_status="processing")
    seen = []
    for _ in range(4):
        seen.append(expected(api)[1])
        spend(15)
    assert seen == sorted(seen, reverse=True) and len(set(seen)) == 4


def test_a_video_waits_for_those_ahead_of_it(api: Api) -> None:
    for number in range(20):
        api.song(f"ahead{number}", stage="rendering", entry_status="processing")
    spend(1)
    api.song("song1", stage="rendering", entry_status="processing")
    api.song("song2", stage="downloading", entry_status="processing")
    spend(1)
    api.song("behind", stage="rendering", entry_status="processing")
    low, high = expected(api)
    assert low < 20 * 4 + 15 < high
    assert expected(api, "behind")[1] > high and expected(api, "song2")[1] > high
    for number in range(20):
        api.change(f"ahead{number}", stage="done", entry_status="success")
    assert expected(api)[1] < 60


def test_a_render_that_has_begun_is_not_late_for_having_waited(api: Api) -> None:
    api.song("song1", stage="rendering", entry_status="processing")
    spend(300)
    assert status(api, "song1")["estimated_seconds"] is None
    with database.connection():
        moment = database.now()
    api.change("song1", video_creation_start=moment)
    assert expected(api)[1] < 60


def test_nobody_can_tell_while_the_queue_stands_still(api: Api) -> None:
    api.song("song1", stage="queued", entry_status="pending")
    assert expected(api)[1] > 60
    with database.connection():
        breaker.trip(api.settings, "the service is away")
    assert status(api, "song1")["estimated_seconds"] is None


def test_a_new_song_is_pending_behind_those_before_it(api: Api) -> None:
    ids = [api.post().get_json()["session_id"] for _ in range(3)]
    assert [status(api, session_id)["queue_position"] for session_id in ids] == [1, 2, 3]
    assert {status(api, session_id)["status"] for session_id in ids} == {"pending"}


def test_an_unchanged_status_is_304(api: Api) -> None:
    api.song("song1")
    path = "/api/submissions/song1/status"
    first = api.get(path)
    again = api.get(path, **{"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.data, again.headers["ETag"]) == (304, b"", first.headers["ETag"])
    assert "no-cache" in first.headers["Cache-Control"]
    api.change("song1", stage="failed", entry_status="fail")
    changed = api.get(path, **{"If-None-Match": first.headers["ETag"]})
    assert changed.status_code == 200 and changed.headers["ETag"] != first.headers["ETag"]


@pytest.mark.parametrize("session_id", [
    "unknown", "x" * 300, "a b", "..%2f..", "%00", "%27%20OR%201=1", "🐶", "%ff%fe", "a.b", "-", "%F0%9F", "null", "٣٣٣",
])
@pytest.mark.parametrize("path", ["/api/submissions/{}/status", "/api/results/{}"])
def test_unknown_songs_are_404(api: Api, path: str, session_id: str) -> None:
    api.song("song1")
    body = check_error(api.get(path.format(session_id)), 404, body_code(session_id))
    assert body["error"] in ("Session not found", "Not found")


def body_code(session_id: str) -> str:
    return "not_found" if "%2f" in session_id else "session_not_found"


# ---- results

def finish(api: Api, **changes: Any) -> dict[str, Any]:
    api.song("song1", generated_video_path="video/song1.mp4", audio_seconds=61.5, **changes)
    answer = api.get("/api/results/song1")
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.get_json()
    return body


def test_a_finished_song_tells_all(api: Api) -> None:
    body = finish(api)
    assert body.pop("lyrics").startswith("[Verse 1]")
    created, expires = body.pop("created_at"), body.pop("expires_at")
    assert TIME.fullmatch(created) and TIME.fullmatch(expires) and created[:10] < expires[:10]
    assert body == {
        "success": True, "session_id": "song1", "status": "success", "owner_name": "Marisol", "pet_name": "Biscuit",
        "video_url": "/storage/video/song1.mp4", "poster_url": None, "captions_url": None, "duration_seconds": 61.5,
        "downloads": [{
            "format": "square", "label": "Square", "url": "/storage/video/song1.mp4?download=1",
            "filename": "Biscuit - Pet love songs for Valentine's Day.mp4", "width": 720, "height": 720, "bytes": None,
        }],
    }


def test_further_formats_are_offered_once_they_are_there(api: Api) -> None:
    finish(api, pet_name="Zoë / Max")
    api.parts.storage.put_bytes("video/song1.mp4", b"12345")
    api.order_formats("song1", "hd", "story")
    before = api.get("/api/results/song1")
    assert [it["format"] for it in before.get_json()["downloads"]] == ["square"]
    with database.connection():
        Rendition.delete().execute()
    api.add_rendition("song1", "story", b"1234567", width=1080, height=1920, bytes=7)
    api.add_rendition("song1", "hd", b"123456", width=1080, height=1080, bytes=6)
    api.add_rendition("song1", "poster", b"jpeg")
    after = api.get("/api/results/song1", **{"If-None-Match": before.headers["ETag"]})
    assert after.status_code == 200
    square, hd, story = after.get_json()["downloads"]
    assert square["bytes"] == 5
    assert hd == {
        "format": "hd", "label": "HD", "url": "/storage/video/song1.hd.mp4?download=1",
        "filename": "Zoë - Max - Pet love songs for Valentine's Day (HD).mp4",
        "width": 1080, "height": 1080, "bytes": 6,
    }
    assert (story["format"], story["label"], story["width"], story["height"]) == ("story", "Story", 1080, 1920)
    assert api.get(story["url"]).data == b"1234567"


def test_poster_and_captions_are_named_where_they_are(api: Api) -> None:
    api.song("song1", word_timing=[{"word": "la", "start": 0, "end": 1}])
    api.add_rendition("song1", "poster", b"jpeg")
    body = api.get("/api/results/song1").get_json()
    assert (body["poster_url"], body["captions_url"]) == ("/storage/poster/song1.jpg", "/storage/captions/song1.vtt")
    for path in (body["poster_url"], body["captions_url"]):
        with api.get(path) as answer:
            assert answer.status_code == 200


def test_a_song_without_words_has_empty_lyrics(api: Api) -> None:
    assert finish(api, lyrics=None)["lyrics"] == ""


def test_the_video_address_stays_ours_behind_a_cdn(make_api: Callable[..., Api]) -> None:
    api = make_api(media_base_url="https://media.example.com")
    assert finish(api)["video_url"] == "/storage/video/song1.mp4"


def test_it_expires_after_the_days_of_the_setting(make_api: Callable[..., Api]) -> None:
    api = make_api(file_retention_days=7)
    body = finish(api)
    with database.connection():
        wanted = Submission.get_by_id("song1").created_at + timedelta(days=7)
    assert body["expires_at"] == wanted.strftime("%Y-%m-%dT%H:%M:%SZ")


def test_names_come_as_they_are_in_utf8(api: Api) -> None:
    api.song("song1", pet_name="रानी", owner_name="Łukasz </script>")
    answer = api.get("/api/results/song1")
    assert "रानी".encode() in answer.data and answer.get_json()["owner_name"] == "Łukasz </script>"


def test_an_unchanged_result_is_304(api: Api) -> None:
    api.song("song1")
    first = api.get("/api/results/song1")
    again = api.get("/api/results/song1", **{"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")


@pytest.mark.parametrize("reason", ["service_failed", "timeout", "rendering_crashed", None])
def test_a_failed_song_is_400_with_its_reason(api: Api, reason: str | None) -> None:
    api.song("song1", stage="failed", entry_status="fail", fail_reason=reason)
    body = check_error(api.get("/api/results/song1"), 400, "failed", "Video generation failed. Please try again.")
    check_known(body, "fail")
    assert body["reason"] == reason


@pytest.mark.parametrize(("stage", "word"), [
    ("queued", "pending"), ("sending", "processing"), ("generating", "processing"), ("downloading", "processing"),
    ("rendering", "processing"),
])
def test_a_song_on_its_way_is_409(api: Api, stage: str, word: str) -> None:
    api.song("song1", stage=stage, entry_status=word)
    check_known(check_error(api.get("/api/results/song1"), 409, "not_ready"), word)


@pytest.mark.parametrize(("stage", "word"), [("done", "success"), ("failed", "fail")])
def test_an_expired_song_is_410(api: Api, stage: str, word: str) -> None:
    api.song("song1", stage=stage, entry_status=word)
    with database.connection():
        retention.forget(api.settings, api.parts.storage, Submission.get_by_id("song1"))
    body = check_error(api.get("/api/results/song1"), 410, "expired")
    assert KNOWN <= set(body) and (body["status"], body["owner_name"], body["pet_name"]) == (word, "", "")
    gone = check_error(api.get("/api/submissions/song1/status"), 410, "expired")
    assert (gone["session_id"], gone["status"]) == ("song1", word) and "pet_name" not in gone


def check_known(body: dict[str, Any], word: str) -> None:
    assert KNOWN <= set(body)
    assert (body["session_id"], body["status"], body["owner_name"], body["pet_name"]) == ("song1", word, "Marisol", "Biscuit")
    assert TIME.fullmatch(body["created_at"])


# ---- availability

def test_an_open_form_says_how_long_a_song_takes(api: Api) -> None:
    body = api.get("/api/availability").get_json()
    expected = body.pop("estimated_seconds")
    assert body == {"open": True, "reason": None, "message": "", "opens_at": None}
    assert isinstance(expected, int) and expected > 0


def test_a_longer_queue_takes_longer(make_api: Callable[..., Api]) -> None:
    api = make_api(max_concurrent_requests=1)
    before = api.get("/api/availability").get_json()["estimated_seconds"]
    for number in range(3):
        api.song(f"waits{number}", stage="queued", entry_status="pending")
    assert api.get("/api/availability").get_json()["estimated_seconds"] > before
