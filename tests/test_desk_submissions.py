"""The operator's list: filters, order, pages; and one submission's page."""
from datetime import UTC, datetime
from typing import Any

import pytest
from markupsafe import escape

from api_kit import check_error, on_sqlite
from desk_kit import Desk

pytest_plugins = "desk_login_fixtures"

LIST = "/api/admin/submissions"


@pytest.fixture
def many(desk: Desk) -> Desk:
    desk.row("aaa1", "queued", age=10, pet_name="Bello")
    desk.row("aaa2", "failed", age=20, pet_name="Zoë", fail_reason="service_failed")
    desk.row("bbb1", "done", age=30, pet_name="bella", campaign="summer")
    desk.row("bbb2", "rendering", age=40, pet_name="Łukasz")
    desk.row("ccc1", "failed", age=3 * 86_400, pet_name="रानी", fail_reason="timeout")
    return desk


def ids(desk: Desk, query: str = "") -> list[str]:
    answer = desk.get(f"{LIST}?{query}")
    assert answer.status_code == 200, answer.text
    return [found["session_id"] for found in answer.get_json()["submissions"]]


LISTS = [
    ("", ["aaa1", "aaa2", "bbb1", "bbb2", "ccc1"]),
    ("status=fail", ["aaa2", "ccc1"]),
    ("status=processing", ["bbb2"]),
    ("stage=rendering", ["bbb2"]),
    ("reason=timeout", ["ccc1"]),
    ("campaign=summer", ["bbb1"]),
    ("prefix=aaa", ["aaa1", "aaa2"]),
    ("prefix=BEL", ["aaa1", "bbb1"]),
    ("prefix=zo%C3%AB", ["aaa2"]),
    ("prefix=%C5%82uk", ["bbb2"]),
    ("prefix=%E0%A4%B0", ["ccc1"]),
    ("prefix=%25", []),
    ("prefix=____", []),
    ("status=&stage=&prefix=++&page=", ["aaa1", "aaa2", "bbb1", "bbb2", "ccc1"]),
    ("status=fail&reason=timeout", ["ccc1"]),
    ("to_date=2001-01-01", []),
    ("from_date=2001-01-01", ["aaa1", "aaa2", "bbb1", "bbb2", "ccc1"]),
    ("page=2&page_size=2", ["bbb1", "bbb2"]),
    ("page=4&page_size=2", []),
]


def test_the_list_is_filtered_newest_first(many: Desk) -> None:
    for query, found in LISTS:
        assert ids(many, query) == found, query


def test_days_include_both_ends(desk: Desk) -> None:
    for session_id, moment in [("a", "2026-03-01T00:00:00"), ("b", "2026-03-01T23:59:59.9"), ("c", "2026-03-02T00:00:00")]:
        desk.row(session_id, created_at=datetime.fromisoformat(f"{moment}+00:00"))
    assert ids(desk, "from_date=2026-03-01&to_date=2026-03-01") == ["b", "a"]
    assert ids(desk, "from_date=2026-03-01T12:00:00Z") == ["c", "b"]
    assert ids(desk, "to_date=2026-03-02T00:00:00%2B02:00") == ["a"]


def test_the_list_says_how_many_there_are(many: Desk) -> None:
    body = many.get(f"{LIST}?page_size=2&status=fail").get_json()
    assert {key: body[key] for key in ("page", "page_size", "total", "total_pages")} == {
        "page": 1, "page_size": 2, "total": 2, "total_pages": 1,
    }
    body = many.get(LIST).get_json()
    assert (body["page_size"], body["total"], body["total_pages"]) == (50, 5, 1)
    assert set(body["submissions"][0]) == {
        "session_id", "created_at", "campaign", "status", "stage", "stage_since", "reason", "pet_name", "pet_type",
        "music_vibe", "owner_name", "erased",
    }


WRONG = [
    ("status=gone", "status"), ("stage=Done", "stage"), ("reason=DROP+TABLE", "reason"), ("page=0", "page"), ("page=x", "page"),
    ("page=1.5", "page"), ("page_size=201", "page_size"), ("page_size=0", "page_size"), ("from_date=yesterday", "from_date"),
    ("to_date=2026-02-30", "to_date"), ("to_date=0001-01-01", "to_date"),
    ("from_date=2026-03-02&to_date=2026-03-01", "to_date"),
    ("prefix=" + "x" * 101, "prefix"), ("prefix=a%00b", "prefix"), ("campaign=a%00", "campaign"),
    ("page=99999999999999999999", "page"),
]


