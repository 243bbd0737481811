"""Everything that can go wrong on demand: one row of FAULTS each, and the rules by which a row strikes.

| point   | a fault there strikes                                                                          |
|---------|------------------------------------------------------------------------------------------------|
| any     | every API call and every song file, before anything else                                       |
| submit  | a submit, after the key was checked and before the order is: nothing is accepted or charged     |
| tags    | a submit that has tags, right after the former                                                 |
| slots   | a checked order for which there is a slot by the settings, but not by the fault's number       |
| order   | an accepted order: changes what becomes of it, fixed at acceptance                             |
| answer  | the answer to an accepted order: it stands in the ledger and is charged whatever the client saw |
| fetch   | GET /v1/generations/{id} and /v1/generations/status/{id}                                       |
| balance | GET /v1/credits/balance                                                                        |
| file    | GET of a song file                                                                             |

POST /sandbox/faults takes {fault, match?, count?, share?, from_seconds?, for_seconds?, seconds?, number?}: `match` is a
part of the order's prompt or its task id; `count` how often it strikes at most (once per submit, fetch or download);
`share` (0 to 1) how many of its chances it takes, the same ones in every run; `from_seconds` and `for_seconds` when it
begins and how long it lasts, counted from now; `seconds` is the length of what is slow or late, `number` how many there
are of what is counted. Several faults of one point meet in the order they were added: changes and waits add up, the
first answer ends it, and what stands behind it does not strike. Webhooks go out in an outage too.

Every strike is in the ledger (`strikes`): when, which fault, of which request and order, and the status it was answered
with, 0 for a connection closed without an answer and null where the fault left the status alone. A redirect to a place
where nobody may go leads to a port of our own; who comes there is in the ledger too (`trespasses`).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from scripts.sandbox import forgeries, streams


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
    """Fields of the order's plan (desk.Plan) that become these; `seconds` and `number` go to the fields named here."""

    plan: dict[str, object]
    slow: str = ""
    many: str = ""


@dataclass(frozen=True)
class Send:
    """The song's bytes leave in this way (a function of streams.py)."""

    stream: Callable[[Path, float], streams.Stream]
    seconds: float = 0.0


@dataclass(frozen=True)
class Redirect:
    """On to another address: {origin} is ours, {path} the one asked for, {trap} a port that nobody may ask."""

    to: str
    status: int = 302


@dataclass(frozen=True)
class Slots:
    """No more than this many unfinished songs; one more is 429."""

    number: int


@dataclass(frozen=True)
class Stale:
    """The task as it was at half of its time so far."""


Effect = Answer | Drop | Wait | Change | Send | Redirect | Slots | Stale
ENDING = (Answer, Drop, Send, Redirect, Slots, Stale)  # nothing else strikes after these


@dataclass(frozen=True)
class Fault:
    """`shared`: fit for a share of everything (SandboxClient.add_shares): it neither stops all nor lasts beyond a minute."""

    point: str
    what: str
    effect: Effect
    shared: bool = True


def _detail(status: int, text: str) -> Answer:
    return Answer(status, {"detail": text}, "application/json")


def _html(status: int, title: str) -> Answer:
    return Answer(status, f"<!doctype html><html><head><title>{title}</title></head><body>{title}</body></html>")


def _json(body: dict[str, object]) -> Answer:
    return Answer(200, body, "application/json")


def _forged(forge: Callable[[bytes], bytes]) -> Send:
    return Send(streams.forged(forge))


UNDOCUMENTED = ("RECEIVED", "QUEUED_FOR_GPU", "GENERATING", "SUCCEEDED", "FAILED", "COMPLETED", "success", "SAVING")
BACKWARDS = ("RECEIVED", "GENERATING", "PROMPT", "SAVING", "RECEIVED", "DECOMPRESSING", "GENERATING", "TASK_SENT")

