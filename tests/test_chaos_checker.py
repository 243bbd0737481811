"""The drill's judge: silent about a record in which all is right, and each check speaks when what it guards is broken."""
import base64
import random
import zlib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy
import pytest

from scripts.chaos_run import canaries
from scripts.chaos_run.campaign import letters, make_form
from scripts.chaos_run.checker import CHECKS, judge, peak_concurrent
from scripts.chaos_run.hearing import RATE, Heard, loudest_tone
from scripts.chaos_run.records import Records, Told
from scripts.chaos_run.watch import FileWatch, unpacked

NOON = datetime(2030, 2, 14, 12, tzinfo=UTC)


def submission(number: int, stage: str = "done") -> dict[str, Any]:
    name = f"row{number}"
    files = {"generated_song_path": f"audio/{name}.3.mp3", "generated_video_path": f"video/{name}.4.mp4"}
    return {
        "session_id": name, "pet_name": f"Pet {letters(number)}", "stage": stage, "claim_no": 4, "lease_until": None,
        "lease_holder": None, "entry_status": {"done": "success", "failed": "fail"}.get(stage, "processing"),
        "photo_path": f"uploads/{name}.jpg", "LLM_task_id": f"task{number}", "audio_seconds": 12.0,
        **(files if stage == "done" else dict.fromkeys(files)),
    }


def events(number: int) -> list[dict[str, Any]]:
    way = ["queued", "sending", "generating", "downloading", "rendering", "done"]
    pairs = [("queued", "queued"), *zip(way, way[1:], strict=False)]
    return [
        {"id": 10 * number + at, "session_id": f"row{number}", "from_stage": was, "to_stage": to, "claim_no": max(0, at - 1)}
        for at, (was, to) in enumerate(pairs)
    ]


def attempt(number: int, /, **values: Any) -> dict[str, Any]:
    return {
        "session_id": f"row{number}", "number": 1, "token": f"token{number}", "flagged": False, "call_started_at": NOON,
        "outcome": "accepted", "task_id": f"task{number}", "ended_at": NOON, "ended_as": "success", "credits": 100, **values,
    }


def order(number: int, **values: Any) -> dict[str, Any]:
    return {
        "task_id": f"task{number}", "webhook_url": f"http://127.0.0.1:1/api/webhook/token{number}", "accepted_at": 5.0 * number,
        "ended_at": 5.0 * number + 4, "ended_as": "SUCCESS", "credits": 100, "tone_hz": 250.0 + 15 * number, **values,
    }


def all_is_well() -> Records:
    """Two visitors and their songs."""
    r = Records()
    for number in (1, 2):
        name, who = f"row{number}", f"Pet {letters(number)}"
        keys = [f"uploads/{name}.jpg", f"audio/{name}.3.mp3", f"video/{name}.4.mp4", f"video/{name}.4.poster.jpg"]
        r.submissions.append(submission(number))
        r.events += events(number)
        r.attempts.append(attempt(number))
        r.renditions.append({"session_id": name, "path": keys[3]})
        r.ledger["orders"].append(order(number))
        r.disk |= {key: f"sum of {key}" for key in keys}
        r.heard[keys[2]] = Heard(250.0 + 15 * number, 12.0, 60)
        r.told += [
            Told(0, who, "submit", 503, "unavailable"), Told(0, who, "submit", 0, "ConnectionError"),
            Told(1, who, "submit", 200, "", name), Told(2, who, "status", 200, "", name, "pending"),
            Told(3, who, "status", 200, "", name, "success"), Told(4, who, "result", 200, "", name, "success"),
            Told(5, who, "video", 200, "", name, f"sum of {keys[2]}"),
        ]
    return r


def test_a_record_in_which_all_is_right_gives_no_finding() -> None:
    assert judge(all_is_well()) == {name: [] for name in CHECKS}


def a_told_song_without_a_row(r: Records) -> None:
    r.told.append(Told(9, "Pet Aax", "submit", 200, "", "row9"))


def a_known_song_is_answered_404(r: Records) -> None:
    r.told.append(Told(9, "Pet Aab", "status", 404, "session_not_found", "row1"))


def a_second_song_for_one_form(r: Records) -> None:
    r.told.append(Told(9, "Pet Aab", "submit", 200, "", "row2"))


def a_row_that_nobody_was_told_of_twice(r: Records) -> None:
    r.submissions[1]["pet_name"] = r.submissions[0]["pet_name"]


def a_row_that_never_ended(r: Records) -> None:
    r.submissions[0] |= {"stage": "rendering"}
    r.events = [event for event in r.events if (event["session_id"], event["to_stage"]) != ("row1", "done")]
    r.told = [one for one in r.told if one.session_id != "row1" or one.status == "pending"]


def a_second_end(r: Records) -> None:
    r.events.append({"id": 99, "session_id": "row1", "from_stage": "done", "to_stage": "failed", "claim_no": 4})


def an_end_without_an_event(r: Records) -> None:
    r.events = [event for event in r.events if (event["session_id"], event["to_stage"]) != ("row1", "done")]


