"""GET /metrics: figures from the database in Prometheus' words, for whoever has the token, without anything personal."""
from collections.abc import Callable
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

import kit
from api_kit import Api, drop_connections, on_postgresql
from petsong import database, outbox
from petsong.lifecycle import breaker
from petsong.lifecycle.answers import record_answer
from petsong.lifecycle.claims import advance, fail, take
from petsong.lifecycle.sending import begin_call, claim_rows
from petsong.lifecycle.stages import Stage
from petsong.models import Tick, WebhookReceipt
from petsong.outbox import Outcome

pytest_plugins = "api_fixtures"
TOKEN = "scrape-me-0123456789"


@pytest.fixture
def metered(make_api: Callable[..., Api]) -> Api:
    return make_api(metrics_token=TOKEN)


def scrape(api: Api, token: str = TOKEN, **headers: str) -> Any:
    return api.get("/metrics", Authorization=f"Bearer {token}", **headers)


def figures(api: Api) -> dict[tuple[str, ...], float]:
    """{(name without petsong_, label values in the order of their names): value}"""
    answer = scrape(api)
    assert answer.status_code == 200, answer.text
    return {
        (sample.name.removeprefix("petsong_"), *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.text) for sample in family.samples
    }


# ---- who may see them

def test_without_the_setting_there_is_nothing(api: Api) -> None:
    assert scrape(api).status_code == 404


@pytest.mark.parametrize("header", [
    "", "Bearer ", "Bearer wrong-but-as-long-0", TOKEN, f"bearer{TOKEN}", f"Basic {TOKEN}", f"Bearer {TOKEN}x", "Bearer ü",
])
def test_the_token_opens_them_and_nothing_else(metered: Api, header: str) -> None:
    answer = metered.get("/metrics", **({"Authorization": header} if header else {}))
    assert answer.status_code == 401 and answer.headers["WWW-Authenticate"] == "Bearer"
    assert "petsong_" not in answer.text
    assert scrape(metered).status_code == 200


def test_the_answer_is_what_prometheus_expects(metered: Api) -> None:
    answer = scrape(metered)
    assert answer.headers["Content-Type"].startswith("text/plain; version=")
    assert answer.headers["Cache-Control"] == "no-store"


# ---- what they say

def test_an_empty_site_has_zeros_and_no_guesses(metered: Api) -> None:
    found = figures(metered)
    assert {found["submissions", "", stage] for stage in ("queued", "sending", "done")} == {0}
    assert found["ended_last_hour", "done", ""] == 0 and found["slots_used",] == 0 and found["slots",] == 10
    assert found["redis_up",] == 1 and found["queue_messages", "dispatch"] == 0 and found["workers", "renders"] == 0
    assert found["outbox_waiting", "event"] == 0 and found["paused", "service"] == 0
    assert 0 < found["disk_used_percent",] < 100
    unknown = ("credits", "scheduler_sign_seconds", "stage_seconds", "stage_oldest_seconds")
    assert not [key for key in found if key[0] in unknown]


def finish(session_id: str, seconds: float) -> None:
    """From queued to rendering, and `seconds` later done."""
    settings = kit.make_settings()
    kit.submit(settings, session_id)
    claim_rows(settings)
    claim = take(session_id, Stage.SENDING, 60)
    assert claim is not None
    record_answer(settings, claim, begin_call(claim), kit.accepted(f"task-{session_id}"))
    for stage, following in ((Stage.GENERATING, Stage.DOWNLOADING), (Stage.DOWNLOADING, Stage.RENDERING)):
        claim = take(session_id, stage, 60, due_only=False)
        assert claim is not None
        advance(claim, following)
    kit.age(seconds)
    claim = take(session_id, Stage.RENDERING, 60)
    assert claim is not None
    advance(claim, Stage.DONE)


