"""What the song service's stand-in takes as an order and what it refuses, over HTTP."""

from collections.abc import Iterator
from typing import Any

import pytest
import requests

from scripts.sandbox.client import SandboxClient
from scripts.sandbox.orders import VOCABULARY
from scripts.sandbox.server import start

PROMPT = "A love song celebrating the special bond between Mara Example and their beloved dog Bo. Make it warm."
CAMPAIGN_TAGS = (
    "pop acoustic romantic ballad piano lo-fi chill mellow upbeat energetic dance party disco funk ambient relaxing"
    " soft warm happy soul r&b guitar singer-songwriter"
).split() + ["love song", "indie pop", "female vocals", "male vocals"]


@pytest.fixture(scope="module")
def shared() -> Iterator[SandboxClient]:
    with start(generate_seconds=60, slots=1000, song_seconds=1) as server:
        yield server.client


@pytest.fixture
def sandbox(shared: SandboxClient) -> SandboxClient:
    shared.reset()
    return shared


def problems(answer: requests.Response) -> list[dict[str, Any]]:
    assert answer.status_code == 422
    found: list[dict[str, Any]] = answer.json()["detail"]
    assert all(problem.keys() == {"type", "loc", "msg"} for problem in found)
    return found


def test_an_order_like_the_products_is_accepted_and_written_into_the_ledger(sandbox: SandboxClient) -> None:
    order = {
        "prompt": PROMPT,
        "tags": ["pop", "love song"],
        "instrumental": False,
        "output_format": "mp3",
        "output_bit_rate": 192,
        "align_lyrics": True,
        "webhook_url": "http://127.0.0.1:9/hook",
    }
    answer = sandbox.submit(order)
    assert answer.status_code == 200
    [line] = sandbox.orders()
    assert answer.json() == {"task_id": line["task_id"]}
    assert {name: line[name] for name in ("prompt", "tags", "webhook_url")} == {
        name: order[name] for name in ("prompt", "tags", "webhook_url")
    }
    assert (line["credits"], line["ended_at"], line["ended_as"]) == (100, None, None)


def test_every_tag_of_the_campaign_is_in_the_vocabulary(sandbox: SandboxClient) -> None:
    assert sandbox.submit({"prompt": PROMPT, "tags": CAMPAIGN_TAGS}).status_code == 200
    assert len(VOCABULARY) > 140


@pytest.mark.parametrize("field", ["tags", "negative_tags"])
def test_a_free_phrase_is_no_tag(sandbox: SandboxClient, field: str) -> None:
    answer = sandbox.submit({"prompt": PROMPT, field: ["pop", "songs about my dog", "Pop"]})
    assert (answer.status_code, answer.json()) == (422, {"detail": "Invalid tags: songs about my dog, Pop"})
    assert sandbox.orders() == []


@pytest.mark.parametrize(
    "order",
    [{"prompt": PROMPT}, {"prompt": PROMPT, "tags": ["pop"]}, {"prompt": PROMPT, "lyrics": "La"}, {"tags": ["pop"]}],
    ids=lambda order: "+".join(order),
)
def test_legal_combinations_are_accepted(sandbox: SandboxClient, order: dict[str, Any]) -> None:
    assert sandbox.submit(order).status_code == 200


ILLEGAL: list[tuple[dict[str, Any], list[str]]] = [
    ({"prompt": PROMPT, "tags": ["pop"], "lyrics": "La la"}, []),
    ({"instrumental": False}, ["prompt"]),
    ({"prompt": PROMPT, "output_bit_rate": 192}, ["output_bit_rate"]),
    ({"prompt": PROMPT, "output_bit_rate": 192, "output_format": "flac"}, ["output_bit_rate"]),
    ({"prompt": PROMPT, "output_bit_rate": 200, "output_format": "mp3"}, ["output_bit_rate"]),
    ({"prompt": PROMPT, "output_format": "wma"}, ["output_format"]),
    ({"prompt": PROMPT, "align_lyrics": True, "instrumental": True}, ["align_lyrics"]),
    ({"prompt": PROMPT, "length_range": [45, 120]}, ["length_range"]),
    ({"prompt": PROMPT, "length_range": [120, 120]}, ["length_range"]),
    ({"prompt": PROMPT, "length_range": [0, 330]}, ["length_range"]),
    ({"prompt": PROMPT, "length_range": [90]}, ["length_range"]),
    ({"prompt": PROMPT, "prompt_strength": 2.0, "style_scale": 2.0}, []),
    ({"prompt": PROMPT, "seed": 3}, ["seed"]),
    ({"prompt": PROMPT, "bpm": 120}, ["bpm"]),
    ({"prompt": PROMPT, "balance_strength": 0.7}, ["balance_strength"]),
    ({"prompt": PROMPT, "num_songs": 2}, ["num_songs"]),
    ({"prompt": PROMPT, "mood": "happy"}, ["mood"]),
    ({"prompt": 7}, ["prompt"]),
    ({"prompt": PROMPT, "tags": "pop"}, ["tags"]),
    ({"prompt": PROMPT, "instrumental": "no"}, ["instrumental"]),
    ({"prompt": PROMPT, "webhook_url": "ftp://127.0.0.1/x"}, ["webhook_url"]),
]


