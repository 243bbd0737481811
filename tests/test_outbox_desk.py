"""The outbox on the operator's desk: what left us and what did not, and sending it again."""
import json

import pytest

from api_kit import check_error, on_sqlite, queue_length
from desk_kit import WHO, Desk
from kit import age
from petsong import audit, database, outbox
from petsong.models import OutboxMessage
from petsong.outbox import Outcome

pytest_plugins = "desk_login_fixtures"


def told(desk: Desk, key: str = "fire", *outcomes: Outcome, **changes: object) -> str:
    """An alert in the outbox, tried with these outcomes; its id."""
    with database.connection():
        before = {message.id for message in OutboxMessage.select()}
        outbox.alert("fire", f"It is on fire: {key} <b>", dedupe=key)
        [message_id] = {message.id for message in OutboxMessage.select()} - before
        for outcome in outcomes:
            message = OutboxMessage.get_by_id(message_id)
            outbox.claim(message)
            outbox.settle(message, outcome)
            age(20)
        outbox.take_written()
    return message_id


def test_the_list_shows_state_tries_and_answer(desk: Desk) -> None:
    told(desk, "one", Outcome(204, "", 12))
    given_up = told(desk, "two", Outcome(410, "no such hook", 9))
    page = desk.get("/admin/outbox").text
    assert "HTTP 410 no such hook" in page and f"/admin/outbox/{given_up}" in page
    assert "ALERT_WEBHOOK_URL is not set" in page and "Open alerts" in page
    only = desk.get("/admin/outbox?state=given_up&destination=").text
    assert "HTTP 410" in only and "HTTP 204" not in only
    assert desk.get("/admin/outbox?state=nonsense").status_code == 400


def test_a_message_shows_its_body_and_every_try(desk: Desk) -> None:
    message_id = told(desk, "one", Outcome(None, "no answer within 10 s", 10_001), Outcome(503, "busy <i>", 7))
    page = desk.get(f"/admin/outbox/{message_id}").text
    assert "no answer within 10 s" in page and "10001 ms" in page and "busy &lt;i&gt;" in page
    assert "&lt;b&gt;" in page and "<b>" not in page
    assert "Send again" not in page, "it is tried again by itself"


def test_a_message_given_up_is_sent_again_by_a_click(desk: Desk) -> None:
    message_id = told(desk, "one", Outcome(410, "", 9))
    here = f"/admin/outbox/{message_id}"
    answer = desk.submit(f"{here}/redeliver", here)
    assert (answer.status_code, answer.headers["Location"]) == (303, here)
    assert queue_length(desk.api.settings.redis_url, "periodic") == 1
    assert f"sent again by {WHO}" in desk.get(here).text
    again = desk.submit(f"{here}/redeliver", "/admin/campaign")
    assert again.status_code == 409 and "waiting for its next try" in again.text
    with database.connection():
        [logged] = audit.latest(actions=["redelivered"])
        assert (logged.who, logged.subject) == (WHO, message_id)


@on_sqlite
def test_without_the_forms_token_nothing_is_sent(desk: Desk) -> None:
    message_id = told(desk, "one", Outcome(410, "", 9))
    assert desk.submit(f"/admin/outbox/{message_id}/redeliver", "", token="0" * 64).status_code == 403
    with database.connection():
        assert OutboxMessage.get_by_id(message_id).state == "given_up"


@on_sqlite
def test_unknown_messages_are_404(desk: Desk) -> None:
    for path in ("/admin/outbox/msg_nothing", "/admin/outbox/%00"):
        assert desk.get(path).status_code == 404
        check_error(desk.get(f"/api{path}"), 404, "not_found")
        check_error(desk.post(f"/api{path}/redeliver"), 404, "not_found")


def test_the_same_as_json(desk: Desk) -> None:
    message_id = told(desk, "one", Outcome(410, "no such hook", 9))
    told(desk, "two")
    found = desk.get("/api/admin/outbox?page_size=1").get_json()
    assert (len(found["messages"]), found["more"], found["waiting"]) == (1, True, {"alert": 1})
    assert found["messages"][0]["state"] == "waiting"
    found = desk.get("/api/admin/outbox?page_size=1&page=2").get_json()
    assert (found["messages"][0]["id"], found["more"]) == (message_id, False)
    one = desk.get(f"/api/admin/outbox/{message_id}").get_json()
    assert one["body"]["text"] == "[warning] It is on fire: one <b>"
    assert [(entry["status"], entry["note"], entry["ms"]) for entry in one["deliveries"]] == [(410, "no such hook", 9)]
    assert desk.post(f"/api/admin/outbox/{message_id}/redeliver").get_json() == {"success": True, "id": message_id}
    check_error(desk.post(f"/api/admin/outbox/{message_id}/redeliver"), 409, "not_possible")


@on_sqlite
@pytest.mark.parametrize("query", ["page=0", "page_size=201", "state=lost", "destination=nobody", "page=x"])
def test_wrong_parameters_are_named(desk: Desk, query: str) -> None:
    body = check_error(desk.get(f"/api/admin/outbox?{query}"), 400, "validation_failed")
    assert list(body["fields"]) == [query.partition("=")[0]]


@on_sqlite
def test_nobody_sees_it_without_the_login(desk: Desk) -> None:
    assert desk.api.get("/admin/outbox").status_code == 401
    assert desk.api.get("/api/admin/outbox").status_code == 401


def test_the_same_as_commands(desk: Desk) -> None:
    message_id = told(desk, "one", Outcome(410, "no such hook", 9))

    def run(*words: str) -> tuple[int, str]:
        result = desk.api.app.test_cli_runner().invoke(args=list(words))
        return result.exit_code, result.stdout

    assert message_id in run("outbox", "--state", "given_up")[1] and run("outbox", "--state", "waiting")[1] == "nothing\n"
    assert json.loads(run("outbox", "--json")[1])["messages"][0]["id"] == message_id
    assert run("redeliver", message_id, "--who", "Kim") == (0, f"{message_id} goes out again.\n")
    assert queue_length(desk.api.settings.redis_url, "periodic") == 1
    code, said = run("redeliver", message_id, "--json")
    assert code == 1 and "waiting" in json.loads(said)["error"]