def an_end_that_clients_saw_move(r: Records) -> None:
    r.told.append(Told(9, "Pet Aab", "status", 200, "", "row1", "processing"))


def an_end_that_is_another_one_now(r: Records) -> None:
    r.told[4] = Told(3, "Pet Aab", "status", 200, "", "row1", "fail")


def an_end_by_a_replaced_worker(r: Records) -> None:
    r.submissions[0]["claim_no"] = 5


def a_late_write_by_a_replaced_worker(r: Records) -> None:
    r.events[3]["claim_no"] = 4


def an_attempt_ordered_twice(r: Records) -> None:
    r.ledger["orders"].append(order(1, task_id="task8"))


def a_second_order_without_a_flag(r: Records) -> None:
    r.attempts.append(attempt(1, number=2, token="token8", task_id="task8"))
    r.ledger["orders"].append(order(8))


def an_order_of_nobody(r: Records) -> None:
    r.ledger["orders"].append(order(8))


def an_order_that_the_service_denies(r: Records) -> None:
    r.ledger["orders"] = r.ledger["orders"][:1]


def a_refused_attempt_with_an_order(r: Records) -> None:
    r.attempts[0] |= {"outcome": "refused", "ended_as": "refused"}


def a_paid_song_given_up(r: Records) -> None:
    r.attempts[0] |= {"ended_as": "timeout", "credits": 0}


def a_wrong_price(r: Records) -> None:
    r.attempts[0]["credits"] = 200


def one_song_too_many_at_once(r: Records) -> None:
    r.slots = 1
    r.ledger["orders"][1]["accepted_at"] = 8.9


def another_rows_task(r: Records) -> None:
    r.submissions[0]["LLM_task_id"] = "task2"


def another_songs_sound(r: Records) -> None:
    r.heard["video/row1.4.mp4"] = Heard(280.0, 12.0, 60)


def a_short_video(r: Records) -> None:
    r.heard["video/row1.4.mp4"] = Heard(265.0, 12.0, 57)


def a_silent_end(r: Records) -> None:
    r.heard["video/row1.4.mp4"] = Heard(265.0, 11.5, 60)


def a_video_that_breaks_off(r: Records) -> None:
    r.heard["video/row1.4.mp4"] = Heard(265.0, 12.0, 60, "partial file")


def another_video_for_the_client(r: Records) -> None:
    r.disk["video/row1.4.mp4"] = "another sum"


def a_file_of_nobody(r: Records) -> None:
    r.disk["audio/row1.2.mp3"] = "sum"


def a_temporary_file(r: Records) -> None:
    r.disk["video/.tmp-0001"] = "sum"


def a_row_without_its_poster(r: Records) -> None:
    del r.disk["video/row2.4.poster.jpg"]


def a_file_that_grew(r: Records) -> None:
    r.changed.append("video/row1.4.mp4")


def a_process(r: Records) -> None:
    r.processes.append("4711 ffmpeg")


def a_lease(r: Records) -> None:
    r.submissions[0] |= {"lease_until": NOON, "lease_holder": "pool:4711"}


def a_slot(r: Records) -> None:
    r.attempts[0] |= {"ended_at": None, "ended_as": None}


def a_crash(r: Records) -> None:
    r.told.append(Told(9, "Pet Aab", "status", 500, "server_error", "row1"))


def a_503_of_no_known_kind(r: Records) -> None:
    r.told.append(Told(9, "Pet Aab", "video", 503, "", "row1"))


def a_visitor_turned_away(r: Records) -> None:
    r.told.append(Told(9, "Pet Aax", "submit", 429, "too_many_requests"))


def a_name_in_a_log(r: Records) -> None:
    r.leaks.append("a pet's name in web.log")


BREAKS: dict[str, list[Callable[[Records], None]]] = {
    "lost": [a_told_song_without_a_row, a_known_song_is_answered_404],
    "accepted_twice": [a_second_song_for_one_form, a_row_that_nobody_was_told_of_twice],
    "not_ended": [a_row_that_never_ended],
    "ended_twice": [a_second_end, an_end_without_an_event],
    "end_moved": [an_end_that_clients_saw_move, an_end_that_is_another_one_now],
    "unfenced": [an_end_by_a_replaced_worker, a_late_write_by_a_replaced_worker],
    "paid_twice": [an_attempt_ordered_twice, a_second_order_without_a_flag],
    "ledger_differs": [
        an_order_of_nobody, an_order_that_the_service_denies, a_refused_attempt_with_an_order, a_paid_song_given_up,
        a_wrong_price,
    ],
    "over_slots": [one_song_too_many_at_once],
    "wrong_song": [another_rows_task, another_songs_sound],
    "video_broken": [a_short_video, a_silent_end, a_video_that_breaks_off, another_video_for_the_client],
    "file_or_row_missing": [a_file_of_nobody, a_temporary_file, a_row_without_its_poster],
    "file_changed": [a_file_that_grew],
    "left_over": [a_process, a_lease, a_slot],
    "server_error": [a_crash, a_503_of_no_known_kind],
    "turned_away": [a_visitor_turned_away],
    "canary": [a_name_in_a_log],
}
CASES = [(name, broken) for name, ways in BREAKS.items() for broken in ways]


