"""A service that lies, drags, forgets and leads astray: each song ends in done, or in failed with its own reason."""

from functools import partial

import pytest

import jobs.collect
import kit
from petsong.models import CreditReading
from pipeline import World, wait_until
from scripts.sandbox.faults import FAULTS
from test_pipeline_faults import LOUD as LOUD_BEFORE
from test_pipeline_faults import QUIET as QUIET_BEFORE
from test_pipeline_faults import SECOND, SETTINGS, WORKERS, Case, expected, once, outcome

pytest_plugins = "pipeline_fixtures"
pytestmark = pytest.mark.slow

SQLITE = pytest.mark.parametrize("world", ["sqlite"], indirect=True)
UNREACHABLE = {"reason": "download_unreachable", "kind": "too_long"}

# They make the service look broken for everybody, so each has the pipeline to itself.
LOUD = [
    once("submit_redirect", flagged=1),
    Case("balance_one_field"),
    Case("song_drip", options={"seconds": 0.05}, **UNREACHABLE),
    Case("song_slow", options={"seconds": 30}, **UNREACHABLE),
    Case("song_redirect_loop", **UNREACHABLE),
]
# Of these readings of the balance some go wrong all the time, and nobody may notice.
BALANCE = ("balance_html", "balance_no_fields", "balance_one_field", "balance_strings")
# Each concerns its own song only: all of them are one campaign. What is beside them takes a second.
QUIET = [
    Case("alignment_late", options={"seconds": 1}),
    Case("alignment_absent"),
    Case("alignment_other_keys"),
    Case("status_unknown", beside=("slow",)),
    Case("status_backwards", beside=("slow",)),
    Case("task_forgotten", reason="timeout", kind="too_long"),
    Case("task_forgotten", beside=("slow",), reason="timeout", kind="too_long"),
    Case("task_forgotten_for", beside=("slow",), options={"seconds": 1}),
    Case("fetch_stale", options={"share": 0.5}),
    Case("fetch_no_status", options={"count": 3}),
    Case("fetch_redirect", options={"count": 3}),
    Case("webhook_per_status", beside=("slow",)),
    Case("webhook_shuffled", beside=("slow",)),
    Case("webhook_late", options={"seconds": 8}),
    Case("webhook_repeated", options={"seconds": 0.2, "number": 6}),
    Case("song_endless", reason="download_too_large"),
    Case("song_length_longer", reason="download_cut"),
    once("song_length_longer"),
    Case("song_length_shorter", reason="audio_cut"),
    once("song_length_shorter"),
    Case("song_type_json", reason="download_not_audio"),
    Case("song_type_image", reason="download_not_audio"),
    once("song_type_image"),
    Case("song_ten_hours_xing", reason="audio_cut"),
    Case("song_ten_hours_vbri", reason="audio_cut"),
    Case("song_tag_beyond", reason="audio_undecodable"),
    Case("song_tag_inflating"),
    Case("song_tag_unsynchronised"),
    Case("song_tag_crowded"),
    Case("song_cover_large"),
    Case("song_redirect"),
    Case("song_redirect_forbidden", reason="download_forbidden_host"),
    once("song_redirect_forbidden"),
]


def test_no_fault_of_the_stand_in_is_forgotten() -> None:
    tried = {case.fault for case in (*LOUD_BEFORE, *QUIET_BEFORE, *LOUD, *QUIET)}
    assert tried | {"slots_fewer", *BALANCE} == set(FAULTS)


@SQLITE
@pytest.mark.parametrize("case", LOUD, ids=str)
def test_a_service_that_confuses_everybody_costs_no_song(world: World, monkeypatch: pytest.MonkeyPatch, case: Case) -> None:
    monkeypatch.setattr("petsong.lifecycle.recovery.PRODUCTION_MAX_SECONDS", 2)
    monkeypatch.setattr(jobs.collect, "download_song", partial(jobs.collect.download_song, total_seconds=0.6))
    world.open_site()
    world.use(**SETTINGS)
    world.client.configure(generate_seconds=0.05)
    world.client.add_fault(case.fault, **case.options)
    world.tools.queues.enqueue("check_credits")
    world.drive(until=CreditReading.select().exists)
    session_id = world.submit()
    world.drive(seconds=20)
    assert outcome(world, session_id) == expected(case), world.story()
    assert world.client.trespasses() == [], "a redirect was followed"
    assert world.client.strikes(case.fault)
    world.assert_paid_once()


def test_fewer_slots_than_ours_cost_time_and_nothing_else(world: World) -> None:
    world.open_site()
    world.use(**SETTINGS)
    world.client.configure(generate_seconds=0.3)
    world.client.add_fault("slots_fewer", number=1, for_seconds=1)
    rows = [world.submit(pet_name) for pet_name in ("Anton", "Berta", "Carla")]
    world.drive(seconds=30)
    assert [kit.row(session_id).stage for session_id in rows] == ["done"] * 3, world.story()
    assert [len(world.orders(session_id)) for session_id in rows] == [1] * 3
    assert sum(attempt.flagged for session_id in rows for attempt in kit.attempts(session_id)) == 0
    assert world.client.strikes("slots_fewer")
    world.assert_paid_once()


@SQLITE
def test_songs_of_a_service_that_misbehaves_end_each_with_its_own_reason(world: World) -> None:
    rows = campaign(world, QUIET)
    [absent] = [name for name, case in rows.items() if case.fault == "alignment_absent"]
    assert kit.row(absent).word_timing is None


@pytest.mark.parametrize("world", ["postgresql"], indirect=True)
def test_tasks_and_webhooks_that_misbehave_end_the_same_on_postgresql(world: World) -> None:
    campaign(world, [case for case in QUIET if case.fault.partition("_")[0] in ("alignment", "status", "task", "webhook")])


def campaign(world: World, cases: list[Case]) -> dict[str, Case]:
    """All of them at once through real pools, each to its expected end; the cases by session id."""
    world.open_site()
    world.use(**SETTINGS | {"max_concurrent_requests": len(cases), "song_max_minutes": 6 * SECOND, "workers": WORKERS})
    world.client.configure(generate_seconds=0.05, slots=len(cases))
    for fault in BALANCE:
        world.client.add_fault(fault, share=0.3)
    rows = {}
    for number, case in enumerate(cases):
        pet_name = f"Pet {chr(65 + number // 26)}{chr(65 + number % 26)}"
        for fault in case.beside:
            world.client.add_fault(fault, match=pet_name, seconds=1)
        world.client.add_fault(case.fault, match=pet_name, **case.options)
        rows[world.submit(pet_name)] = case
    with world.pool() as pool:
        world.wait_for_ends(100)
        timed = [name for name, case in rows.items() if case.fault in ("alignment_late", "alignment_other_keys")]
        wait_until(lambda: all(kit.row(name).word_timing for name in timed), 15, "the words' timing")
    wrong = [(str(case), outcome(world, name)) for name, case in rows.items() if outcome(world, name) != expected(case)]
    assert wrong == [], world.story()
    assert world.client.trespasses() == [], "a redirect was followed"
    assert {case.fault for case in cases} <= {strike["fault"] for strike in world.client.strikes()}
    world.assert_paid_once()
    assert "Traceback" not in pool.said()
    return rows
