"""Faults that lie, drag, lead astray or contradict themselves, by what a client sees; and the ledger that has each of them."""

import io
import json
import socket
import sqlite3
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests
from mutagen import MutagenError
from mutagen.mp3 import MP3, MPEGInfo

from scripts.sandbox import forgeries, tasks
from scripts.sandbox.client import SandboxClient, SandboxError
from scripts.sandbox.faults import FAULTS, SHARED
from scripts.sandbox.ledger import Ledger
from scripts.sandbox.server import SandboxServer, start
from scripts.sandbox.store import Store

ORDER = {"prompt": "a song for Bo", "tags": ["pop"], "output_format": "mp3", "align_lyrics": True}


@pytest.fixture(scope="module")
def server() -> Iterator[SandboxServer]:
    with start(generate_seconds=0, align_seconds=0, song_seconds=3, tune="tone") as server:
        yield server


@pytest.fixture
def sandbox(server: SandboxServer) -> SandboxClient:
    server.client.reset()
    return server.client


@pytest.fixture
def told() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A receiver's address, and the bodies it got."""
    bodies: list[dict[str, Any]] = []

    class Keep(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Keep) as receiver:
        thread = threading.Thread(target=receiver.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://127.0.0.1:{receiver.server_address[1]}/hook", bodies
        receiver.shutdown()
        thread.join()


def submitted(sandbox: SandboxClient, **more: object) -> str:
    answer = sandbox.submit({**ORDER, **more})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["task_id"])


def song_url(sandbox: SandboxClient) -> str:
    return str(sandbox.task(submitted(sandbox)).json()["song_paths"][0])


def eventually(fulfilled: Callable[[], object], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not fulfilled():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.02)


# ---- songs


