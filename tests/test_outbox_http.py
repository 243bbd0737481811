"""A delivery over HTTP: signed as the standard says, to nobody but the receiver, bounded whatever the receiver does."""
import base64
import hashlib
import hmac
import json
import logging
import socket
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from kit import make_settings
from petsong.models import OutboxMessage
from petsong.outbox import ALERT, EVENT, Outcome
from petsong.outgoing import MAX_ANSWER, body_of, receiver_of, send, signature
from petsong.settings import Settings, SettingsError, load_settings
from receivers import OTHER_SECRET, SECRET, Receiver, receiving

KEY = "k" * 32
MOMENT = datetime(2027, 2, 14, 12, 0, 0, tzinfo=UTC)
ENDED = {"session_id": "song1", "status": "success", "reason": None, "campaign": "valentines"}
FIRE = {"text": "[error] It is on fire.", "severity": "error", "key": "fire", "state": "open", "suppressed": 0}


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as server:
        yield server


def settings_for(receiver: Receiver, **changes: Any) -> Settings:
    return make_settings(**{
        "outgoing_origins": (receiver.origin,), "alert_webhook_url": receiver.url, "events_webhook_url": receiver.url,
        "events_webhook_secret": SECRET, "public_base_url": "https://songs.example.com", **changes,
    })


def message(destination: str = EVENT, **payload: Any) -> Any:
    kind, told = ("fire", FIRE) if destination == ALERT else ("submission.succeeded", ENDED)
    return OutboxMessage(id="msg_1", kind=kind, destination=destination, payload={**told, **payload}, created_at=MOMENT)


def deliver(
    receiver: Receiver, sent: Any = None, timeout: float = 5, settings: Settings | None = None, **options: Any
) -> Outcome:
    settings, sent = settings or settings_for(receiver), sent or message()
    found = receiver_of(settings, sent.destination)
    assert found is not None
    return send(settings, found, sent, timeout=timeout, **options)


# ---- what is sent

def test_an_event_says_what_ended_and_where_to_see_it() -> None:
    settings = make_settings(public_base_url="https://songs.example.com")
    assert json.loads(body_of(settings, message())) == {
        "type": "submission.succeeded", "timestamp": "2027-02-14T12:00:00Z", "data": {
            **ENDED, "page_url": "https://songs.example.com/result/song1",
            "video_url": "https://songs.example.com/storage/video/song1.mp4",
        },
    }
    failed = json.loads(body_of(settings, message(status="fail", reason="timeout")))["data"]
    assert (failed["video_url"], failed["reason"]) == (None, "timeout")
    assert json.loads(body_of(make_settings(), message()))["data"]["page_url"] is None


def test_an_alert_is_what_a_chat_shows() -> None:
    body = json.loads(body_of(make_settings(), message(ALERT)))
    assert body == {
        "text": "[error] It is on fire.", "type": "alert.fire", "timestamp": "2027-02-14T12:00:00Z",
        "data": {"severity": "error", "key": "fire", "state": "open", "suppressed": 0},
    }


def test_the_signature_is_that_of_the_standards_example() -> None:
    """Secret, id, time, body and signature as the standard's own libraries test them."""
    made = signature(
        ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",), "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}'
    )
    assert made == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def verified(secret: str, headers: dict[str, str], body: bytes) -> bool:
    """As a receiver does it, by the standard's own words."""
    key = base64.b64decode(secret.partition("_")[2])
    signed = b".".join([headers["webhook-id"].encode(), headers["webhook-timestamp"].encode(), body])
    wanted = base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
    return any(part == f"v1,{wanted}" for part in headers["webhook-signature"].split(" "))


def test_a_delivery_can_be_verified_by_whoever_has_the_secret(receiver: Receiver) -> None:
    before = int(time.time())
    assert deliver(receiver, message(campaign="Zoë")).status == 204
    [(headers, body)] = receiver.seen
    assert verified(SECRET, headers, body) and not verified(OTHER_SECRET, headers, body)
    assert not verified(SECRET, headers, body + b" ")
    assert headers["webhook-id"] == "msg_1" and headers["content-type"] == "application/json"
    assert before <= int(headers["webhook-timestamp"]) <= time.time()
    assert "Zoë" in body.decode()


def test_while_a_secret_is_changed_both_are_right(receiver: Receiver) -> None:
    deliver(receiver, settings=settings_for(receiver, events_webhook_secret=f"{OTHER_SECRET} {SECRET}"))
    [(headers, body)] = receiver.seen
    assert verified(SECRET, headers, body) and verified(OTHER_SECRET, headers, body)


def test_alerts_go_unsigned_where_no_secret_is_set(receiver: Receiver) -> None:
    deliver(receiver, message(ALERT))
    assert "webhook-signature" not in receiver.seen[0][0]


def test_a_repeat_has_the_same_id_and_body(receiver: Receiver) -> None:
    deliver(receiver)
    deliver(receiver)
    (first, one), (second, two) = receiver.seen
    assert first["webhook-id"] == second["webhook-id"] and one == two


# ---- whatever the receiver does

@pytest.mark.parametrize("status", [200, 201, 204, 299, 400, 404, 410, 429, 500, 503])
def test_the_status_is_what_counts(receiver: Receiver, status: int) -> None:
    receiver.will_answer(status)
    assert deliver(receiver).status == status


def test_a_refusals_words_are_kept_in_one_bounded_line(receiver: Receiver) -> None:
    receiver.will_answer(400, body=b"no such\r\n\x1b[2Jhook " + b"x" * 10**6)
    outcome = deliver(receiver)
    assert outcome.note.startswith("no such [2Jhook xxx") and len(outcome.note) <= 200 < MAX_ANSWER