FAULTS: dict[str, Fault] = {
    "outage": Fault("any", "every request: the connection closes without an answer", Drop(), shared=False),
    "outage_503": Fault("any", "every request: 503 with a JSON detail", _detail(503, "Service unavailable"), shared=False),
    # before acceptance
    "submit_400": Fault("submit", "400 with a JSON detail", _detail(400, "Bad request")),
    "submit_401": Fault("submit", "401 though the key is right", _detail(401, "Invalid API key")),
    "submit_402": Fault("submit", "402 though there are credits", _detail(402, "Insufficient credits")),
    "submit_429": Fault("submit", "429 though there are free slots", _detail(429, "Too many concurrent generations")),
    "submit_500": Fault("submit", "500 with a JSON detail", _detail(500, "Internal server error")),
    "submit_503_html": Fault("submit", "503 without JSON, as a proxy gives it", _html(503, "503 Unavailable")),
    "submit_html_200": Fault("submit", "HTML with 200; the order is NOT accepted", _html(200, "Just a moment")),
    "submit_redirect": Fault("submit", "307 to a place where nobody may go", Redirect("{trap}{path}", 307)),
    "refuse_tags": Fault("tags", "422 Invalid tags", _detail(422, "Invalid tags: none of these exists here")),
    "slots_fewer": Fault("slots", "429 above `number` (5) unfinished songs, whatever the settings grant", Slots(5)),
    # what becomes of an accepted order
    "failure": Fault("order", "the task ends in FAILURE", Change({"outcome": "FAILURE"})),
    "slow": Fault(
        "order", "generation takes `seconds` (60)", Change({"generate_seconds": 60.0}, "generate_seconds"), shared=False
    ),
    "no_webhook": Fault("order", "its webhook is never sent", Change({"webhooks": 0})),
    "webhook_twice": Fault("order", "its webhook is sent twice at once", Change({"webhooks": 2})),
    "webhook_early": Fault(
        "order",
        "the task ends at once and its webhook is delivered before the submit is answered",
        Change({"generate_seconds": 0.0, "early": True}),
    ),
    "webhook_per_status": Fault("order", "a webhook at each change of its status", Change({"per_status": True})),
    "webhook_shuffled": Fault(
        "order", "a webhook for each of its statuses, but in disorder", Change({"per_status": True, "shuffled": True})
    ),
    "webhook_late": Fault("order", "its webhooks come `seconds` (180) late", Change({"late": 180.0}, "late")),
    "webhook_repeated": Fault(
        "order",
        "its webhook is sent `number` (5) times, `seconds` (1) apart",
        Change({"webhooks": 5, "apart": 1.0}, "apart", "webhooks"),
    ),
    "song_paths_empty": Fault("order", "SUCCESS without a song", Change({"paths": "empty"})),
    "song_paths_relative": Fault("order", "song paths without a host", Change({"paths": "relative"})),
    "alignment_failed": Fault("order", "alignment ends in FAILURE", Change({"alignment": "FAILURE"})),
    "alignment_never": Fault("order", "alignment never ends", Change({"alignment": "NEVER"})),
    "alignment_late": Fault(
        "order", "alignment takes `seconds` (60)", Change({"align_seconds": 60.0}, "align_seconds")
    ),
    "alignment_absent": Fault("order", "no word of alignment, as if it were not asked for", Change({"alignment": "ABSENT"})),
    "alignment_other_keys": Fault("order", "word timing in the other spelling of its keys", Change({"other_keys": True})),
    "status_unknown": Fault("order", "statuses on the way that nobody documented", Change({"statuses": UNDOCUMENTED})),
    "status_backwards": Fault("order", "statuses on the way that go back again", Change({"statuses": BACKWARDS})),
    "task_forgotten": Fault(
        "order", "the task is not known any more (404) from half of its time on", Change({"forgets": True}), shared=False
    ),
    "task_forgotten_for": Fault(
        "order",
        "the task is not known (404) from half of its time on, for `seconds` (20)",
        Change({"forgets": True, "forgotten_seconds": 20.0}, "forgotten_seconds"),
    ),
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
    "fetch_no_status": Fault("fetch", "JSON with 200, without a status", _json({"id": "?", "song_paths": None})),
    "fetch_stale": Fault("fetch", "the task as it was at half of its time, also after its end", Stale()),
    "fetch_redirect": Fault("fetch", "302 to a place where nobody may go", Redirect("{trap}{path}")),
    "balance_500": Fault("balance", "500 with a JSON detail", _detail(500, "Internal server error")),
    "balance_html": Fault("balance", "HTML with 200", _html(200, "Just a moment")),
    "balance_no_fields": Fault("balance", "an empty object", _json({})),
    "balance_one_field": Fault("balance", "none of one kind, and not a word of the other", _json({"num_credits_payg": 0})),
    "balance_strings": Fault("balance", "texts for numbers", _json({"num_credits": "15000", "num_credits_payg": "0"})),
    # the song's file
    "song_404": Fault("file", "404", _detail(404, "Not found")),
    "song_410": Fault("file", "410", _detail(410, "Gone")),
    "song_500": Fault("file", "500", _detail(500, "Internal server error")),
    "song_html": Fault("file", "HTML with 200", _html(200, "Just a moment")),
    "song_text": Fault("file", "text that says it is audio/mpeg", Answer(200, "not a song\n" * 5000, "audio/mpeg")),
    "song_cut": Fault("file", "half the promised bytes, then the connection ends", Send(streams.cut)),
    "song_truncated": Fault("file", "bytes cut from the end, Content-Length fits them", Send(streams.truncated)),
    "song_slow": Fault("file", "dripping over `seconds` (120)", Send(streams.dripping, 120.0), shared=False),
    "song_drip": Fault("file", "a byte every `seconds` (1): for days", Send(streams.trickling, 1.0), shared=False),
    "song_endless": Fault("file", "no Content-Length, and no end", Send(streams.endless)),
    "song_length_longer": Fault("file", "Content-Length says more than comes", Send(streams.longer)),
    "song_length_shorter": Fault("file", "Content-Length says less than comes", Send(streams.shorter)),
    "song_type_json": Fault("file", "the song, as application/json", Send(streams.typed("application/json"))),
    "song_type_image": Fault("file", "the song, as image/jpeg", Send(streams.typed("image/jpeg"))),
    "song_ten_hours_xing": Fault("file", "its Xing header says ten hours", _forged(forgeries.ten_hours_by_xing)),
    "song_ten_hours_vbri": Fault("file", "its VBRI header says ten hours", _forged(forgeries.ten_hours_by_vbri)),
    "song_tag_beyond": Fault("file", "an ID3 tag that says 256 MB", _forged(forgeries.tag_beyond_the_end)),
    "song_tag_inflating": Fault("file", "an ID3 tag that inflates to 200 MB", _forged(forgeries.inflating_tag)),
    "song_tag_unsynchronised": Fault("file", "15 MB of escaped bytes in its tag", _forged(forgeries.unsynchronised_tag)),
    "song_tag_crowded": Fault("file", "an ID3 tag of 200,000 frames", _forged(forgeries.crowded_tag)),
    "song_cover_large": Fault("file", "15 MB of cover art", _forged(forgeries.large_cover)),
    "song_redirect": Fault("file", "302 to another address of ours, where it is", Redirect("{origin}/moved{path}")),
    "song_redirect_loop": Fault("file", "302 to itself", Redirect("{path}")),
    "song_redirect_forbidden": Fault("file", "302 to a place where nobody may go", Redirect("{trap}{path}")),
}
SHARED = tuple(name for name, fault in FAULTS.items() if fault.shared)
WITHOUT_MATCH = ("any", "balance")  # no order is known there
