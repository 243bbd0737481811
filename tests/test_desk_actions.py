"""What an operator does to submissions: each action works, may be repeated, is refused where it makes no sense, is recorded."""
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
import redis

import kit
from api_kit import Api, check_error, on_sqlite, queue_length
from desk_kit import SETTINGS, WHO, Desk
from petsong import database
from petsong.lifecycle.answers import record_answer
from petsong.lifecycle.claims import ClaimLost, take, write
from petsong.lifecycle.readback import open_questions, record_news
from petsong.lifecycle.sending import begin_call, claim_rows, slots_in_use
from petsong.lifecycle.stages import ENTRY_STATUS, Stage
from petsong.models import Submission

pytest_plugins = "desk_login_fixtures"


def act(desk: Desk, action: str, session_id: str = "song1") -> Any:
    return desk.post(f"/api/admin/submissions/{session_id}/{action}")


def done(answer: Any) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.get_json()
    assert body["success"] is True
    return body


# ---- cancel

def test_cancel_ends_a_song_wherever_it_is(desk: Desk) -> None:
    for stage in ("queued", "sending", "generating", "downloading", "rendering"):
        song = desk.row(f"in{stage}", stage)
        body = done(act(desk, "cancel", song))
        assert (body["changed"], body["stage"]) == (True, "failed")
        row = desk.api.row(song)
        assert (row.stage, row.entry_status, row.fail_reason, row.lease_until) == ("failed", "fail", "cancelled", None)
        assert desk.reasons(song) == [("cancelled", f"by {WHO}")]


def test_cancel_twice_is_cancel_once(desk: Desk) -> None:
    desk.row("song1", "queued")
    assert [done(act(desk, "cancel"))["changed"] for _ in range(3)] == [True, False, False]
    assert len(desk.reasons("song1")) == 1


def test_what_is_over_cannot_be_cancelled(desk: Desk) -> None:
    for stage in ("done", "failed"):
        song = desk.row(f"is{stage}", stage)
        assert "on its way" in check_error(act(desk, "cancel", song), 409, "not_possible")["message"]
        assert desk.reasons(song) == []


def test_a_worker_loses_its_claim_to_cancel(desk: Desk) -> None:
    desk.row("song1", "rendering", next_check_at=datetime.now(UTC))
    with database.connection():
        claim = take("song1", Stage.RENDERING, 60)
    assert claim is not None
    done(act(desk, "cancel"))
    with database.connection(), pytest.raises(ClaimLost):
        write(claim, generated_video_path="video/late.mp4")
    assert desk.api.row("song1").generated_video_path is None


def test_a_cancelled_order_stays_a_slot_until_the_service_has_ended_it(desk: Desk) -> None:
    settings = desk.api.settings
    with database.connection():
        kit.submit(settings, "song1")
        claim_rows(settings)
        claim = take("song1", Stage.SENDING, 60)
        assert claim is not None
        record_answer(settings, claim, begin_call(claim), kit.accepted("task-1"))
    done(act(desk, "cancel"))
    with database.connection():
        assert slots_in_use(settings, database.now()) == 1
        assert kit.row("song1").next_check_at is not None
        record_news(settings, None, open_questions("song1")[0], kit.success())
        assert slots_in_use(settings, database.now()) == 0
        assert (kit.row("song1").stage, kit.attempts("song1")[0].credits) == ("failed", settings.song_price_credits)


def test_a_cancelled_order_that_was_not_sent_is_never_sent(desk: Desk) -> None:
    with database.connection():
        kit.submit(desk.api.settings, "song1")
        claim_rows(desk.api.settings)
    done(act(desk, "cancel"))
    with database.connection():
        assert kit.attempts("song1")[0].ended_as == "void"
        assert slots_in_use(desk.api.settings, database.now()) == 0


def test_what_was_cancelled_can_be_retried(desk: Desk) -> None:
    desk.row("song1", "queued")
    act(desk, "cancel")
    assert done(act(desk, "retry"))["stage"] == "queued"


# ---- retry

def test_retry_gives_a_failed_song_a_new_life(desk: Desk) -> None:
    desk.row("song1", "failed", age=60, fail_reason="timeout")
    body = done(act(desk, "retry"))
    assert (body["changed"], body["stage"]) == (True, "queued")
    assert desk.reasons("song1") == [("retried", f"by {WHO}")]
    assert done(act(desk, "retry"))["changed"] is False
    assert len(desk.reasons("song1")) == 1


def test_retry_is_refused_for_what_has_not_failed(desk: Desk) -> None:
    for stage in ("queued", "generating", "done"):
        song = desk.row(f"is{stage}", stage)
        assert "only failed" in check_error(act(desk, "retry", song), 409, "not_possible")["message"]