@on_sqlite
def test_wrong_parameters_are_named(desk: Desk) -> None:
    for query, field in WRONG:
        body = check_error(desk.get(f"{LIST}?{query}"), 400, "validation_failed")
        assert list(body["fields"]) == [field] and body["message"] == body["fields"][field]
        page = desk.get(f"/admin/submissions?{query}")
        assert page.status_code == 400 and f"<b>{field.replace('_', ' ')}</b>: {escape(body['message'])}" in page.text


@on_sqlite
def test_the_page_shows_the_same_and_keeps_the_filter(many: Desk) -> None:
    page = many.get("/admin/submissions?status=fail&page_size=1").text
    assert "aaa2" in page and "ccc1" not in page and "<b>2</b> submissions, page 1 of 2" in page
    assert 'href="?status=fail&amp;page=2&amp;page_size=1"' in page
    assert "/admin/submissions.csv?status=fail" in page
    assert "Nothing fits this filter" in many.get("/admin/submissions?prefix=nobody").text


@on_sqlite
def test_names_are_escaped_wherever_they_stand(desk: Desk) -> None:
    evil = "<script>alert(1)</script>"
    desk.row("song1", "failed", pet_name=evil, owner_name=evil, lyrics=evil, fail_reason="x", llm_full_response={"a": evil})
    for path in ("/admin/submissions", "/admin/submissions/song1", f"/admin/submissions?prefix={evil}&campaign={evil}&page=x"):
        text = desk.get(path).text
        assert "<script>alert" not in text and "&lt;script&gt;" in text
    assert "{{7*7}}" in desk.get("/admin/submissions?prefix={{7*7}}").text


# ---- one of them

def test_one_submission_tells_everything(desk: Desk) -> None:
    desk.row("song1", "failed", fail_reason="download_cut", llm_full_response={"status": "SUCCESS"})
    desk.api.attempt("song1", outcome_detail="said hello", ended_as="success", credits=100, ended_at=_now())
    body = desk.get(f"{LIST}/song1").get_json()
    assert body["submission"]["fail_reason"] == "download_cut" and body["person"]["pet_name"] == "Biscuit"
    assert body["attempts"][0]["task_id"] == "task-song1" and body["service_answer"] == {"status": "SUCCESS"}
    assert body["actions"] == ["delete", "retry"]
    assert "token" not in str(body["attempts"])
    page = desk.get("/admin/submissions/song1").text
    for part in ("download cut", "said hello", "task-song1", "Biscuit", "Marisol", "Biscuit is waiting", "&#34;SUCCESS&#34;"):
        assert part in page


def _now() -> Any:
    return datetime.now(UTC)


def test_unknown_ids_are_404(desk: Desk) -> None:
    for unknown in ("nosuchsong", "x" * 300, "%00", "..%2Fetc", "é"):
        assert desk.get(f"/admin/submissions/{unknown}").status_code == 404
        assert desk.get(f"/admin/submissions/{unknown}/file/photo").status_code == 404
        check_error(desk.get(f"{LIST}/{unknown}"), 404, "session_not_found" if "%2F" not in unknown else "not_found")
        assert desk.post(f"{LIST}/{unknown}/cancel").status_code == 404


@on_sqlite
def test_files_are_for_the_operator_alone(desk: Desk) -> None:
    desk.row("song1", generated_song_path="audio/song1.1.mp3", generated_video_path="video/song1.1.mp4")
    desk.store("uploads/song1.jpg", b"photo")
    desk.store("audio/song1.1.mp3", b"0123456789")
    with desk.get("/admin/submissions/song1/file/photo") as answer:
        assert (answer.data, answer.mimetype, answer.headers["Cache-Control"]) == (b"photo", "image/jpeg", "no-store")
    with desk.get("/admin/submissions/song1/file/song", Range="bytes=2-4") as part:
        assert (part.status_code, part.data, part.mimetype) == (206, b"234", "audio/mpeg")
    for kind in ("video", "poster", "nonsense"):
        assert desk.get(f"/admin/submissions/song1/file/{kind}").status_code == 404
    assert desk.api.get("/admin/submissions/song1/file/photo").status_code == 401
    desk.api.change("song1", files_removed_at=_now())
    assert desk.get("/admin/submissions/song1/file/photo").status_code == 404
