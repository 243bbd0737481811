"""POST /api/submissions/<id>/delete: whoever ordered a song may delete it, at any time; nobody else may, or learns anything."""
import json
from collections.abc import Callable
from typing import Any

import pytest
from werkzeug.test import TestResponse

from api_kit import Api, check_error, on_sqlite
from petsong import database
from petsong.lifecycle.stages import ENTRY_STATUS, Stage
from petsong.models import Event, IdempotencyKey
from petsong.storage import LocalStorage

pytest_plugins = "api_fixtures"

MINE = "cookie_mine1"


def delete(api: Api, session_id: str, cookie_id: Any = MINE, address: str = "198.51.100.7") -> TestResponse:
    return api.client.post(
        f"/api/submissions/{session_id}/delete", json={"cookie_id": cookie_id}, environ_base={"REMOTE_ADDR": address}
    )


def song(api: Api, stage: Stage = Stage.DONE, session_id: str = "song1") -> str:
    api.song(session_id, cookie_id=MINE, stage=stage, entry_status=ENTRY_STATUS[stage], pet_name="Rosalinde",
             generated_video_path=f"video/{session_id}.mp4")
    api.parts.storage.put_bytes(f"uploads/{session_id}.jpg", b"photo")
    api.parts.storage.put_bytes(f"video/{session_id}.mp4", b"video")
    return session_id


def keys(api: Api) -> list[str]:
    return [key for key, _ in api.parts.storage.list_keys()]


@pytest.mark.parametrize("stage", list(Stage))
def test_a_song_of_any_stage_is_deleted_at_once(api: Api, stage: Stage) -> None:
    session_id = song(api, stage)
    answer = delete(api, session_id)
    assert (answer.status_code, answer.get_json()) == (200, {"success": True, "message": "Your song was deleted."})
    row = api.row(session_id)
    assert (row.pet_name, row.owner_name, row.lyrics) == ("", "", None)
    assert row.stage == (Stage.DONE if stage == Stage.DONE else Stage.FAILED)
    assert keys(api) == []
    for path in (f"/api/submissions/{session_id}/status", f"/api/results/{session_id}"):
        check_error(api.get(path), 410, "expired")
    assert api.get(f"/result/{session_id}").status_code == 410
    assert api.get(f"/storage/video/{session_id}.mp4").status_code == 404


def test_who_deleted_it_stands_in_the_timeline(api: Api) -> None:
    delete(api, song(api))
    with database.connection():
        details = {event.detail for event in Event.select()}
    assert details == {"by the visitor"}


def test_a_repeat_is_answered_alike(api: Api) -> None:
    session_id = song(api)
    first, row = delete(api, session_id), api.row(session_id).__data__
    again = delete(api, session_id)
    assert (again.status_code, again.get_json()) == (200, first.get_json())
    assert api.row(session_id).__data__ == row


@pytest.mark.parametrize("cookie_id", ["cookie_other", "cookie_mine", "cookie_mine11", "", " ", "cookie_mine1\x00", "é" * 40])
def test_another_visitor_is_answered_as_if_there_were_no_such_song(api: Api, cookie_id: str) -> None:
    session_id = song(api)
    refused = delete(api, session_id, cookie_id)
    check_error(refused, 404, "session_not_found")
    assert refused.get_json() == delete(api, "nobody", cookie_id).get_json()
    assert api.row(session_id).pet_name == "Rosalinde" and len(keys(api)) == 2


def test_what_is_kept_of_a_cookie_opens_nothing(api: Api) -> None:
    """Once deleted, the row holds the cookie's hash: whoever has read that must not pass for the visitor."""
    session_id = song(api)
    delete(api, session_id)
    check_error(delete(api, session_id, api.row(session_id).cookie_id), 404, "session_not_found")
    check_error(delete(api, session_id, "cookie_other"), 404, "session_not_found")


@on_sqlite
@pytest.mark.parametrize("body", [
    {}, {"cookie_id": None}, {"cookie_id": 7}, {"cookie_id": [MINE]}, {"cookie_id": "c" * 101}, {"cookie_id": "\ud800"},
    [MINE], MINE, None,
])
def test_a_body_of_another_shape_is_400(api: Api, body: Any) -> None:
    path = f"/api/submissions/{song(api)}/delete"
    answer = api.client.post(path, data=json.dumps(body), content_type="application/json")
    check_error(answer, 400, "validation_failed")
    check_error(api.client.post(path, data=b'{"cookie_id"', content_type="application/json"), 400, "validation_failed")
    check_error(api.client.post(path, data={"cookie_id": MINE}), 415, "unsupported_media_type")
    check_error(api.client.post(path, data=b" " * 5000, content_type="application/json"), 413, "too_large")
    assert api.row("song1").pet_name == "Rosalinde"


@on_sqlite
@pytest.mark.parametrize("session_id", ["x" * 65, "%00", "..%2f", "'", "é"])
def test_ids_that_are_none_are_404(api: Api, session_id: str) -> None:
    check_error(delete(api, session_id), 404, "session_not_found" if "%2f" not in session_id else "not_found")


def test_the_answer_kept_for_a_repeated_form_goes_too(api: Api) -> None:
    accepted = api.post(key="once").get_json()
    assert delete(api, accepted["session_id"], accepted["cookie_id"]).status_code == 200
    with database.connection():
        assert IdempotencyKey.select().count() == 0


def test_deleting_buys_no_further_song(make_api: Callable[..., Api]) -> None:
    api = make_api(form_submit_retry=1)
    accepted = api.post(cookie_id=MINE).get_json()
    delete(api, accepted["session_id"])
    check_error(api.post(cookie_id=MINE), 429, "rate_limit_exceeded")


@on_sqlite
def test_guessing_is_limited(api: Api) -> None:
    session_id = song(api)
    for number in range(30):
        check_error(delete(api, session_id, f"cookie_guess{number}"), 404, "session_not_found")
    answer = delete(api, session_id)
    check_error(answer, 429, "too_many_requests")
    assert int(answer.headers["Retry-After"]) > 0
    assert delete(api, session_id, address="198.51.100.8").status_code == 200


@on_sqlite
def test_a_file_that_cannot_be_removed_is_tried_again(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    session_id, stuck = song(api), [True]
    remove = LocalStorage.delete

    def refuse(storage: LocalStorage, key: str) -> bool:
        if stuck and key.startswith("video/"):
            raise PermissionError(key)
        return remove(storage, key)

    monkeypatch.setattr(LocalStorage, "delete", refuse)
    answer = delete(api, session_id)
    check_error(answer, 503, "unavailable")
    assert answer.headers["Retry-After"] and api.row(session_id).pet_name == "Rosalinde"
    stuck.clear()
    assert delete(api, session_id).status_code == 200
    assert keys(api) == [] and api.row(session_id).pet_name == ""


@on_sqlite
def test_a_microsite_elsewhere_may_ask(make_api: Callable[..., Api]) -> None:
    api = make_api(allowed_origins=("https://www.example.com",))
    answer = api.client.options(
        f"/api/submissions/{song(api)}/delete", headers={"Origin": "https://www.example.com"}
    )
    assert "POST" in answer.headers["Access-Control-Allow-Methods"]