def test_a_refusal_on_the_page_says_why(desk: Desk) -> None:
    desk.row("song1", "done")
    answer = desk.submit("/admin/submissions/song1/retry", "/admin/submissions/song1/delete")
    assert answer.status_code == 409 and "only failed submissions" in answer.text and answer.mimetype == "text/html"


# ---- re-render

def test_rerender_is_ordered_once_and_the_song_stays_done(desk: Desk) -> None:
    desk.row("song1", generated_video_path="video/song1.1.mp4")
    assert [done(act(desk, "rerender"))["changed"] for _ in range(2)] == [True, False]
    row = desk.api.row("song1")
    assert (row.stage, row.generated_video_path) == ("done", "video/song1.1.mp4") and row.rerender_at is not None
    assert desk.reasons("song1") == [("rerender_ordered", f"by {WHO}")]
    assert queue_length(desk.api.settings.redis_url, "renders") == 1


@on_sqlite
def test_rerender_is_refused_without_a_finished_song(desk: Desk) -> None:
    desk.row("isfailed", "failed")
    desk.row("isrendering", "rendering")
    desk.row("isgone", "done", files_removed_at=datetime(2026, 1, 1, tzinfo=UTC))
    for song in ("isfailed", "isrendering", "isgone"):
        check_error(act(desk, "rerender", song), 409, "not_possible")


# ---- delete

def test_delete_gives_a_receipt_and_may_be_repeated(desk: Desk) -> None:
    desk.row("song1", generated_video_path=desk.store("video/song1.1.mp4"))
    desk.store("uploads/song1.jpg")
    first = done(act(desk, "delete"))["receipts"][0]
    assert (first["session_id"], first["already"], first["files"]) == ("song1", False, 2)
    again = done(act(desk, "delete"))["receipts"][0]
    assert (again["already"], again["files"], again["erased_at"]) == (True, 0, first["erased_at"])
    assert desk.reasons("song1") == [("erased", f"by {WHO}")]
    assert desk.api.row("song1").pet_name == ""
    for action in ("retry", "cancel", "rerender"):
        check_error(act(desk, action), 409, "not_possible")


@on_sqlite
def test_delete_asks_first(desk: Desk) -> None:
    desk.row("song1", "generating")
    page = desk.get("/admin/submissions/song1/delete").text
    assert "still on its way" in page and desk.api.row("song1").pet_name
    answer = desk.submit("/admin/submissions/song1/delete", "/admin/submissions/song1/delete")
    assert answer.status_code == 303
    after = desk.get(answer.location).text
    assert "are gone" in after and "Biscuit" not in after
    row = desk.api.row("song1")
    assert (row.stage, row.fail_reason) == ("failed", "deleted")


@on_sqlite
def test_actions_work_without_redis(make_api: Callable[..., Api]) -> None:
    desk = Desk(make_api(redis_url="redis://127.0.0.1:9/0", **SETTINGS))
    desk.row("song1", "queued")
    assert done(act(desk, "cancel"))["changed"] and done(act(desk, "retry"))["changed"]
    assert done(act(desk, "delete"))["receipts"][0]["messages"] is None


# ---- all of one reason

@pytest.fixture
def failed(desk: Desk) -> Desk:
    """Five of one reason: two pay again, one may, one is paid, one is not alike; and one whose data are gone."""
    for name in ("pays1", "pays2"):
        desk.row(name, "failed", age=60, fail_reason="service_failed")
    desk.row("asks", "failed", age=60, fail_reason="service_failed", llm_task_id="task-asks")
    desk.api.attempt("asks", ended_as="timeout", ended_at=datetime.now(UTC))
    desk.row("paid", "failed", age=60, fail_reason="service_failed", generated_song_path=desk.store("audio/paid.1.mp3"))
    desk.row("other", "failed", age=60, fail_reason="timeout")
    desk.row("gone", "failed", age=60, fail_reason="service_failed", files_removed_at=datetime.now(UTC))
    return desk


def stages(desk: Desk) -> dict[str, str]:
    with database.connection():
        return {row.session_id: row.stage for row in Submission.select()}


def test_the_confirmation_states_what_it_may_cost(failed: Desk) -> None:
    body = failed.get("/api/admin/retry-all?reason=service_failed").get_json()
    assert body == {
        "reason": "service_failed", "submissions": 4, "pays": 2, "may_pay": 1, "free": 1, "least_credits": 200,
        "most_credits": 300,
    }
    page = failed.get("/admin/retry-all?reason=service_failed").text
    assert "200 to 300" in page and "Retry for up to 300 credits" in page
    assert set(stages(failed).values()) == {"failed"}


