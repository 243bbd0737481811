"""Price, slots, balance, the way of a task through its statuses, and what survives a kill."""

import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from scripts.sandbox.app import create_app
from scripts.sandbox.client import SandboxClient, SandboxError
from scripts.sandbox.control import control
from scripts.sandbox.listener import build
from scripts.sandbox.server import SandboxStartError, start
from scripts.sandbox.tasks import ALIGNMENT_STATUSES, STATUSES, Task, alignment_status, status

ORDER = {"prompt": "between Mara and their beloved dog Bo. Make it warm.", "align_lyrics": True}


@pytest.fixture(scope="module")
def shared() -> Iterator[SandboxClient]:
    with start(generate_seconds=60, song_seconds=30, credits=15000) as server:
        yield server.client


@pytest.fixture
def sandbox(shared: SandboxClient) -> SandboxClient:
    shared.reset()
    return shared


def submitted(sandbox: SandboxClient) -> str:
    answer = sandbox.submit(ORDER)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["task_id"])


def task_ending(generate_seconds: float, align_seconds: float) -> Task:
    return Task("t", 1000.0, 1000.0 + generate_seconds, "SUCCESS", 100, ORDER, "la", "chill", 30, 1, align_seconds=2.0)


def test_a_song_costs_100_credits_at_once(sandbox: SandboxClient) -> None:
    submitted(sandbox)
    assert sandbox.balance().json() == {"num_credits": 14900, "num_credits_payg": 0}


def test_a_failure_gives_the_credits_back_when_it_ends(sandbox: SandboxClient) -> None:
    sandbox.add_fault("failure")
    task_id = submitted(sandbox)
    assert sandbox.balance().json()["num_credits"] == 14900
    sandbox.finish(task_id)
    assert sandbox.balance().json()["num_credits"] == 15000
    assert sandbox.orders()[0]["credits"] == 0


def test_an_empty_balance_answers_402_and_pay_as_you_go_credits_are_used_last(sandbox: SandboxClient) -> None:
    sandbox.configure(credits=150, credits_payg=50)
    submitted(sandbox)
    submitted(sandbox)
    assert sandbox.balance().json() == {"num_credits": 0, "num_credits_payg": 0}
    answer = sandbox.submit(ORDER)
    assert (answer.status_code, answer.json()["detail"]) == (402, "Insufficient credits: a song costs 100")
    assert sandbox.summary() == {"accepted": 2, "refused": {"402": 1}, "max_concurrent": 2, "credits_left": 0}


def test_configured_credits_are_what_is_left_to_spend(sandbox: SandboxClient) -> None:
    submitted(sandbox)
    sandbox.configure(credits=300)
    assert sandbox.balance().json()["num_credits"] == 300


def test_the_eleventh_unfinished_song_answers_429_until_one_ends(sandbox: SandboxClient) -> None:
    first = [submitted(sandbox) for _ in range(10)][0]
    answer = sandbox.submit(ORDER)
    assert (answer.status_code, answer.json()) == (429, {"detail": "Too many concurrent generations: at most 10"})
    sandbox.finish(first)
    submitted(sandbox)
    assert [order["peak_concurrent"] for order in sandbox.orders()] == [*range(1, 11), 10]
    assert sandbox.summary()["max_concurrent"] == 10


def test_forty_orders_at_once_fill_the_slots_and_no_more(sandbox: SandboxClient) -> None:
    def status_of_one(_number: int) -> int:
        with SandboxClient(sandbox.url) as client:
            return client.submit(ORDER).status_code

    with ThreadPoolExecutor(20) as threads:
        statuses = list(threads.map(status_of_one, range(40)))
    assert (statuses.count(200), statuses.count(429)) == (10, 30)
    assert sandbox.summary()["max_concurrent"] == 10


def test_statuses_come_in_the_documented_order_and_end_with_the_time() -> None:
    task = task_ending(100, 2)
    seen = [status(task, 1000.0 + at) for at in range(101)]
    assert tuple(dict.fromkeys(seen)) == (*STATUSES, "SUCCESS")
    assert seen.index("SUCCESS") == 100


def test_alignment_comes_after_the_song_in_its_own_order() -> None:
    task = task_ending(100, 2)
    seen = [alignment_status(task, 1000.0 + at / 10) for at in range(1030)]
    assert tuple(dict.fromkeys(seen)) == (None, *ALIGNMENT_STATUSES, "SUCCESS")
    assert seen.index("REQUESTED") == 1000


def test_a_task_advances_and_is_told_in_both_shapes(sandbox: SandboxClient) -> None:
    sandbox.configure(generate_seconds=0.5, align_seconds=0)
    task_id = submitted(sandbox)
    assert sandbox.status(task_id).json() in STATUSES
    assert sandbox.task(task_id).json()["song_paths"] == []
    time.sleep(0.5)
    assert sandbox.status(task_id).json() == "SUCCESS"
    both = sandbox.status(task_id, include_alignment=True).json()
    assert both == {"status": "SUCCESS", "alignment_status": "SUCCESS"}
    task = sandbox.task(task_id).json()
    assert task["id"] == task_id
    assert task["song_paths"] == [f"{sandbox.url}/files/audio_{task_id}_0.ogg"]
    assert sandbox.orders()[0]["ended_as"] == "SUCCESS"