def test_songs_by_stage_and_reason_and_how_long_they_took(metered: Api) -> None:
    with database.connection():
        finish("song1", 40)
        finish("song2", 20)
        for number, reason in enumerate(["order_refused", "order_refused", "timeout"]):
            kit.submit(metered.settings, f"bad{number}")
            claim = take(f"bad{number}", Stage.QUEUED, 60)
            assert claim is not None
            fail(claim, reason)
        kit.submit(metered.settings, "waits")
        kit.age(100)
    found = figures(metered)
    assert found["submissions", "", "done"] == 2 and found["submissions", "", "queued"] == 1
    assert found["submissions", "order_refused", "failed"] == 2 and found["submissions", "timeout", "failed"] == 1
    assert found["ended_last_hour", "done", ""] == 2 and found["ended_last_hour", "failed", "order_refused"] == 2
    assert found["stage_left", "rendering"] == 2 and found["stage_left", "queued"] == 5
    assert 19 < found["stage_seconds", "0.5", "rendering"] < 25 and 39 < found["stage_seconds", "1", "rendering"] < 45
    assert 99 < found["stage_oldest_seconds", "queued"] < 110
    assert found["outbox_waiting", "event"] == 5 and 99 < found["outbox_oldest_seconds", "event"]


def test_what_is_older_than_an_hour_is_not_of_the_last_hour(metered: Api) -> None:
    with database.connection():
        finish("song1", 40)
        kit.age(3700)
    found = figures(metered)
    assert found["ended_last_hour", "done", ""] == 0 and ("stage_left", "rendering") not in found
    assert found["submissions", "", "done"] == 1


def test_money_slots_and_pauses(metered: Api) -> None:
    metered.credits(4200)
    metered.song("sends", stage="sending", entry_status="processing")
    metered.attempt("sends", outcome=None, task_id=None)
    with database.connection():
        breaker.trip(metered.settings, "no such key")
    found = figures(metered)
    assert found["credits",] == 4200 and found["credits_age_seconds",] < 60
    assert found["slots_used",] == 1 and found["credits_spent", "hour"] == 100
    assert found["paused", "service"] == 1 and found["paused", "spending"] == 0


def test_webhooks_both_ways(metered: Api) -> None:
    metered.song("song1", stage="generating", entry_status="processing")
    attempt = metered.attempt("song1")
    with database.connection():
        for outcome in ("hint", "hint", "late"):
            WebhookReceipt.insert(attempt=attempt.id, at=database.now(), outcome=outcome, body_hash="x").execute()
        outbox.alert("fire", "It is on fire.", dedupe="fire")
        [message] = outbox.due()
        outbox.claim(message)
        outbox.settle(message, Outcome(None, "no answer", 3))
    found = figures(metered)
    assert found["webhooks_received_last_hour", "hint"] == 2 and found["webhooks_received_last_hour", "late"] == 1
    assert found["webhooks_sent_last_hour", "alert", "none"] == 1
    assert found["outbox_waiting", "alert"] == 1 and found["alerts_open",] == 1


def test_processes_and_queues(metered: Api) -> None:
    metered.workers(renders=3)
    with database.connection():
        Tick.insert(name="scheduler", last_at=database.now()).execute()
    metered.parts.queues.enqueue("check_credits")
    found = figures(metered)
    assert found["workers", "renders"] == 3 and found["workers", "dispatch"] == 0
    assert found["pool_sign_seconds", "pool"] < 60 and found["scheduler_sign_seconds",] < 60
    assert found["queue_messages", "periodic"] == 1


def test_without_redis_the_rest_is_there(make_api: Callable[..., Api]) -> None:
    found = figures(make_api(metrics_token=TOKEN, redis_url="redis://127.0.0.1:9/0"))
    assert found["redis_up",] == 0 and not [key for key in found if key[0] == "queue_messages"]
    assert found["slots",] == 10


def test_nothing_personal_is_in_them(metered: Api) -> None:
    form = {"pet_name": "Quixotina", "owner_name": "Zebediah", "cookie_id": "cookie_verysecret"}
    session_id = metered.post(**form).get_json()["session_id"]
    text = scrape(metered).text
    for secret in ("Quixotina", "Zebediah", session_id, "cookie_verysecret"):
        assert secret not in text


@on_postgresql
def test_a_lost_database_is_503_for_one_scrape(metered: Api) -> None:
    assert scrape(metered).status_code == 200
    drop_connections(metered.settings.database_url)
    assert scrape(metered).status_code == 200, "one reconnect is enough"


def test_every_figure_says_what_it_is(metered: Api) -> None:
    with database.connection():
        finish("song1", 1)
    families = list(text_string_to_metric_families(scrape(metered).text))
    assert all(family.name.startswith("petsong_") and family.documentation and family.type == "gauge" for family in families)
    assert len(families) > 20
