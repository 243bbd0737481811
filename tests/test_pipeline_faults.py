"""The stand-in's faults, once or for ever: the song ends in done, or in failed with its own reason.

Those that lie, drag or lead astray stand in test_pipeline_misbehaviour.py, and there too that none of all is forgotten.
"""
from dataclasses import dataclass, field
from typing import Any

import pytest
import requests

import kit
from petsong.web.languages import texts_in
from pipeline import World

pytest_plugins = "pipeline_fixtures"
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

SECOND = 1 / 60  # in settings that count minutes
SETTINGS = {
    "poll_interval": 0.1, "sweep_interval": 0.1, "timeout_check_interval": 0.1, "retry_backoff": (0.1, 0.2, 0.3),
    "api_request_timeout_seconds": 0.5, "unknown_after_minutes": 0.3 * SECOND, "song_max_minutes": 1.2 * SECOND,
    "credits_check_interval": 0.5,
}


@dataclass(frozen=True)
class Case:
    """A fault with its options, and what comes of it: a reason to fail (empty: the song is done) and paid orders.

    `kind` is the sentence that a visitor reads; `flagged` the orders made although an earlier one may be paid.
    """

    fault: str
    reason: str = ""
    kind: str = "service"
    orders: int = 1
    flagged: int = 0
    options: dict[str, Any] = field(default_factory=dict)
    beside: tuple[str, ...] = ()  # further faults, for ever
    settings: dict[str, Any] = field(default_factory=dict)
    tags: bool = True  # whether the accepted order has tags
    passes: bool = False  # over as soon as an order was lost

    def __str__(self) -> str:
        how = "_".join(f"{name}_{value}" for name, value in self.options.items())
        how = how or ("that_passes" if self.passes else "for_ever")
        return "_and_".join([f"{self.fault}_{how}", *self.beside])


def once(fault: str, seconds: float | None = None, **expected: Any) -> Case:
    return Case(fault, options={"count": 1} | ({"seconds": seconds} if seconds else {}), **expected)


LIMITED = {"queue_max_hours": 0.8 / 3600}
WORKERS = {"dispatch": 1, "sonauto": 4, "downloads": 3, "renders": 2, "periodic": 1}
# They make the service look broken for everybody, or need a song's longest time: each has the pipeline to itself.
LOUD = [
    Case("outage", passes=True, flagged=1),
    Case("outage", reason="no_answer", kind="too_long", orders=0, flagged=1),
    Case("outage_503", passes=True),
    Case("outage_503", reason="queue_timeout", kind="too_long", orders=0, settings=LIMITED),
    Case("submit_401", options={"count": 2}),
    Case("submit_402", options={"count": 2}),
    Case("submit_429", options={"count": 2}),
    Case("submit_429", reason="queue_timeout", kind="too_long", orders=0, settings=LIMITED),
    Case("submit_500", options={"count": 2}),
    Case("submit_500", reason="queue_timeout", kind="too_long", orders=0, settings=LIMITED),
    once("submit_503_html", flagged=1),
    Case("submit_503_html", reason="no_answer", kind="too_long", orders=0, flagged=1),
    once("submit_html_200", flagged=1),
    once("answer_slow", seconds=1),
    once("answer_slow", seconds=1, beside=("no_webhook",), orders=2, flagged=1),
    once("answer_lost", beside=("no_webhook",), orders=2, flagged=1),
    Case("answer_lost", beside=("no_webhook",), reason="no_answer", kind="too_long", orders=2, flagged=1),
    Case("submit_html_200_accepted"),
    Case("balance_500"),
    Case("slow", options={"seconds": 60}, reason="timeout", kind="too_long"),
    Case("fetch_404", reason="timeout", kind="too_long"),
    Case("fetch_500", options={"for_seconds": 2}),  # longer than any song takes: it is paid, so we go on asking
    Case("song_500", reason="download_unreachable", kind="too_long"),
]
# Each concerns its own song only: all of them are one campaign, and none may disturb another.
QUIET = [
    Case("submit_400", reason="order_refused", orders=0),
    Case("refuse_tags", tags=False),
    Case("failure", reason="service_failed"),
    Case("slow", options={"seconds": 1}),
    Case("no_webhook"),
    Case("webhook_twice"),
    Case("webhook_early"),
    Case("song_paths_empty", reason="no_song"),
    Case("song_paths_relative"),
    Case("alignment_failed"),
    Case("alignment_never"),
    Case("answer_slow", options={"seconds": 0.3}),
    Case("answer_lost"),
    Case("fetch_slow", options={"seconds": 0.3}),
    Case("fetch_404", options={"count": 3}),
    Case("fetch_500", options={"count": 3}),
    Case("fetch_503_html", options={"count": 3}),
    Case("fetch_html_200", options={"count": 3}),
    Case("song_404", reason="download_missing"),
    once("song_404"),
    Case("song_410", reason="download_missing"),
    Case("song_500", options={"count": 2}),
    Case("song_html", reason="download_not_audio"),
    Case("song_text", reason="download_not_audio"),
    Case("song_cut", reason="download_cut"),
    once("song_cut"),
    Case("song_truncated", reason="audio_cut"),
    Case("song_slow", options={"seconds": 1}),
]


