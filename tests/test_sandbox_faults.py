"""Faults of the stand-in by what a client sees of them; see also test_sandbox_webhooks.py and test_sandbox_misbehaviour.py."""

import subprocess
import time
from collections.abc import Iterator

import pytest
import requests

from scripts.sandbox.client import SandboxClient, SandboxError
from scripts.sandbox.faults import FAULTS
from scripts.sandbox.server import SandboxServer, start
from scripts.sandbox.tunes import find_ffmpeg

ORDER = {"prompt": "a song for Bo", "tags": ["pop"], "output_format": "mp3", "align_lyrics": True}
JSON, HTML = "application/json", "text/html; charset=utf-8"


@pytest.fixture(scope="module")
def server() -> Iterator[SandboxServer]:
    with start(generate_seconds=0, align_seconds=0, song_seconds=4) as server:
        yield server


@pytest.fixture
def sandbox(server: SandboxServer) -> SandboxClient:
    server.client.reset()
    return server.client


def submitted(sandbox: SandboxClient, **more: object) -> str:
    answer = sandbox.submit({**ORDER, **more})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["task_id"])


def song_url(sandbox: SandboxClient) -> str:
    return str(sandbox.task(submitted(sandbox)).json()["song_paths"][0])


def seen(answer: requests.Response) -> tuple[int, str]:
    return answer.status_code, answer.headers["Content-Type"]


SUBMIT = {
    "submit_400": (400, JSON),
    "submit_401": (401, JSON),
    "submit_402": (402, JSON),
    "submit_429": (429, JSON),
    "submit_500": (500, JSON),
    "submit_503_html": (503, HTML),
    "submit_html_200": (200, HTML),
    "refuse_tags": (422, JSON),
}
FETCH = {
    "fetch_404": (404, JSON),
    "fetch_500": (500, JSON),
    "fetch_503_html": (503, HTML),
    "fetch_html_200": (200, HTML),
}
SONG = {
    "song_404": (404, JSON),
    "song_410": (410, JSON),
    "song_500": (500, JSON),
    "song_html": (200, HTML),
    "song_text": (200, "audio/mpeg"),
}


@pytest.mark.parametrize("fault", SUBMIT)
def test_a_refusing_fault_accepts_nothing_charges_nothing_and_is_noted(sandbox: SandboxClient, fault: str) -> None:
    sandbox.add_fault(fault, count=1)
    answer = sandbox.submit(ORDER)
    assert seen(answer) == SUBMIT[fault]
    assert ("detail" in answer.text) is (SUBMIT[fault][1] == JSON)
    [refusal] = sandbox.ledger()["refusals"]
    assert (refusal["status"], refusal["reason"], refusal["prompt"]) == (answer.status_code, fault, ORDER["prompt"])
    assert (sandbox.summary()["accepted"], sandbox.summary()["credits_left"]) == (0, 15000)
    submitted(sandbox)


def test_refuse_tags_lets_the_prompt_alone_through(sandbox: SandboxClient) -> None:
    sandbox.add_fault("refuse_tags")
    assert sandbox.submit(ORDER).json()["detail"].startswith("Invalid tags: ")
    assert sandbox.submit({"prompt": "a song for Bo"}).status_code == 200


def test_answer_lost_charges_the_order_and_closes_without_a_byte(sandbox: SandboxClient) -> None:
    sandbox.add_fault("answer_lost", count=1)
    with pytest.raises(requests.ConnectionError, match="without response"):
        sandbox.submit(ORDER)
    [order] = sandbox.orders()
    assert (order["faults"], order["ended_as"]) == (["answer_lost"], "SUCCESS")
    assert sandbox.summary()["credits_left"] == 14900


def test_submit_html_200_accepted_charges_the_order(sandbox: SandboxClient) -> None:
    sandbox.add_fault("submit_html_200_accepted")
    assert seen(sandbox.submit(ORDER)) == (200, HTML)
    assert sandbox.summary()["accepted"] == 1


def test_answer_slow_accepts_at_once_and_answers_late(sandbox: SandboxClient) -> None:
    sandbox.add_fault("answer_slow", seconds=0.6)
    began = time.time()
    submitted(sandbox)
    assert time.time() - began >= 0.6
    assert sandbox.orders()[0]["accepted_at"] - began < 0.5


