"""One id from the request that brought a song to its video, on every line between."""
import json
import logging
import re
from collections.abc import Callable

import pytest
import requests

import kit
from api_kit import Api, form, on_sqlite
from petsong import logs
from pipeline import World, wait_until

pytest_plugins = ("api_fixtures", "pipeline_fixtures")
MADE = re.compile(r"[0-9a-f]{16}")
GIVEN = "proxy-0123456789.abc_DEF"


# ---- requests

def test_every_answer_names_its_request(api: Api) -> None:
    answers = [api.post(), api.get("/"), api.get("/api/nothing"), api.get("/api/health/live"), api.client.put("/api/webhook")]
    ids = [answer.headers["X-Request-ID"] for answer in answers]
    assert all(MADE.fullmatch(found) for found in ids) and len(set(ids)) == len(ids)


@on_sqlite
@pytest.mark.parametrize(("proxies", "given", "taken"), [
    (1, GIVEN, True), (0, GIVEN, False), (1, "short", False), (1, "x" * 65, False), (1, "with space", False),
    (1, "<script>alert</script>", False),
])
def test_an_id_is_taken_from_a_trusted_proxy_alone(
    make_api: Callable[..., Api], proxies: int, given: str, taken: bool
) -> None:
    found = make_api(trusted_proxies=proxies).get("/", **{"X-Request-ID": given}).headers["X-Request-ID"]
    assert found == given if taken else MADE.fullmatch(found)


@on_sqlite
def test_every_line_of_a_request_names_it_and_none_after(
    make_api: Callable[..., Api], capsys: pytest.CaptureFixture[str]
) -> None:
    api = make_api(log_level="INFO")
    capsys.readouterr()
    request_id = api.client.post("/api/webhook", json={"task_id": "nobodys"}).headers["X-Request-ID"]
    logging.getLogger("petsong").info("afterwards")
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["message"] for line in lines] == ["webhook for an unknown task", "request", "afterwards"]
    assert [line.get("request_id") for line in lines] == [request_id, request_id, None]


def test_a_form_keeps_the_id_of_its_request(api: Api) -> None:
    answer = api.post()
    assert api.row(answer.get_json()["session_id"]).request_id == answer.headers["X-Request-ID"]


def test_a_value_that_is_not_there_is_not_shown(capsys: pytest.CaptureFixture[str], root_logger: logging.Logger) -> None:
    logs.configure("INFO", "json")
    with logs.bind(session_id="song1", request_id=None):
        logging.getLogger("petsong").info("line")
    assert "request_id" not in capsys.readouterr().err


# ---- from the form to the video

@pytest.mark.slow
def test_one_id_leads_from_the_form_to_the_video(sqlite_world: World) -> None:
    world = sqlite_world
    world.open_site()
    with world.pool(log_format="json") as pool:
        answer = requests.post(f"http://127.0.0.1:{world.port}/api/submissions", json=form(), timeout=20)
        request_id, session_id = answer.headers["X-Request-ID"], answer.json()["session_id"]
        other = world.submit()
        world.wait_for_ends()
        wait_until(lambda: _jobs(pool.said(), request_id) >= _STEPS, 20, "the last job's line")
        said = pool.said()
    assert kit.row(session_id).stage == "done"
    mine = [line for line in _lines(said) if line.get("session_id") == session_id]
    assert {line.get("request_id") for line in mine} == {request_id}
    assert [line for line in _lines(said) if line.get("session_id") == other and "request_id" in line] == []
    assert any("/generations/v3" in line.get("path", "") for line in mine), "calls of the service, too"
    site = [line for line in (world.folder / "site.log").read_text().splitlines() if f"request_id={request_id}" in line]
    assert len(site) == 1 and "path=/api/submissions" in site[0]


_STEPS = {"send_to_sonauto", "fetch_generation_details", "download_audio", "create_video"}


def _lines(said: str) -> list[dict[str, str]]:
    return [json.loads(line) for line in said.splitlines() if line.startswith("{")]


def _jobs(said: str, request_id: str) -> set[str]:
    ended = [line for line in _lines(said) if line["message"] == "job ended"]
    return {line["job"] for line in ended if line.get("request_id") == request_id}
