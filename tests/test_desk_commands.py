"""The desk's abilities as commands."""
import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from desk_kit import Desk
from petsong.storage import LocalStorage

pytest_plugins = "desk_login_fixtures"
Run = Callable[..., Result]


@pytest.fixture
def run(desk: Desk) -> Run:
    return lambda *words: desk.api.app.test_cli_runner().invoke(args=list(words))


def told(result: Result) -> dict[str, object]:
    assert result.exit_code == 0, result.output
    found: dict[str, object] = json.loads(result.stdout)
    return found


def test_submissions_lists_without_names(desk: Desk, run: Run) -> None:
    desk.row("song1", "failed", age=1, fail_reason="timeout")
    desk.row("song2", "queued")
    output = run("submissions").output
    assert output.index("song2") < output.index("song1") and "timeout" in output and "2 in all, page 1 of 1" in output
    assert "Biscuit" not in output + run("submissions", "--json").output
    found = told(run("submissions", "--status", "fail", "--page-size", "1", "--json"))
    assert (found["total"], found["total_pages"]) == (1, 1) and "song2" not in str(found)
    wrong = run("submissions", "--stage", "x", "--page", "0")
    assert wrong.exit_code == 1 and "--stage: Must be one of" in wrong.output and "--page: A whole number" in wrong.output


def test_export_writes_a_file(desk: Desk, run: Run, tmp_path: Path) -> None:
    desk.row("song1", pet_name="=Biscuit")
    path = tmp_path / "list.csv"
    assert "Written to" in run("export", "--output", str(path)).output
    [line] = csv.DictReader(io.StringIO(path.read_text()))
    assert line["pet_name"] == "'=Biscuit"
    assert list(csv.DictReader(io.StringIO(run("export").output)))[0]["session_id"] == "song1"


def test_cancel_and_retry_may_be_repeated(desk: Desk, run: Run) -> None:
    desk.row("song1", "generating", age=5)
    assert told(run("cancel", "song1", "--who", "Kim", "--json"))["changed"] is True
    assert "cancelled before" in run("cancel", "song1").output
    assert "goes on in queued" in run("retry", "song1").output
    assert "goes on already in queued" in run("retry", "song1").output
    assert desk.reasons("song1")[0] == ("cancelled", "by Kim")
    done = desk.row("song2")
    assert run("cancel", done).exit_code == 1


def test_rerender_is_ordered(desk: Desk, run: Run) -> None:
    desk.row("song1")
    assert "made anew" in run("rerender", "song1").output
    assert told(run("rerender", "song1", "--json"))["changed"] is False


def test_retry_all_says_the_price_before_it_pays(desk: Desk, run: Run) -> None:
    for number in range(3):
        desk.row(f"song{number}", "failed", age=5, fail_reason="timeout")
    asked = run("retry-all", "--reason", "timeout")
    assert "3 would order a new song" in asked.output and "--most-credits 300" in asked.output
    assert desk.api.row("song0").stage == "failed"
    assert run("retry-all", "--reason", "timeout", "--most-credits", "100").exit_code == 1
    assert told(run("retry-all", "--reason", "timeout", "--most-credits", "300", "--json"))["retried"] == 3
    assert run("retry-all", "--reason", "NO NO").exit_code == 1


def test_delete_and_erase_give_receipts(desk: Desk, run: Run) -> None:
    for number in range(3):
        desk.row(f"song{number}", age=number, cookie_id="cookie_a1" if number else "cookie_b2")
        desk.store(f"uploads/song{number}.jpg")
    assert "song0  erased" in run("delete", "song0").output and "1 files" in run("erase", "--cookie", "cookie_a1").output
    found = told(run("erase", "--session", "song1", "--json"))
    assert found["receipts"][0]["already"] is True  # type: ignore[index]
    assert "nothing of this visitor" in run("erase", "--cookie", "cookie_nobody").output
    assert run("erase").exit_code == 2 and run("erase", "--session", "a", "--cookie", "b").exit_code == 2
    for words in ("delete nosuchsong", "erase --session no/such", "cancel no%20such", f"rerender {'x' * 300}"):
        refused = run(*words.split())
        assert refused.exit_code == 1 and "There is no submission" in refused.output


def test_what_cannot_be_removed_is_said(desk: Desk, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def no(*_: object) -> bool:
        raise PermissionError(13, "Permission denied")

    desk.row("song1")
    monkeypatch.setattr(LocalStorage, "delete", no)
    refused = run("delete", "song1")
    assert refused.exit_code == 1 and "Permission denied" in refused.output and "Run it again" in refused.output


def test_orphans_are_listed(desk: Desk, run: Run) -> None:
    desk.row("song1")
    assert run("orphans").output.startswith("row without its file: song1  uploads/song1.jpg")
    desk.store("uploads/song1.jpg")
    assert "Every file has its row" in run("orphans").output
    assert told(run("orphans", "--json")) == {"files_without_row": [], "rows_without_file": []}