def raw_get(url: str, seconds: float) -> bytes:
    """All bytes of the answer as they come, until the connection ends or the time is up."""
    host, _, path = url.removeprefix("http://").partition("/")
    name, _, port = host.partition(":")
    heard, ends = b"", time.monotonic() + seconds
    with socket.create_connection((name, int(port)), 5) as connection:
        connection.sendall(f"GET /{path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        while (left := ends - time.monotonic()) > 0:
            connection.settimeout(left)
            try:
                chunk = connection.recv(65536)
            except TimeoutError:
                break
            if not chunk:
                break
            heard += chunk
    return heard


def test_song_drip_never_pauses_and_never_ends(sandbox: SandboxClient) -> None:
    url = song_url(sandbox)
    sandbox.add_fault("song_drip", seconds=0.05)
    head, _, body = raw_get(url, 0.8).partition(b"\r\n\r\n")
    assert b"Content-Length: 7" in head
    assert 3 <= len(body) <= 20


def test_song_endless_names_no_length(sandbox: SandboxClient) -> None:
    url = song_url(sandbox)
    sandbox.add_fault("song_endless")
    with requests.get(url, stream=True, timeout=5) as answer:
        assert "Content-Length" not in answer.headers
        assert sum(len(chunk) for chunk, _ in zip(answer.iter_content(65536), range(40), strict=False)) > 1_000_000


@pytest.mark.parametrize(("fault", "promised"), [("song_length_longer", 1.1), ("song_length_shorter", 0.6)])
def test_a_wrong_length_stands_over_a_whole_song(sandbox: SandboxClient, fault: str, promised: float) -> None:
    url = song_url(sandbox)
    whole = sandbox.song(url).content
    sandbox.add_fault(fault)
    head, _, body = raw_get(url, 5).partition(b"\r\n\r\n")
    assert body == whole
    assert f"Content-Length: {int(len(whole) * promised)}".encode() in head


@pytest.mark.parametrize(("fault", "kind"), [("song_type_json", "application/json"), ("song_type_image", "image/jpeg")])
def test_a_song_can_come_by_another_name(sandbox: SandboxClient, fault: str, kind: str) -> None:
    url = song_url(sandbox)
    whole = sandbox.song(url).content
    sandbox.add_fault(fault, count=1)
    answer = sandbox.song(url)
    assert (answer.headers["Content-Type"], answer.content) == (kind, whole)


@pytest.mark.parametrize("fault", ["song_ten_hours_xing", "song_ten_hours_vbri"])
def test_a_short_song_can_claim_ten_hours(sandbox: SandboxClient, fault: str) -> None:
    url = song_url(sandbox)
    sandbox.add_fault(fault)
    data = sandbox.song(url).content
    assert len(data) < 100_000
    assert MPEGInfo(io.BytesIO(data)).length == pytest.approx(36000, abs=1)


TAGS = {
    "song_tag_inflating": 200_000,
    "song_tag_unsynchronised": 15_000_000,
    "song_tag_crowded": 3_500_000,
    "song_cover_large": 15_700_000,
}


@pytest.mark.parametrize("fault", TAGS)
def test_a_tag_can_be_a_burden(sandbox: SandboxClient, fault: str) -> None:
    url = song_url(sandbox)
    whole = sandbox.song(url).content
    sandbox.add_fault(fault)
    data = sandbox.song(url).content
    assert data.endswith(forgeries.without_tag(whole))
    assert TAGS[fault] < len(data) < 20 * 1024 * 1024, "what is over the limit would be refused for its size alone"


def test_a_tag_can_claim_more_than_there_is(sandbox: SandboxClient) -> None:
    url = song_url(sandbox)
    sandbox.add_fault("song_tag_beyond")
    with pytest.raises(MutagenError):
        MP3(io.BytesIO(sandbox.song(url).content))


def test_the_inflating_tag_inflates() -> None:
    tag = forgeries.inflating_tag(b"")
    assert len(zlib.decompress(tag[24:])) == forgeries.INFLATED_BYTES  # behind the tag's head, the frame's and its length


def test_only_mp3s_are_forged(sandbox: SandboxClient) -> None:
    sandbox.add_fault("song_ten_hours_xing")
    url = sandbox.task(submitted(sandbox, output_format="wav")).json()["song_paths"][0]
    assert sandbox.song(url).content.startswith(b"RIFF")


def test_song_redirect_leads_to_the_song_at_another_address_of_ours(sandbox: SandboxClient) -> None:
    url = song_url(sandbox)
    whole = sandbox.song(url).content
    sandbox.add_fault("song_redirect")
    answer = sandbox.song(url)
    assert [hop.status_code for hop in answer.history] == [302]
    assert answer.url == url.replace("/files/", "/moved/files/")
    assert answer.content == whole


def test_song_redirect_loop_has_no_end(sandbox: SandboxClient) -> None:
    url = song_url(sandbox)
    sandbox.add_fault("song_redirect_loop")
    with pytest.raises(requests.TooManyRedirects):
        sandbox.song(url)


@pytest.mark.parametrize("fault", ["song_redirect_forbidden", "fetch_redirect", "submit_redirect"])
def test_whoever_follows_where_nobody_may_go_is_in_the_ledger(sandbox: SandboxClient, fault: str) -> None:
    url = song_url(sandbox)
    sandbox.add_fault(fault)
    assert sandbox.trespasses() == []
    if fault == "song_redirect_forbidden":
        sandbox.song(url)
    elif fault == "fetch_redirect":
        sandbox.task(sandbox.orders()[0]["task_id"])
    else:
        sandbox.submit(ORDER)
    [trespass] = sandbox.trespasses()
    verb = "POST" if fault == "submit_redirect" else "GET"
    assert trespass["request"].startswith(f"{verb} /")
    # requests takes the header off when the port changes; others would not, and that would show here.
    assert trespass["with_key"] == 0


def test_the_trap_notes_a_key_and_a_mere_connection(sandbox: SandboxClient) -> None:
    sandbox.add_fault("fetch_redirect")
    task_id = submitted(sandbox)
    key = {"Authorization": f"Bearer {sandbox.key}"}
    answer = requests.get(f"{sandbox.url}/v1/generations/{task_id}", headers=key, allow_redirects=False, timeout=5)
    requests.get(answer.headers["Location"], headers=key, timeout=5)
    host, _, port = answer.headers["Location"].removeprefix("http://").partition("/")[0].partition(":")
    with socket.create_connection((host, int(port)), 5):
        pass
    eventually(lambda: len(sandbox.trespasses()) == 2)
    assert [(entry["request"][:4], entry["with_key"]) for entry in sandbox.trespasses()] == [("GET ", 1), ("", 0)]


# ---- tasks


def test_alignment_late_takes_its_own_time(sandbox: SandboxClient) -> None:
    sandbox.add_fault("alignment_late", seconds=0.6)
    task_id = submitted(sandbox)
    assert sandbox.task(task_id).json()["word_aligned_lyrics"] is None
    eventually(lambda: sandbox.task(task_id).json()["word_aligned_lyrics"])


def test_alignment_absent_is_as_if_it_had_not_been_asked_for(sandbox: SandboxClient) -> None:
    sandbox.add_fault("alignment_absent")
    task = sandbox.task(submitted(sandbox)).json()
    assert (task["status"], task["alignment_status"]) == ("SUCCESS", None)
    assert "word_aligned_lyrics" not in task


def test_alignment_other_keys_is_the_other_spelling_for_every_order(sandbox: SandboxClient) -> None:
    def spellings() -> list[list[str]]:
        sandbox.configure()
        return [list(sandbox.task(submitted(sandbox)).json()["word_aligned_lyrics"][0]) for _ in range(2)]

    usual = spellings()
    sandbox.reset()
    sandbox.add_fault("alignment_other_keys")
    other = spellings()
    assert usual == other[::-1]
    assert usual != other


def statuses_of(sandbox: SandboxClient, task_id: str, seconds: float) -> list[str]:
    """What is said while the task lasts, without repeats."""
    said: list[str] = []
    ends = time.monotonic() + seconds
    while time.monotonic() < ends and said[-1:] != ["SUCCESS"]:
        state = sandbox.status(task_id).json()
        if state != (said or [None])[-1]:
            said.append(state)
        time.sleep(0.01)
    return said


def test_status_unknown_says_what_nobody_documented_on_the_way(sandbox: SandboxClient) -> None:
    sandbox.configure(generate_seconds=1.5)
    sandbox.add_fault("status_unknown")
    said = statuses_of(sandbox, submitted(sandbox), 8)
    assert said[-1] == "SUCCESS"
    assert {"SUCCEEDED", "FAILED"} <= set(said) - set(tasks.STATUSES)
    assert "FAILURE" not in said


def test_status_backwards_goes_back_and_still_ends(sandbox: SandboxClient) -> None:
    sandbox.configure(generate_seconds=1.5)
    sandbox.add_fault("status_backwards")
    said = statuses_of(sandbox, submitted(sandbox), 8)
    order = [tasks.STATUSES.index(state) for state in said[:-1]]
    assert order != sorted(order)
    assert said[-1] == "SUCCESS"


def test_fetch_stale_goes_back_behind_the_end(sandbox: SandboxClient) -> None:
    sandbox.configure(generate_seconds=0.2)
    task_id = submitted(sandbox)
    eventually(lambda: sandbox.status(task_id).json() == "SUCCESS")
    sandbox.add_fault("fetch_stale", match=task_id, count=1)
    old = sandbox.task(task_id).json()
    assert (old["status"], old["song_paths"]) == ("GENERATING", [])
    assert sandbox.task(task_id).json()["status"] == "SUCCESS"


def test_fetch_no_status_is_json_that_says_nothing(sandbox: SandboxClient) -> None:
    task_id = submitted(sandbox)
    sandbox.add_fault("fetch_no_status", count=1)
    answer = sandbox.task(task_id)
    assert (answer.status_code, "status" in answer.json()) == (200, False)


def test_task_forgotten_was_known_and_never_is_again(sandbox: SandboxClient) -> None:
    sandbox.configure(generate_seconds=1)
    sandbox.add_fault("task_forgotten")
    task_id = submitted(sandbox)
    assert sandbox.task(task_id).status_code == 200
    eventually(lambda: sandbox.task(task_id).status_code == 404)
    sandbox.finish()
    assert sandbox.status(task_id).status_code == 404
    assert sandbox.orders()[0]["ended_as"] == "SUCCESS", "it is paid all the same"
    assert {strike["status"] for strike in sandbox.strikes("task_forgotten")} == {None, 404}


def test_task_forgotten_for_comes_back(sandbox: SandboxClient) -> None:
    sandbox.configure(generate_seconds=0.4)
    sandbox.add_fault("task_forgotten_for", seconds=0.6)
    task_id = submitted(sandbox)
    eventually(lambda: sandbox.task(task_id).status_code == 404)
    eventually(lambda: sandbox.task(task_id).status_code == 200)
    assert sandbox.task(task_id).json()["status"] == "SUCCESS"


# ---- balance and slots

BALANCE = {
    "balance_html": "text/html; charset=utf-8", "balance_no_fields": {}, "balance_one_field": {"num_credits_payg": 0},
    "balance_strings": {"num_credits": "15000", "num_credits_payg": "0"},
}  # fmt: skip


@pytest.mark.parametrize("fault", BALANCE)
def test_the_balance_can_be_no_balance(sandbox: SandboxClient, fault: str) -> None:
    sandbox.add_fault(fault, count=1)
    answer = sandbox.balance()
    said = answer.json() if answer.headers["Content-Type"] == "application/json" else answer.headers["Content-Type"]
    assert (answer.status_code, said) == (200, BALANCE[fault])
    assert sandbox.balance().json()["num_credits"] == 15000


def test_slots_fewer_refuses_above_its_own_number_for_its_own_time(sandbox: SandboxClient) -> None:
    sandbox.configure(generate_seconds=60)
    sandbox.add_fault("slots_fewer", number=2, for_seconds=1.5)
    assert [sandbox.submit(ORDER).status_code for _ in range(4)] == [200, 200, 429, 429]
    ledger = sandbox.ledger()
    assert [refusal["faults"] for refusal in ledger["refusals"]] == [["slots_fewer"]] * 2
    assert [(strike["fault"], strike["status"]) for strike in ledger["strikes"]] == [("slots_fewer", 429)] * 2
    assert [(fault["seen"], fault["hits"]) for fault in sandbox.faults()] == [(2, 2)]
    time.sleep(1.6)
    assert [sandbox.submit(ORDER).status_code for _ in range(9)] == [200] * 8 + [429]
    assert sandbox.ledger()["refusals"][-1]["faults"] == []


# ---- webhooks


def test_webhook_per_status_tells_each_in_order(sandbox: SandboxClient, told: tuple[str, list[dict[str, Any]]]) -> None:
    url, bodies = told
    sandbox.configure(generate_seconds=2)
    sandbox.add_fault("webhook_per_status")
    task_id = submitted(sandbox, webhook_url=url)
    eventually(lambda: len(bodies) == len(tasks.STATUSES) + 1)
    assert [body["status"] for body in bodies] == [*tasks.STATUSES, "SUCCESS"]
    assert bodies[0] == {"task_id": task_id, "status": "RECEIVED"}
    assert [call["said"] for call in sandbox.orders()[0]["webhook_deliveries"]] == [*tasks.STATUSES, "SUCCESS"]


def test_webhook_shuffled_tells_the_end_first(sandbox: SandboxClient, told: tuple[str, list[dict[str, Any]]]) -> None:
    url, bodies = told
    sandbox.configure(generate_seconds=2)
    sandbox.add_fault("webhook_shuffled")
    task_id = submitted(sandbox, webhook_url=url)
    eventually(lambda: bodies)
    assert (bodies[0]["status"], sandbox.status(task_id).json() in tasks.STATUSES) == ("SUCCESS", True)
    eventually(lambda: len(bodies) == len(tasks.STATUSES) + 1)
    assert {body["status"] for body in bodies} == {*tasks.STATUSES, "SUCCESS"}
    assert [body["status"] for body in bodies[1:]] != list(tasks.STATUSES)


def test_webhook_late_keeps_its_distance_to_the_end(sandbox: SandboxClient, told: tuple[str, list[dict[str, Any]]]) -> None:
    url, bodies = told
    sandbox.configure(generate_seconds=60)
    sandbox.add_fault("webhook_late", seconds=0.7)
    submitted(sandbox, webhook_url=url)
    sandbox.finish()
    ended = time.monotonic()
    eventually(lambda: bodies)
    assert time.monotonic() - ended >= 0.5


def test_webhook_repeated_says_the_same_again_and_again(
    sandbox: SandboxClient, told: tuple[str, list[dict[str, Any]]]
) -> None:
    url, bodies = told
    sandbox.add_fault("webhook_repeated", number=4, seconds=0.2)
    submitted(sandbox, webhook_url=url)
    eventually(lambda: len(bodies) == 4)
    assert all(body == bodies[0] for body in bodies)
    calls = [call["at"] for call in sandbox.orders()[0]["webhook_deliveries"]]
    assert calls[-1] - calls[0] >= 0.5


# ---- shares, schedules, the ledger


def test_the_ledger_has_every_strike_with_its_request_and_its_order(sandbox: SandboxClient) -> None:
    task_id = submitted(sandbox)
    url = sandbox.task(task_id).json()["song_paths"][0]
    for name in ("fetch_500", "song_404", "balance_html", "song_redirect"):
        sandbox.add_fault(name, count=1)
    sandbox.task(task_id)
    sandbox.song(url)
    sandbox.song(url)
    sandbox.balance()
    ledger = sandbox.ledger()
    strikes = [tuple(entry[name] for name in ("fault", "path", "task_id", "status")) for entry in ledger["strikes"]]
    song, task = f"/files/audio_{task_id}_0.mp3", f"/v1/generations/{task_id}"
    assert strikes == [
        ("fetch_500", task, task_id, 500), ("song_404", song, task_id, 404), ("song_redirect", song, task_id, 302),
        ("balance_html", "/v1/credits/balance", "", 200),
    ]  # fmt: skip
    assert ledger["orders"][0]["faults"] == ["fetch_500", "song_404", "song_redirect"]


def test_a_dropped_request_is_in_the_ledger_whatever_it_asked_for(sandbox: SandboxClient) -> None:
    task_id = submitted(sandbox)
    sandbox.add_fault("outage")
    for call in (lambda: sandbox.submit(ORDER), lambda: sandbox.task(task_id), sandbox.balance):
        with pytest.raises(requests.ConnectionError):
            call()
    assert [(entry["method"], entry["task_id"], entry["status"]) for entry in sandbox.strikes("outage")] == [
        ("POST", "", 0), ("GET", task_id, 0), ("GET", "", 0)
    ]  # fmt: skip
    [refusal] = sandbox.ledger()["refusals"]
    assert (refusal["status"], refusal["faults"]) == (0, ["outage"])


def test_what_stands_behind_an_answer_does_not_strike(sandbox: SandboxClient) -> None:
    for name in ("submit_500", "submit_429"):
        sandbox.add_fault(name)
    assert sandbox.submit(ORDER).status_code == 500
    assert [fault["hits"] for fault in sandbox.faults()] == [1, 0]


def test_strikes_outlive_a_kill(sandbox: SandboxClient, server: SandboxServer) -> None:
    sandbox.add_fault("balance_500")
    sandbox.balance()
    server.kill()
    server.restart()
    assert len(server.client.strikes("balance_500")) == 1


def test_a_memory_from_before_there_was_a_ledger_of_strikes_still_opens(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "sandbox.db") as old:
        old.execute("CREATE TABLE refusals (at REAL NOT NULL, status INTEGER NOT NULL, reason TEXT NOT NULL, prompt TEXT)")
        old.execute("INSERT INTO refusals VALUES (1.0, 429, 'too many', 'a song')")
    old.close()
    for _start in range(2):
        store = Store(tmp_path / "sandbox.db")
        record = Ledger(store).record(2.0)
        store.close()
        refused = {"at": 1.0, "status": 429, "reason": "too many", "prompt": "a song", "faults": []}
        assert (record["refusals"], record["strikes"]) == ([refused], [])


def test_add_shares_adds_every_sensible_fault_but_the_excluded(sandbox: SandboxClient) -> None:
    numbers = sandbox.add_shares(0.05, exclude=["failure", "submit_402"], for_seconds=60)
    added = sandbox.faults()
    assert len(numbers) == len(added) == len(SHARED) - 2
    assert {fault["fault"] for fault in added} == set(SHARED) - {"failure", "submit_402"}
    assert {fault["share"] for fault in added} == {0.05}
    assert set(FAULTS) - set(SHARED) == {"outage", "outage_503", "slow", "task_forgotten", "song_slow", "song_drip"}


def test_add_shares_refuses_to_exclude_what_there_is_not(sandbox: SandboxClient) -> None:
    with pytest.raises(SandboxError, match="earthquake"):
        sandbox.add_shares(0.05, exclude=["earthquake"])


def test_a_share_of_everything_strikes_some_and_spares_most(sandbox: SandboxClient) -> None:
    sandbox.configure(slots=1000, credits=10**6)
    sandbox.add_shares(0.02, exclude=[name for name in SHARED if FAULTS[name].point != "order"])
    for _ in range(60):
        submitted(sandbox)
    hit = [order for order in sandbox.orders() if order["faults"]]
    assert 5 <= len(hit) <= 45


@pytest.mark.parametrize("wrong", [{"fault": "slots_fewer", "number": -1}, {"fault": "slots_fewer", "number": "two"}])
def test_a_wrong_number_is_refused_by_name(server: SandboxServer, sandbox: SandboxClient, wrong: dict[str, Any]) -> None:
    with pytest.raises(SandboxError, match="number"):
        server.set_faults(wrong)