@pytest.mark.parametrize(("order", "where"), ILLEGAL, ids=lambda value: str(value)[-60:])
def test_illegal_orders_answer_422_and_name_the_field(
    sandbox: SandboxClient, order: dict[str, Any], where: list[str]
) -> None:
    [problem] = problems(sandbox.submit(order))
    assert problem["loc"] == ["body", *where]
    assert sandbox.summary()["accepted"] == 0


def test_a_possible_length_range_is_accepted(sandbox: SandboxClient) -> None:
    assert sandbox.submit({"prompt": PROMPT, "length_range": [90, 150]}).status_code == 200


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"song"', b"[" * 100_000])
def test_a_body_that_is_no_json_object_answers_422(sandbox: SandboxClient, body: bytes) -> None:
    headers = {"Authorization": f"Bearer {sandbox.key}"}
    answer = requests.post(f"{sandbox.url}/v1/generations/v3", data=body, headers=headers, timeout=10)
    assert len(problems(answer)) == 1


def test_without_the_key_every_call_answers_401(sandbox: SandboxClient) -> None:
    assert sandbox.submit({"prompt": PROMPT}, key="sksonauto_wrong").status_code == 401
    for path in ("/v1/generations/x", "/v1/generations/status/x", "/v1/credits/balance"):
        answer = requests.get(sandbox.url + path, timeout=10)
        assert (answer.status_code, answer.json()) == (401, {"detail": "Not authenticated"})
    assert sandbox.summary()["refused"] == {"401": 1}


def test_refused_submits_stand_in_the_ledger_with_status_and_reason(sandbox: SandboxClient) -> None:
    sandbox.submit({"prompt": PROMPT, "tags": ["no such tag"]})
    [refusal] = sandbox.ledger()["refusals"]
    assert (refusal["status"], refusal["reason"]) == (422, "Invalid tags: no such tag")
    assert refusal["prompt"] == PROMPT


@pytest.mark.parametrize(
    ("prompt", "owner", "pet"),
    [
        (PROMPT, "Mara Example", "Bo"),
        (PROMPT.replace("Bo.", "Sir Łukasz The Third."), "Mara Example", "Sir Łukasz The Third"),
        ("The bond between आशा and their beloved cat रानी. Make it warm", "आशा", "रानी"),
        ("between {pet} and their beloved fish {owner}", "{pet}", "{owner}"),
    ],
)
def test_the_lyrics_name_pet_and_owner(sandbox: SandboxClient, prompt: str, owner: str, pet: str) -> None:
    task_id = sandbox.submit({"prompt": prompt}).json()["task_id"]
    assert sandbox.task(task_id).json()["lyrics"] is None
    sandbox.finish()
    lyrics = sandbox.task(task_id).json()["lyrics"]
    assert f"{owner} and {pet}, round and round" in lyrics
    assert lyrics.startswith(f"[Verse 1]\n{pet} hears")


def test_lyrics_are_sung_as_ordered_and_a_prompt_without_names_is_sung_too(sandbox: SandboxClient) -> None:
    given = sandbox.submit({"prompt": PROMPT, "lyrics": "[Chorus]\nLa la"}).json()["task_id"]
    nameless = sandbox.submit({"prompt": "something quiet"}).json()["task_id"]
    sandbox.finish()
    assert sandbox.task(given).json()["lyrics"] == "[Chorus]\nLa la"
    assert "{" not in sandbox.task(nameless).json()["lyrics"]