def test_slow_takes_its_own_time(sandbox: SandboxClient) -> None:
    sandbox.add_fault("slow", match="Bo", seconds=60)
    assert sandbox.status(submitted(sandbox)).json() != "SUCCESS"
    assert sandbox.status(submitted(sandbox, prompt="a song for Rex")).json() == "SUCCESS"


def test_failure_ends_in_failure(sandbox: SandboxClient) -> None:
    sandbox.add_fault("failure")
    assert sandbox.task(submitted(sandbox)).json()["status"] == "FAILURE"
    assert sandbox.summary()["credits_left"] == 15000


def test_song_paths_can_be_empty_or_without_a_host(sandbox: SandboxClient) -> None:
    sandbox.add_fault("song_paths_empty", count=1)
    sandbox.add_fault("song_paths_relative", match="Rex")
    assert sandbox.task(submitted(sandbox)).json()["song_paths"] == []
    task_id = submitted(sandbox, prompt="a song for Rex")
    assert sandbox.task(task_id).json()["song_paths"] == [f"/files/audio_{task_id}_0.mp3"]
    assert sandbox.song(f"{sandbox.url}/files/audio_{task_id}_0.mp3").status_code == 200


def test_alignment_can_fail_or_never_end(sandbox: SandboxClient) -> None:
    sandbox.add_fault("alignment_failed", count=1)
    failed = sandbox.task(submitted(sandbox)).json()
    sandbox.add_fault("alignment_never")
    endless = sandbox.task(submitted(sandbox)).json()
    assert (failed["status"], failed["alignment_status"], failed["word_aligned_lyrics"]) == ("SUCCESS", "FAILURE", None)
    assert (endless["alignment_status"], endless["word_aligned_lyrics"]) == ("ALIGNING", None)


@pytest.mark.parametrize("fault", FETCH)
def test_a_fault_of_fetching_strikes_both_calls_about_a_task(sandbox: SandboxClient, fault: str) -> None:
    task_id = submitted(sandbox)
    sandbox.add_fault(fault, match=task_id, count=2)
    assert [seen(sandbox.task(task_id)), seen(sandbox.status(task_id))] == [FETCH[fault]] * 2
    assert sandbox.task(task_id).json()["status"] == "SUCCESS"


def test_fetch_slow_answers_rightly_but_late(sandbox: SandboxClient) -> None:
    task_id = submitted(sandbox)
    sandbox.add_fault("fetch_slow", seconds=0.5)
    began = time.monotonic()
    assert sandbox.status(task_id).json() == "SUCCESS"
    assert time.monotonic() - began >= 0.5


def test_balance_500(sandbox: SandboxClient) -> None:
    sandbox.add_fault("balance_500", count=1)
    assert [seen(sandbox.balance())[0], seen(sandbox.balance())[0]] == [500, 200]


@pytest.mark.parametrize("fault", SONG)
def test_a_song_can_be_missing_or_no_song(sandbox: SandboxClient, fault: str) -> None:
    url = song_url(sandbox)
    sandbox.add_fault(fault, count=1)
    answer = sandbox.song(url)
    assert seen(answer) == SONG[fault]
    assert answer.content[:3] not in (b"ID3", b"\xff\xfb\x90")
    assert len(sandbox.song(url).content) > 90_000


def test_song_cut_breaks_off_before_what_it_promised(sandbox: SandboxClient) -> None:
    url = song_url(sandbox)
    sandbox.add_fault("song_cut")
    with pytest.raises(requests.exceptions.ChunkedEncodingError, match="more expected"):
        sandbox.song(url)


def test_song_truncated_is_an_honest_length_of_a_song_that_claims_more(sandbox: SandboxClient) -> None:
    url = song_url(sandbox)
    whole = sandbox.song(url).content
    sandbox.add_fault("song_truncated")
    answer = sandbox.song(url)
    assert int(answer.headers["Content-Length"]) == len(answer.content) == len(whole) * 6 // 10
    assert whole.startswith(answer.content)
    argv = [find_ffmpeg(), "-v", "error", "-f", "mp3", "-i", "pipe:0", "-ac", "1", "-ar", "8000", "-f", "s16le", "-"]
    decoded = subprocess.run(argv, input=answer.content, capture_output=True, timeout=60)
    assert decoded.returncode == 0, "the trap is that it decodes without complaint"
    assert len(decoded.stdout) / 2 / 8000 == pytest.approx(2.4, abs=0.1)


