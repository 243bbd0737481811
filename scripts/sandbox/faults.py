"""Everything that can go wrong on demand: one row of FAULTS each, and the rules by which a row strikes.

| point   | a fault there strikes                                                                          |
|---------|------------------------------------------------------------------------------------------------|
| any     | every API call and every song file, before anything else                                       |
| submit  | a submit, after the key was checked and before the order is: nothing is accepted or charged     |
| tags    | a submit that has tags, right after the former                                                 |
| order   | an accepted order: changes what becomes of it, fixed at acceptance                             |
| answer  | the answer to an accepted order: it stands in the ledger and is charged whatever the client saw |
| fetch   | GET /v1/generations/{id} and /v1/generations/status/{id}                                       |
| balance | GET /v1/credits/balance                                                                        |
| file    | GET of a song file                                                                             |

POST /sandbox/faults takes {fault, match?, count?, share?, from_seconds?, for_seconds?, seconds?}: `match` is a part of
the order's prompt or its task id; `count` how often it strikes at most (once per submit, fetch or download); `share`
(0 to 1) how many of its chances it takes, the same ones in every run; `from_seconds` and `for_seconds` when it begins
and how long it lasts, counted from now; `seconds` is the length of what is slow. Several faults of one point meet in
the order they were added: changes and waits add up, the first answer ends it. Webhooks go out in an outage too.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from scripts.sandbox import streams


@dataclass(frozen=True)
class Answer:
    """This answer and nothing else."""

    status: int
    body: dict[str, object] | str
    mimetype: str = "text/html"
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Drop:
    """The connection ends without a byte."""


@dataclass(frozen=True)
class Wait:
    """This many seconds of nothing, then all goes on."""

    seconds: float


@dataclass(frozen=True)
class Change:
    """Fields of the order's plan (desk.Plan) that become these; `seconds` goes to the field named by `slow`."""

    plan: dict[str, object]
    slow: str = ""


@dataclass(frozen=True)
class Send:
    """The song's bytes leave in this way (a function of streams.py)."""

    stream: Callable[[Path, float], streams.Stream]
    seconds: float = 0.0


Effect = Answer | Drop | Wait | Change | Send


@dataclass(frozen=True)
class Fault:
    point: str
    what: str
    effect: Effect


def _detail(status: int, text: str) -> Answer:
    return Answer(status, {"detail": text}, "application/json")


def _html(status: int, title: str) -> Answer:
    return Answer(status, f"<!doctype html><html><head><title>{title}</title></head><body>{title}</body></html>")


FAULTS: dict[str, Fault] = {
    "outage": Fault("any", "every request: the connection closes without an answer", Drop()),
    "outage_503": Fault("any", "every request: 503 with a JSON detail", _detail(503, "Service unavailable")),
    # before acceptance
    "submit_400": Fault("submit", "400 with a JSON detail", _detail(400, "Bad request")),
    "submit_401": Fault("submit", "401 though the key is right", _detail(401, "Invalid API key")),
    "submit_402": Fault("submit", "402 though there are credits", _detail(402, "Insufficient credits")),
    "submit_429": Fault("submit", "429 though there are free slots", _detail(429, "Too many concurrent generations")),
    "submit_500": Fault("submit", "500 with a JSON detail", _detail(500, "Internal server error")),
    "submit_503_html": Fault("submit", "503 without JSON, as a proxy gives it", _html(503, "503 Unavailable")),
    "submit_html_200": Fault("submit", "HTML with 200; the order is NOT accepted", _html(200, "Just a moment")),
    "refuse_tags": Fault("tags", "422 Invalid tags", _detail(422, "Invalid tags: none of these exists here")),
    # what becomes of an accepted order
    "failure": Fault("order", "the task ends in FAILURE", Change({"outcome": "FAILURE"})),
    "slow": Fault("order", "generation takes `seconds` (60)", Change({"generate_seconds": 60.0}, "generate_seconds")),
    "no_webhook": Fault("order", "its webhook is never sent", Change({"webhooks": 0})),
    "webhook_twice": Fault("order", "its webhook is sent twice at once", Change({"webhooks": 2})),
    "webhook_early": Fault(
        "order",
        "the task ends at once and its webhook is delivered before the submit is answered",
        Change({"generate_seconds": 0.0, "early": True}),
    ),
    "song_paths_empty": Fault("order", "SUCCESS without a song", Change({"paths": "empty"})),
    "song_paths_relative": Fault("order", "song paths without a host", Change({"paths": "relative"})),
    "alignment_failed": Fault("order", "alignment ends in FAILURE", Change({"alignment": "FAILURE"})),
    "alignment_never": Fault("order", "alignment never ends", Change({"alignment": "NEVER"})),
    # how an accepted order is answered
    "answer_slow": Fault("answer", "accepted at once, answered after `seconds` (5)", Wait(5.0)),
    "answer_lost": Fault("answer", "accepted, then the connection closes without a byte", Drop()),
    "submit_html_200_accepted": Fault("answer", "HTML with 200; the order IS accepted", _html(200, "Just a moment")),
    # asking about a task
    "fetch_slow": Fault("fetch", "answered after `seconds` (5)", Wait(5.0)),
    "fetch_404": Fault("fetch", "404 though the task is there", _detail(404, "Task not found")),
    "fetch_500": Fault("fetch", "500 with a JSON detail", _detail(500, "Internal server error")),
    "fetch_503_html": Fault("fetch", "503 without JSON", _html(503, "503 Service Temporarily Unavailable")),
    "fetch_html_200": Fault("fetch", "HTML with 200", _html(200, "Just a moment")),
    "balance_500": Fault("balance", "500 with a JSON detail", _detail(500, "Internal server error")),
    # the song's file
    "song_404": Fault("file", "404", _detail(404, "Not found")),
    "song_410": Fault("file", "410", _detail(410, "Gone")),
    "song_500": Fault("file", "500", _detail(500, "Internal server error")),
    "song_html": Fault("file", "HTML with 200", _html(200, "Just a moment")),
    "song_text": Fault("file", "text that says it is audio/mpeg", Answer(200, "not a song\n" * 5000, "audio/mpeg")),
    "song_cut": Fault("file", "half the promised bytes, then the connection ends", Send(streams.cut)),
    "song_truncated": Fault("file", "bytes cut from the end, Content-Length fits them", Send(streams.truncated)),
    "song_slow": Fault("file", "dripping over `seconds` (120)", Send(streams.dripping, 120.0)),
}
WITHOUT_MATCH = ("any", "balance")  # no order is known there