def test_all_of_one_reason_go_on(failed: Desk) -> None:
    body = done(failed.post("/api/admin/retry-all", {"reason": "service_failed", "most_credits": 300}))
    assert (body["retried"], body["remaining"]) == (4, 0)
    assert stages(failed) == {
        "pays1": "queued", "pays2": "queued", "asks": "generating", "paid": "rendering", "other": "failed", "gone": "failed",
    }
    assert failed.reasons("paid") == [("retried", f"by {WHO}")]
    body = done(failed.post("/api/admin/retry-all", {"reason": "service_failed", "most_credits": 300}))
    assert (body["retried"], body["remaining"]) == (0, 0)


def test_none_goes_on_for_more_credits_than_agreed(failed: Desk) -> None:
    message = check_error(
        failed.post("/api/admin/retry-all", {"reason": "service_failed", "most_credits": 299}), 409, "not_possible"
    )["message"]
    assert "300" in message and "299" in message
    here = "/admin/retry-all?reason=service_failed"
    page = failed.submit("/admin/retry-all", here, reason="service_failed", most_credits="0")
    assert page.status_code == 409
    assert set(stages(failed).values()) == {"failed"}


@on_sqlite
def test_the_page_retries_them_as_well(failed: Desk) -> None:
    here = "/admin/retry-all?reason=service_failed"
    page = failed.submit("/admin/retry-all", here, reason="service_failed", most_credits="300")
    assert page.status_code == 200 and "4 of them go on" in page.text
    for fields in ({"reason": "service_failed", "most_credits": "x"}, {"reason": "NO", "most_credits": "1"}, {}):
        assert failed.submit("/admin/retry-all", "/admin/submissions/other/delete", **fields).status_code == 400
    assert failed.get("/admin/retry-all").status_code == 400


@on_sqlite
def test_wrong_bodies_are_refused(desk: Desk) -> None:
    bodies: list[Any] = [
        {"reason": "x"}, {"most_credits": 1}, {"reason": "X Y", "most_credits": 1}, {"reason": "x", "most_credits": -1},
        {"reason": "x", "most_credits": "1"}, {"session_id": "a", "cookie_id": "b"}, [], "x",
    ]
    for body in bodies:
        check_error(desk.post("/api/admin/retry-all", body), 400, "validation_failed")
        check_error(desk.post("/api/admin/erase", body), 400, "validation_failed")


@on_sqlite
def test_many_are_retried_500_at_a_time(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("petsong.web.desk.actions.AT_ONCE", 2)
    for number in range(5):
        desk.row(f"song{number}", "failed", age=60 - number, fail_reason="timeout")
    answers = [
        done(desk.post("/api/admin/retry-all", {"reason": "timeout", "most_credits": 500})) for _ in range(3)
    ]
    assert [(body["retried"], body["remaining"]) for body in answers] == [(2, 3), (2, 1), (1, 0)]


# ---- erase, orphans

def test_erase_by_cookie(desk: Desk) -> None:
    desk.row("song1", cookie_id="cookie_a1")
    desk.row("song2", "queued", cookie_id="cookie_a1")
    desk.row("song3", cookie_id="cookie_b2")
    body = done(desk.post("/api/admin/erase", {"cookie_id": "cookie_a1"}))
    assert {receipt["session_id"] for receipt in body["receipts"]} == {"song1", "song2"}
    assert desk.api.row("song3").pet_name == "Biscuit" and desk.api.row("song2").pet_name == ""
    assert len(done(desk.post("/api/admin/erase", {"session_id": "song3"}))["receipts"]) == 1
    check_error(desk.post("/api/admin/erase", {"session_id": "nosuchsong"}), 404, "session_not_found")
    assert done(desk.post("/api/admin/erase", {"cookie_id": "cookie_nobody"}))["receipts"] == []


def test_orphans_are_reported(desk: Desk) -> None:
    desk.row("song1", generated_song_path="audio/song1.1.mp3")
    desk.store("uploads/song1.jpg")
    body = desk.get("/api/admin/orphans").get_json()
    assert body == {"files_without_row": [], "rows_without_file": [{"session_id": "song1", "key": "audio/song1.1.mp3"}]}


def test_stages_and_their_words_belong_together(desk: Desk) -> None:
    for stage in Stage:
        desk.row(f"of{stage}", stage)
    for row in desk.get("/api/admin/submissions").get_json()["submissions"]:
        assert row["status"] == ENTRY_STATUS[Stage(row["stage"])]


def test_the_messages_of_a_deleted_song_are_gone(desk: Desk) -> None:
    desk.row("song1", "failed", age=60)
    act(desk, "retry")
    desk.api.parts.queues.enqueue("create_video", "song1")
    desk.api.parts.queues.enqueue("create_video", "song11")
    assert done(act(desk, "delete"))["receipts"][0]["messages"] == 1
    client = redis.Redis.from_url(desk.api.settings.redis_url)
    keys = [key.decode() for key in client.scan_iter("*create_video-*")]
    client.close()
    assert keys and not [key for key in keys if "-song1-" in key]
    assert queue_length(desk.api.settings.redis_url, "renders") == 1