def test_redirects_are_not_followed(receiver: Receiver) -> None:
    with receiving() as other:
        receiver.will_answer(307, Location=other.url)
        outcome = deliver(receiver, settings=settings_for(receiver, outgoing_origins=(receiver.origin, other.origin)))
        assert (outcome.status, outcome.note) == (307, "redirects are not followed")
        assert other.seen == []


def test_a_slow_receiver_costs_no_more_than_the_timeout(receiver: Receiver) -> None:
    receiver.delay = 3
    began = time.monotonic()
    outcome = deliver(receiver, timeout=0.3)
    assert (outcome.status, outcome.note) == (None, "no answer within 0.3 s")
    assert time.monotonic() - began < 2 and 200 < outcome.ms < 2000


def test_nobody_there_is_said(receiver: Receiver) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        origin = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        outcome = deliver(receiver, settings=settings_for(
            receiver, alert_webhook_url="", outgoing_origins=(origin,), events_webhook_url=f"{origin}/x"
        ))
    assert outcome.status is None and outcome.note.startswith("no answer: ")


def test_the_log_names_neither_address_nor_secret(receiver: Receiver, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "petsong")
    deliver(receiver)
    [record] = [record for record in caplog.records if record.name == "petsong.outgoing"]
    assert "POST" in record.getMessage() and "204" in record.getMessage()
    assert "secret-path" not in caplog.text and "whsec" not in caplog.text and SECRET[6:20] not in caplog.text


# ---- private addresses

@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.5", "169.254.169.254", "::1", "fd00::1", "::ffff:10.0.0.5"])
def test_a_name_that_leads_into_a_private_network_is_refused(receiver: Receiver, address: str) -> None:
    settings = settings_for(receiver, events_webhook_url="https://agency.example.com/x")
    asked: list[str] = []

    def resolver(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["93.184.216.34", address]

    outcome = deliver(receiver, settings=settings, resolver=resolver)
    assert outcome.status is None and "OUTGOING_ORIGINS" in outcome.note
    assert asked == ["agency.example.com"] and receiver.seen == []


def test_a_name_is_resolved_once_and_that_address_is_dialled(receiver: Receiver) -> None:
    origin = f"http://inside.example:{receiver.server_port}"
    settings = settings_for(receiver, alert_webhook_url="", outgoing_origins=(origin,), events_webhook_url=f"{origin}/x")
    answers = [["127.0.0.1"], ["10.9.9.9"]]
    outcome = deliver(receiver, settings=settings, resolver=lambda host, port: answers.pop(0))
    assert outcome.status == 204 and len(answers) == 1
    assert receiver.seen[0][0]["host"] == f"inside.example:{receiver.server_port}"


def test_a_name_that_leads_nowhere_is_said(receiver: Receiver) -> None:
    settings = settings_for(receiver, events_webhook_url="https://agency.example.com/x")
    outcome = deliver(receiver, settings=settings, resolver=lambda host, port: [])
    assert outcome.status is None and "can't be resolved" in outcome.note


# ---- settings

def load(**environ: str) -> Callable[[], Settings]:
    return lambda: load_settings({"SECRET_KEY": KEY, **environ})


@pytest.mark.parametrize(("environ", "named"), [
    ({"ALERT_WEBHOOK_URL": "http://chat.example.com/secret-path"}, "OUTGOING_ORIGINS"),
    ({"ALERT_WEBHOOK_URL": "http://10.0.0.5:9000/secret-path", "OUTGOING_ORIGINS": "http://10.0.0.5:9001"}, "OUTGOING_ORIGINS"),
    ({"ALERT_WEBHOOK_URL": "ftp://chat.example.com/secret-path"}, "ALERT_WEBHOOK_URL"),
    ({"ALERT_WEBHOOK_URL": "https://user:secret-path@chat.example.com"}, "ALERT_WEBHOOK_URL"),
    ({"EVENTS_WEBHOOK_URL": "https://agency.example.com/secret-path"}, "EVENTS_WEBHOOK_SECRET: is required"),
    ({"EVENTS_WEBHOOK_SECRET": "secret-path"}, "EVENTS_WEBHOOK_SECRET"),
    ({"EVENTS_WEBHOOK_SECRET": "whsec_c2VjcmV0LXBhdGg="}, "24 to 64 bytes"),
    ({"ALERT_WEBHOOK_SECRET": SECRET[6:]}, "ALERT_WEBHOOK_SECRET"),
    ({"ALERT_WEBHOOK_SECRET": f"{SECRET} secret-path"}, "ALERT_WEBHOOK_SECRET"),
    ({"OUTGOING_ORIGINS": "http://10.0.0.5:9000/path"}, "OUTGOING_ORIGINS"),
    ({"OUTGOING_ORIGINS": "10.0.0.5"}, "OUTGOING_ORIGINS"),
])
def test_wrong_receivers_stop_the_start_and_are_not_quoted(environ: dict[str, str], named: str) -> None:
    with pytest.raises(SettingsError) as error:
        load(**environ)()
    assert named in str(error.value) and "secret-path" not in str(error.value) and "\n" not in str(error.value)


def test_right_receivers_are_taken() -> None:
    settings = load(
        ALERT_WEBHOOK_URL="http://10.0.0.5:9000/hook", OUTGOING_ORIGINS="https://x.example.com, http://10.0.0.5:9000",
        EVENTS_WEBHOOK_URL="https://agency.example.com/petsong", EVENTS_WEBHOOK_SECRET=f"{SECRET} {OTHER_SECRET}",
    )()
    receiver = receiver_of(settings, EVENT)
    assert receiver is not None and receiver.secrets == (SECRET, OTHER_SECRET)
    assert receiver_of(load()(), ALERT) is None