def test_song_slow_drips_but_is_whole(sandbox: SandboxClient) -> None:
    url = song_url(sandbox)
    whole = sandbox.song(url).content
    sandbox.add_fault("song_slow", seconds=1)
    began = time.monotonic()
    assert sandbox.song(url).content == whole
    assert time.monotonic() - began >= 0.9


def test_an_outage_closes_every_connection_and_passes(sandbox: SandboxClient) -> None:
    url = song_url(sandbox)
    sandbox.add_fault("outage", for_seconds=0.6)
    for call in (lambda: sandbox.submit(ORDER), sandbox.balance, lambda: sandbox.song(url)):
        with pytest.raises(requests.ConnectionError, match="without response"):
            call()
    assert sandbox.summary()["refused"] == {"0": 1}
    time.sleep(0.7)
    submitted(sandbox)


def test_outage_503_answers_everything_with_a_detail(sandbox: SandboxClient) -> None:
    url = song_url(sandbox)
    sandbox.add_fault("outage_503")
    for answer in (sandbox.submit(ORDER), sandbox.balance(), sandbox.task("x"), sandbox.song(url)):
        assert (seen(answer), answer.json()) == ((503, JSON), {"detail": "Service unavailable"})
    assert sandbox.summary()["accepted"] == 1


def test_faults_can_begin_later(sandbox: SandboxClient) -> None:
    sandbox.add_fault("submit_500", from_seconds=0.5)
    submitted(sandbox)
    time.sleep(0.6)
    assert sandbox.submit(ORDER).status_code == 500


def test_a_share_takes_its_part_and_the_same_one_every_time(sandbox: SandboxClient) -> None:
    def statuses() -> list[int]:
        sandbox.reset()
        sandbox.add_fault("submit_500", share=0.3)
        return [sandbox.submit(ORDER).status_code for _ in range(60)]

    first = statuses()
    assert 6 <= first.count(500) <= 30
    assert statuses() == first


def test_several_faults_meet_in_one_order(sandbox: SandboxClient) -> None:
    sandbox.add_fault("failure")
    sandbox.add_fault("slow")
    sandbox.add_fault("answer_lost")
    with pytest.raises(requests.ConnectionError):
        sandbox.submit(ORDER)
    sandbox.finish()
    [order] = sandbox.orders()
    assert (order["faults"], order["ended_as"]) == (["failure", "slow", "answer_lost"], "FAILURE")


def test_faults_are_listed_with_their_hits_and_cleared(sandbox: SandboxClient) -> None:
    number = sandbox.add_fault("failure", match="Bo", count=1)
    submitted(sandbox)
    submitted(sandbox)
    [fault] = sandbox.faults()
    assert (fault["id"], fault["fault"], fault["seen"], fault["hits"]) == (number, "failure", 2, 1)
    sandbox.clear_faults()
    assert sandbox.faults() == []


def test_set_faults_replaces_those_before(server: SandboxServer, sandbox: SandboxClient) -> None:
    server.set_faults("failure")
    server.set_faults("slow", {"fault": "song_cut", "count": 2})
    assert [fault["fault"] for fault in sandbox.faults()] == ["slow", "song_cut"]


@pytest.mark.parametrize(
    "wrong", [{"fault": "flood"}, {"fault": "failure", "share": 2}, {"fault": "outage", "match": "Bo"}]
)
def test_a_wrong_fault_is_refused_by_name(server: SandboxServer, sandbox: SandboxClient, wrong: dict[str, str]) -> None:
    with pytest.raises(SandboxError, match="flood|share|outage"):
        server.set_faults(wrong)


def test_controls_are_not_struck_by_an_outage(sandbox: SandboxClient) -> None:
    sandbox.add_fault("outage")
    assert sandbox.ledger()["orders"] == []
    sandbox.clear_faults()
    submitted(sandbox)


def test_every_fault_has_its_point_and_its_words() -> None:
    points = {"any", "submit", "tags", "slots", "order", "answer", "fetch", "balance", "file"}
    assert {fault.point for fault in FAULTS.values()} == points
    assert all(fault.what for fault in FAULTS.values())