@pytest.mark.parametrize("case", LOUD, ids=str)
def test_a_service_in_trouble_costs_no_song_and_pays_none_twice(
    world: World, monkeypatch: pytest.MonkeyPatch, case: Case
) -> None:
    monkeypatch.setattr("petsong.lifecycle.recovery.PRODUCTION_MAX_SECONDS", 2)
    world.open_site()
    sure = {} if case.flagged else {"unknown_after_minutes": 1}  # the webhook comes in time, however busy the machine is
    world.use(**{**SETTINGS, **sure, **case.settings})
    world.client.configure(generate_seconds=0.05)
    for fault in case.beside:
        world.client.add_fault(fault)
    world.client.add_fault(case.fault, **case.options)
    session_id = world.submit()
    if case.passes:
        world.drive(lambda: bool(world.client.ledger()["refusals"]))
        world.client.clear_faults()
    world.drive()
    assert outcome(world, session_id) == expected(case), world.story()
    world.assert_paid_once()


def test_songs_in_trouble_end_each_with_its_own_reason(world: World) -> None:
    world.open_site()
    patient = {"song_max_minutes": 5, "unknown_after_minutes": 5}
    world.use(**SETTINGS | patient | {"max_concurrent_requests": len(QUIET), "workers": WORKERS})
    world.client.configure(generate_seconds=0.05, slots=len(QUIET))
    rows = {}
    for number, case in enumerate(QUIET):
        pet_name = f"Pet {chr(65 + number // 26)}{chr(65 + number % 26)}"
        world.client.add_fault(case.fault, match=pet_name, **case.options)
        rows[world.submit(pet_name)] = case
    with world.pool() as pool:
        world.wait_for_ends(200)
    wrong = [(str(case), outcome(world, name)) for name, case in rows.items() if outcome(world, name) != expected(case)]
    assert wrong == [], world.story()
    world.assert_paid_once()
    assert "Traceback" not in pool.said()


def expected(case: Case) -> tuple[Any, ...]:
    tags = [case.tags] * case.orders
    return ("failed" if case.reason else "done", case.reason or None, case.flagged, tags, case.kind if case.reason else "")


def outcome(world: World, session_id: str) -> tuple[Any, ...]:
    """Stage, reason, flagged attempts, whether each paid order has tags, what a visitor reads."""
    row = kit.row(session_id)
    flagged = sum(attempt.flagged for attempt in kit.attempts(session_id))
    tags = [bool(order["tags"]) for order in world.orders(session_id)]
    page = requests.get(f"http://127.0.0.1:{world.port}/result/{session_id}", timeout=10).text
    said = [kind for kind, text in texts_in("en")["failures"].items() if text.replace("'", "&#39;") in page]
    return row.stage, row.fail_reason, flagged, tags, said[0] if said else ""