def test_generate_seconds_0_is_success_at_once(sandbox: SandboxClient) -> None:
    sandbox.configure(generate_seconds=0)
    assert sandbox.status(submitted(sandbox)).json() == "SUCCESS"


def test_a_failure_says_why_and_has_no_song(sandbox: SandboxClient) -> None:
    task_id = submitted(sandbox)
    sandbox.finish(task_id, "FAILURE")
    task = sandbox.task(task_id).json()
    assert (task["status"], task["song_paths"]) == ("FAILURE", [])
    assert "no audio" in task["error_message"]
    assert sandbox.status(task_id).json() == "FAILURE"


def test_word_timing_covers_the_lyrics_in_both_spellings_by_turns(sandbox: SandboxClient) -> None:
    sandbox.configure(generate_seconds=0, align_seconds=0)
    timings = [sandbox.task(submitted(sandbox)).json() for _ in range(2)]
    keys = [set(task["word_aligned_lyrics"][0]) for task in timings]
    assert keys == [{"word", "start", "end"}, {"word", "start_time", "end_time"}]
    words = timings[0]["word_aligned_lyrics"]
    assert words[0]["word"] == "[Verse 1]\nBo"
    assert "door\n" in [word["word"] for word in words]
    times = [time for word in words for time in (word["start"], word["end"])]
    assert times == sorted(times)
    assert 0 <= times[0] < times[-1] <= 30
    sung = "".join(word["word"] + " " for word in words).split()
    assert sung == timings[0]["lyrics"].split()


def test_there_is_no_word_timing_before_alignment_or_without_asking(sandbox: SandboxClient) -> None:
    sandbox.configure(generate_seconds=0, align_seconds=60)
    asked = sandbox.task(submitted(sandbox)).json()
    unasked = sandbox.task(sandbox.submit({"prompt": "x"}).json()["task_id"]).json()
    assert (asked["alignment_status"], asked["word_aligned_lyrics"]) == ("REQUESTED", None)
    assert (unasked["alignment_status"], unasked["word_aligned_lyrics"]) == (None, None)


def test_an_unknown_task_answers_404_with_a_detail(sandbox: SandboxClient) -> None:
    for answer in (sandbox.task("no-such-task"), sandbox.status("no-such-task")):
        assert (answer.status_code, answer.json()) == (404, {"detail": "Task not found"})


def test_reset_forgets_orders_faults_and_configuration(sandbox: SandboxClient) -> None:
    sandbox.configure(price=7)
    sandbox.add_fault("failure")
    submitted(sandbox)
    sandbox.reset()
    assert sandbox.summary() == {"accepted": 0, "refused": {}, "max_concurrent": 0, "credits_left": 15000}
    assert sandbox.faults() == []


@pytest.mark.parametrize("settings", [{"slot": 3}, {"slots": -1}, {"slots": 1.5}, {"webhooks": 1}, {"tune": "jazz"}])
def test_a_wrong_setting_is_refused_by_name(sandbox: SandboxClient, settings: dict[str, float | int | str]) -> None:
    with pytest.raises(SandboxError, match=next(iter(settings))):
        sandbox.configure(**settings)


def test_controls_are_for_this_machine_alone(tmp_path: Path) -> None:
    house = build(tmp_path, tmp_path / "songs", "http://127.0.0.1:9000", {})
    client = create_app(house, control).test_client()
    elsewhere = {"REMOTE_ADDR": "192.0.2.7"}
    statuses = [client.get(path, environ_base=elsewhere).status_code for path in ("/sandbox/settings", "/ledger")]
    house.ledger.store.close()
    assert statuses == [403, 200]


def test_a_kill_loses_neither_tasks_nor_ledger_nor_settings_nor_faults() -> None:
    with start(generate_seconds=60, slots=3) as server:
        server.client.configure(price=70)
        server.set_faults({"fault": "submit_500", "count": 1})
        assert server.client.submit(ORDER).status_code == 500
        task_id = submitted(server.client)
        before = server.ledger()
        server.kill()
        server.restart()
        assert server.ledger() == before
        assert server.client.task(task_id).json()["status"] in STATUSES
        assert server.client.configure()["price"] == 70
        assert [(fault["fault"], fault["hits"]) for fault in server.client.faults()] == [("submit_500", 1)]
        server.client.finish()
        assert server.client.status(task_id).json() == "SUCCESS"


def test_a_new_command_line_ends_what_was_configured_against_it(tmp_path: Path) -> None:
    with start(data=tmp_path, slots=3) as server:
        server.client.configure(slots=5, price=7)
    with start(data=tmp_path, slots=4) as server:
        settings = server.client.configure()
    assert (settings["slots"], settings["price"]) == (4, 7)


def test_a_taken_port_is_named_at_the_start_and_no_folder_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with start() as server:
        port = int(server.url.rpartition(":")[2])
        with pytest.raises(SandboxStartError, match=f"127.0.0.1:{port}.*--port"):
            start(port=port)
        assert list(tmp_path.iterdir()) == [server.data]
    assert list(tmp_path.iterdir()) == []