@pytest.mark.parametrize("name, broken", CASES, ids=[broken.__name__ for _, broken in CASES])
def test_the_judge_objects_to(name: str, broken: Callable[[Records], None]) -> None:
    records = all_is_well()
    broken(records)
    assert judge(records)[name], judge(records)


def test_no_check_is_without_a_case() -> None:
    assert set(BREAKS) == set(CHECKS)


def test_what_the_rules_allow_is_no_finding() -> None:
    r = all_is_well()
    # Two orders, the second flagged, because nobody knew of the first; it came late and is known by now.
    r.attempts.append(attempt(1, number=2, token="token8", task_id="task8", flagged=True))
    r.ledger["orders"].append(order(8))
    # An order whose answer and webhook were lost, beside one that ended.
    r.attempts.append(attempt(2, number=2, token="token9", task_id=None, outcome="unknown", ended_at=None, ended_as=None,
                              flagged=True))
    r.ledger["orders"].append(order(9))
    # A failed song, given back by the service.
    r.submissions.append(submission(3, "failed"))
    r.disk["uploads/row3.jpg"] = "sum"
    r.events += [event for event in events(3) if event["to_stage"] in ("queued", "sending", "generating")]
    r.events.append({"id": 39, "session_id": "row3", "from_stage": "generating", "to_stage": "failed", "claim_no": 4})
    r.attempts.append(attempt(3, ended_as="failure", credits=0))
    r.ledger["orders"].append(order(3, ended_as="FAILURE", credits=0))
    assert judge(r) == {name: [] for name in CHECKS}


def test_the_peak_counts_an_end_before_a_beginning_of_the_same_moment() -> None:
    assert peak_concurrent([order(1), order(1, accepted_at=9.0, ended_at=None)]) == 1
    assert peak_concurrent([order(1), order(1, accepted_at=8.9, ended_at=None)]) == 2


@pytest.mark.parametrize("hertz", [265.0, 1000.0, 3550.0])
def test_a_tone_is_heard_within_a_hertz_through_noise(hertz: float) -> None:
    times = numpy.arange(12 * RATE) / RATE
    noise = numpy.random.default_rng(1).normal(0, 800, len(times))
    wave = (8000 * numpy.sin(2 * numpy.pi * hertz * times) + noise).astype("<i2")
    assert abs(loudest_tone(wave.tobytes()) - hertz) < 1
    assert loudest_tone(b"\0\0" * 12 * RATE) == 0.0


def test_a_file_that_changes_under_its_name_is_seen_and_a_new_or_removed_one_is_not(tmp_path: Path) -> None:
    watch = FileWatch({"video": tmp_path})
    (tmp_path / "a.mp4").write_bytes(b"whole")
    (tmp_path / ".tmp-1").write_bytes(b"h")
    watch.look()
    (tmp_path / ".tmp-1").write_bytes(b"half")
    (tmp_path / "b.mp4").write_bytes(b"half")
    watch.look()
    (tmp_path / "a.mp4").unlink()
    (tmp_path / "b.mp4").write_bytes(b"now whole")
    watch.look()
    assert watch.changed == ["video/b.mp4"]


def test_canaries_are_found_in_plain_and_in_packed_text(tmp_path: Path) -> None:
    token = "0f" * 32
    log, seen = tmp_path / "web.log", tmp_path / "redis-seen.txt"
    log.write_bytes(b'{"path": "/api"}\nhello quokkazel aaa\nPOST /api/webhook/' + token.encode() + b"\n" + b"ab" * 32 + b"\n")
    seen.write_bytes(b'"photo": "/9j/4AAQSkZJRg"\nkey sk_secret_1\n')
    found = canaries.search([log, seen], canaries.needles({"API_KEY": "sk_secret_1"}), [token])
    assert sorted(found) == sorted([
        "a pet's name in web.log, line 2, 1 times", "a webhook's token in web.log, line 3, 1 times",
        "a photo, as b'/9j/' in redis-seen.txt, line 1, 1 times", "API_KEY in redis-seen.txt, line 2, 1 times",
    ])


def test_what_rq_packs_is_unpacked() -> None:
    packed = zlib.compress(b"Quokkazel")
    assert (unpacked(packed), unpacked(base64.b64encode(packed)), unpacked(b"plain")) == (b"Quokkazel", b"Quokkazel", b"")


def test_visitors_have_names_of_letters_that_differ_and_the_same_ones_for_the_same_seed() -> None:
    names = [letters(number) for number in range(1000)]
    assert len(set(names)) == 1000 and all(name.isalpha() for name in names)
    first, second = (make_form(7, random.Random(3)) for _ in range(2))
    assert first == second
