"""Idempotency-Key: a form that is sent again buys no second song, whatever came in between."""
import json
from collections.abc import Callable

import pytest

from api_kit import Api, Gunicorn, check_error, form, post_all
from kit import age
from petsong import database, limits
from petsong.models import IdempotencyKey, Submission

pytest_plugins = "api_fixtures"


def test_the_same_key_and_body_get_the_first_answer_again(api: Api) -> None:
    first = api.post(key="form-1")
    again = [api.post(key="form-1") for _ in range(3)]
    assert [(answer.status_code, answer.data) for answer in again] == [(200, first.data)] * 3
    assert len(api.rows()) == len(api.uploads()) == 1


def test_an_answer_without_a_new_cookie_is_repeated_as_it_was(api: Api) -> None:
    first = api.post(key="form-1", cookie_id="cookie_abc")
    assert "cookie_id" not in first.get_json()
    assert api.post(key="form-1", cookie_id="cookie_abc").data == first.data


@pytest.mark.parametrize("change", [{"pet_name": "Rex"}, {"photo": "AAAA"}, {"cookie_id": "cookie_other"}, {"extra": 1}])
def test_another_body_is_409_and_leaves_the_first_alone(api: Api, change: dict[str, str]) -> None:
    first = api.post(key="form-1")
    check_error(api.post(key="form-1", **change), 409, "idempotency_mismatch")
    assert api.post(key="form-1").data == first.data
    assert len(api.rows()) == len(api.uploads()) == 1


def test_the_same_form_in_other_bytes_is_another_body(api: Api) -> None:
    api.post(key="form-1")
    body = json.dumps(form(), indent=1).encode()
    check_error(api.post_raw(body, **{"Idempotency-Key": "form-1"}), 409, "idempotency_mismatch")


def test_other_keys_and_none_are_other_songs(api: Api) -> None:
    ids = {api.post(key=key).get_json()["session_id"] for key in ("a", "b", None, None)}
    assert len(ids) == len(api.rows()) == 4


@pytest.mark.parametrize("key", ["", " ", "a b", "ä", "x" * 201, "a\tb"])
def test_a_key_that_is_none_is_400(api: Api, key: str) -> None:
    check_error(api.post(key=key), 400, "validation_failed")
    assert api.rows() == []


@pytest.mark.parametrize("key", ["x", "x" * 200, "0b7e1c9e-3c0a-4f59-9a1e-3f6f3a9f8a55", "!\"#$%&'()*~",
    "'; DROP TABLE submissions; --"[:12]])
def test_any_printable_key_will_do(api: Api, key: str) -> None:
    assert api.post(key=key.replace(" ", "_")).status_code == 200


def test_a_refused_form_does_not_use_up_its_key(api: Api) -> None:
    check_error(api.post(key="form-1", pet_name="1"), 400, "validation_failed")
    assert api.post(key="form-1").status_code == 200


def test_a_form_over_the_cookie_limit_does_not_use_up_its_key(make_api: Callable[..., Api]) -> None:
    api = make_api(form_submit_retry=1)
    api.post(cookie_id="cookie_abc")
    check_error(api.post(key="form-1", cookie_id="cookie_abc"), 429, "rate_limit_exceeded")
    assert api.post(key="form-1", cookie_id="cookie_new").status_code == 200


def test_a_key_is_kept_for_a_day(api: Api) -> None:
    first = api.post(key="form-1").get_json()
    with database.connection():
        age(24 * 3600 - 60)
    assert api.post(key="form-1").get_json() == first
    with database.connection():
        age(120)
    assert api.post(key="form-1", pet_name="Rex").status_code == 200
    assert [row.pet_name for row in api.rows()] == ["Biscuit", "Rex"]


def test_a_repeat_is_answered_over_the_address_limit(make_api: Callable[..., Api]) -> None:
    api = make_api(submissions_per_hour_per_ip=1)
    first = api.post(key="form-1")
    check_error(api.post(), 429, "too_many_requests")
    for _ in range(3):
        assert api.post(key="form-1").data == first.data


def test_a_repeat_is_answered_over_the_cookie_limit(make_api: Callable[..., Api]) -> None:
    api = make_api(form_submit_retry=1)
    first = api.post(key="form-1", cookie_id="cookie_abc")
    check_error(api.post(cookie_id="cookie_abc"), 429, "rate_limit_exceeded")
    assert api.post(key="form-1", cookie_id="cookie_abc").data == first.data


def test_a_repeat_is_answered_when_all_is_sold_out(api: Api) -> None:
    first = api.post(key="form-1")
    api.credits(0)
    check_error(api.post(), 503, "sold_out")
    assert api.post(key="form-1").data == first.data
    check_error(api.post(key="form-1", pet_name="Rex"), 409, "idempotency_mismatch")


def test_a_repeat_enqueues_nothing_more_and_is_not_counted(make_api: Callable[..., Api]) -> None:
    api = make_api(submissions_per_hour_per_ip=2)
    for _ in range(5):
        assert api.post(key="form-1").status_code == 200
    assert api.post().status_code == 200


def test_ten_at_once_leave_one_row_and_one_answer(start_gunicorn: Callable[..., Gunicorn]) -> None:
    server = start_gunicorn(workers=2)
    answers = post_all(server.address, [form()] * 10, headers={"Idempotency-Key": "form-1"})
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    with database.connection():
        assert Submission.select().count() == IdempotencyKey.select().count() == 1


def test_ten_at_once_at_the_visitors_last_song_are_all_answered(start_gunicorn: Callable[..., Gunicorn]) -> None:
    """The first uses the visitor's only song up; to the others that is no limit, as theirs is the same form."""
    server = start_gunicorn(workers=2, form_submit_retry=1)
    answers = post_all(server.address, [form(cookie_id="cookie_abc")] * 10, headers={"Idempotency-Key": "form-1"})
    assert [answer.status_code for answer in answers] == [200] * 10
    assert len({answer.content for answer in answers}) == 1


def test_a_twin_that_was_quicker_gives_its_answer(make_api: Callable[..., Api], monkeypatch: pytest.MonkeyPatch) -> None:
    """The first request commits while the second stands between its look at the key and its look at the limit."""
    api = make_api(form_submit_retry=1)
    real, answers = limits.attempts_used, []

    def after_the_twin(cookie_id: str) -> int:
        monkeypatch.setattr(limits, "attempts_used", real)
        database.db.close()
        answers.append(api.post(key="form-1", cookie_id="cookie_abc"))
        database.open_connection()
        return real(cookie_id)

    monkeypatch.setattr(limits, "attempts_used", after_the_twin)
    answers.append(api.post(key="form-1", cookie_id="cookie_abc"))
    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].data == answers[1].data and len(api.rows()) == len(api.uploads()) == 1


def test_two_bodies_with_one_key_at_once_leave_one_row(start_gunicorn: Callable[..., Gunicorn]) -> None:
    server = start_gunicorn()
    forms = [form(pet_name=name) for name in ("Biscuit", "Rex") * 5]
    answers = post_all(server.address, forms, headers={"Idempotency-Key": "form-1"})
    assert sorted(answer.status_code for answer in answers) == [200] * 5 + [409] * 5
    with database.connection():
        assert Submission.select().count() == 1
