"""The list as CSV: filtered, streamed, and harmless in a spreadsheet."""
import csv
import io
from collections.abc import Iterator
from typing import Any

import pytest

from api_kit import check_error, on_sqlite
from desk_kit import Desk
from petsong.models import Submission
from petsong.web.desk import search
from petsong.web.desk.export import COLUMNS, lines
from petsong.web.desk.search import Filter

pytest_plugins = "desk_login_fixtures"
PATH = "/api/admin/submissions.csv"


def table(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_the_file_has_what_the_filter_lets_through_newest_first(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "CHUNK", 2)
    for number in range(7):
        desk.row(f"song{number}", "failed" if number % 2 else "done", age=number, fail_reason="timeout" if number % 2 else None)
    answer = desk.get(PATH)
    assert answer.mimetype == "text/csv" and "attachment" in answer.headers["Content-Disposition"]
    assert [line["session_id"] for line in table(answer.text)] == [f"song{number}" for number in range(7)]
    assert [line["session_id"] for line in table(desk.get(f"{PATH}?reason=timeout").text)] == ["song1", "song3", "song5"]
    assert table(answer.text)[1]["reason"] == "timeout" and table(answer.text)[0]["created_at"].endswith("Z")


def test_rows_of_one_instant_are_neither_lost_nor_doubled(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "CHUNK", 2)
    moment = desk.api.row(desk.row("song0")).created_at
    for number in range(1, 7):
        desk.row(f"song{number}", created_at=moment)
    assert [line["session_id"] for line in table(desk.get(PATH).text)] == [f"song{6 - number}" for number in range(7)]


@on_sqlite
def test_no_cell_is_a_formula(desk: Desk) -> None:
    for number, name in enumerate(["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx", "＝1", 'a"b,c\nd', "Zoë"]):
        desk.row(f"song{number}", age=number, pet_name=name)
    names = [line["pet_name"] for line in table(desk.get(PATH).text)]
    assert names == ["'=1+1", "'+1", "'-1", "'@SUM(A1)", "'\tx", "'\rx", "'＝1", 'a"b,c\nd', "Zoë"]


@on_sqlite
def test_it_holds_no_tokens_nor_what_nobody_needs(desk: Desk) -> None:
    desk.row("song1", cookie_id="cookie_secret1")
    desk.api.attempt("song1", token="f" * 64)
    text = desk.get(PATH).text
    assert "cookie_secret1" not in text and "f" * 64 not in text and "Biscuit is waiting" not in text
    assert {Submission.cookie_id.name, Submission.lyrics.name}.isdisjoint(COLUMNS.values())


@on_sqlite
def test_the_first_line_goes_out_before_any_query(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def asked(_: Filter) -> Iterator[list[Any]]:
        raise AssertionError("asked")
        yield []

    monkeypatch.setattr(search, "in_chunks", asked)
    content = lines(Filter.model_validate({}))
    assert next(content).startswith("session_id,created_at,")
    with pytest.raises(AssertionError, match="asked"):
        next(content)


@on_sqlite
def test_for_a_spreadsheet_it_begins_with_the_mark_of_utf_8(desk: Desk) -> None:
    desk.row("song1", pet_name="Zoë")
    assert desk.get("/admin/submissions.csv").data.startswith(b"\xef\xbb\xbfsession_id,")
    assert desk.get(PATH).data.startswith(b"session_id,")


@on_sqlite
def test_a_wrong_filter_is_refused(desk: Desk) -> None:
    check_error(desk.get(f"{PATH}?stage=x"), 400, "validation_failed")
    page = desk.get("/admin/submissions.csv?stage=x")
    assert page.status_code == 400 and "Must be one of: queued" in page.text
