"""Schemathesis calls every route of the API with what the document allows and forbids, and compares each answer with it.

No answer may be a crash, have a status, a type, a header or a shape that the document does not name, or come without the
login where one is wanted. The same seed each time, so that a failure can be looked at.
"""
import copy
import itertools
import re
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import pytest
import schemathesis
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import from_schema
from schemathesis.engine.events import EngineFinished, NonFatalError, ScenarioFinished

from api_kit import Api, on_postgresql, on_sqlite
from petsong import database
from petsong.campaigns.loader import FORMATS
from petsong.lifecycle.claims import later
from petsong.lifecycle.stages import ENTRY_STATUS, Stage
from petsong.models import Heartbeat, OutboxMessage
from petsong.schemas import EXAMPLE_PHOTO

pytest_plugins = "api_fixtures"
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

PASSWORD = "open sesame, please"
COOKIE = "cookie_test"
TOKEN = "feedface" * 8
CONFIG: dict[str, Any] = {
    "seed": 7, "workers": 1, "continue-on-failure": True, "cache": {"enabled": False},
    "auth": {"openapi": {"operator": {"username": "admin", "password": PASSWORD}, "monitor": {"bearer": PASSWORD}}},
    "generation": {"max-examples": 6, "deterministic": True, "database": "none", "no-shrink": True},
    "phases": {
        "stateful": {"enabled": False}, "examples": {"operation-ordering": "none"}, "fuzzing": {"operation-ordering": "none"},
        "coverage": {"operation-ordering": "none", "unexpected-methods": ["delete", "put"]},
    },
    "checks": {
        # 503 belongs to the API (sold out, busy, not healthy); a crash is 500.
        "not_a_server_error": {"expected-statuses": ["2xx", "3xx", "4xx", "503"]},
        # What the rules of names, photos and campaigns take is more than a schema can say, and further keys are ignored.
        "positive_data_acceptance": {"enabled": False}, "negative_data_rejection": {"enabled": False},
        "ignored_auth": {"enabled": False},  # passes an argument that its own transport for WSGI does not take
        "missing_required_header": {"expected-statuses": ["401", "429"]},
    },
}


def from_everywhere(app: Any) -> Any:
    """Each request from another address, and most with a key of their own, so that one visitor's limits do not end the run."""
    numbers = itertools.count(1)

    def wrapped(environ: dict[str, Any], start_response: Any) -> Any:
        n = next(numbers)
        key = environ.get("HTTP_IDEMPOTENCY_KEY")
        own = {"HTTP_IDEMPOTENCY_KEY": f"{key}{n}"} if key and n % 4 else {}
        address = f"10.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}"
        return app({**environ, **own, "REMOTE_ADDR": address}, start_response)

    return wrapped


def plant(api: Api) -> None:
    """A song in every stage, one of them with files, and some that may be deleted; workers, and a message that left."""
    for stage in Stage:
        api.song(f"song{stage}", stage=stage, entry_status=ENTRY_STATUS[stage])
        api.song(f"gone{stage}", stage=stage, entry_status=ENTRY_STATUS[stage])
    api.attempt("songgenerating", token=TOKEN)
    api.change("songdone", generated_video_path="video/songdone.mp4", word_timing=[{"word": "Biscuit", "start": 0, "end": 1}])
    api.parts.storage.put_bytes("video/songdone.mp4", b"x" * 5000)
    for kind in ("poster", "preview", *FORMATS[1:]):
        api.add_rendition("songdone", kind, b"picture")
    api.workers()
    with database.connection():
        moment = database.now()
        Heartbeat.update(at=later(moment, 3600)).execute()
        for message_id in ("msg_one", "msg_two"):
            OutboxMessage.insert(
                id=message_id, kind="test", destination="alert", payload={"text": "A test"}, created_at=moment, state="given_up"
            ).execute()


# Names, photos and ids that there are beside some that are not: by chance alone every answer would be a refusal.
KNOWN: dict[str, list[Any]] = {
    "token": [TOKEN, "0" * 64], "message_id": ["msg_one", "msg_two", "msg_none"],
    "Range": ["bytes=0-9", "bytes=90000-", "bytes=-1", "lines=1-2"],
    "pet_name": ["Biscuit", "Zoë", "R2"], "owner_name": ["Marisol", "-"], "photo": [EXAMPLE_PHOTO, "aaaa"],
}


def narrowed(document: dict[str, Any], paths: str) -> dict[str, Any]:
    """Some paths of the document with the values of KNOWN, and ids: a song that may be deleted is asked about nowhere else."""
    found = copy.deepcopy(document)
    found["paths"] = {path: methods for path, methods in found["paths"].items() if re.match(paths, path)}
    for path, methods in found["paths"].items():
        prefix = "gone" if path.endswith("/delete") else "song"
        stages = [Stage.DONE, Stage.FAILED] if path.startswith("/storage") else list(Stage)
        known = {**KNOWN, "session_id": [*(f"{prefix}{stage}" for stage in stages), "nobody"]}
        for parameter in itertools.chain.from_iterable(told["parameters"] for told in methods.values()):
            parameter.pop("example", None)
            if parameter["name"] in known:
                parameter["schema"] = {"enum": known[parameter["name"]]}
            elif parameter["name"] == "Idempotency-Key":
                del parameter["schema"]["examples"]  # with one key for all, each form but the first is refused
    if "/api/webhook" in found["paths"]:
        body = found["paths"]["/api/webhook"]["post"]["requestBody"]["content"]["application/json"]
        body["schema"] = {"enum": [{"task_id": "task-songgenerating"}, {"task_id": "task-none"}, [], 7]}
    schemas = found["components"]["schemas"]
    schemas["Deletion"]["properties"]["cookie_id"] = {"enum": [COOKIE, "cookie_other"]}
    for name in set(KNOWN) & set(schemas["SubmissionForm"]["properties"]):
        schemas["SubmissionForm"]["properties"][name] = {"enum": KNOWN[name]}
    return found


def run(api: Api, app: Any, paths: str) -> tuple[list[str], Counter[str]]:
    """What is wrong, and how often each operation, of those whose path matches, answered with each status."""
    document = narrowed(api.get("/api/openapi.json").get_json(), paths)
    schema = schemathesis.openapi.from_dict(document, config=SchemathesisConfig.from_dict(CONFIG))
    schema.app = app
    return collect(from_schema(schema).execute())


def collect(events: Iterable[Any]) -> tuple[list[str], Counter[str]]:
    problems: dict[str, str] = {}  # one call for each, by what is wrong with which operation
    seen: Counter[str] = Counter()
    for event in events:
        if isinstance(event, ScenarioFinished):
            recorded = event.recorder
            answers = [interaction.response for interaction in recorded.interactions.values()]
            seen.update(f"{recorded.label} {answer.status_code}" for answer in answers if answer)
            nodes = itertools.chain.from_iterable(recorded.checks.values())
            failed = [node.failure_info for node in nodes if node.failure_info]
            for info in failed:
                problems.setdefault(f"{info.failure.operation}: {info.failure.title}", f"{info.failure}\n{info.code_sample}")
        elif isinstance(event, NonFatalError):
            problems[event.label] = str(event.value)
        elif isinstance(event, EngineFinished):
            problems.update((str(failure.operation), str(failure)) for failure in event.failures)
    return [f"{what}\n{how}" for what, how in problems.items()], seen


@on_postgresql
def test_every_answer_is_in_the_document(make_api: Callable[..., Api]) -> None:
    api = make_api(
        admin_password=PASSWORD, metrics_token=PASSWORD, form_submit_retry=1000, submissions_per_hour_per_ip=1000,
        results_per_hour_per_ip=1000,
    )
    plant(api)
    app = from_everywhere(api.app.wsgi_app)
    public, seen = run(api, app, "(?!/api/admin)")
    operators, seen_too = run(api, app, "/api/admin")  # later: they may close the campaign, or delete what others ask about
    problems, seen = public + operators, seen + seen_too
    assert problems == [], "\n".join(problems)
    document = api.get("/api/openapi.json").get_json()
    wanted = {f"{method.upper()} {path}" for path, methods in document["paths"].items() for method in methods}
    assert {call.rpartition(" ")[0] for call in seen if call.endswith((" 200", " 206"))} == wanted  # what it is there for
    assert {f"GET /api/results/{{session_id}} {status}" for status in (200, 400, 404, 409)} <= set(seen)
    assert {f"POST /api/submissions {status}" for status in (200, 400, 409, 415)} <= set(seen)


@on_sqlite
def test_so_are_the_limits_and_the_answers_without_redis(make_api: Callable[..., Api]) -> None:
    api = make_api(
        admin_password=PASSWORD, redis_url="redis://127.0.0.1:9/0", submissions_per_hour_per_ip=1, results_per_hour_per_ip=3,
        form_submit_retry=2,
    )
    plant(api)
    problems, seen = run(api, api.app.wsgi_app, "/api/(submissions|results|webhook)")
    assert problems == [], "\n".join(problems)
    limited = {call.rpartition(" ")[0] for call in seen if call.endswith(" 429")}
    assert {"POST /api/submissions", "GET /api/results/{session_id}", "POST /api/submissions/{session_id}/delete"} <= limited


@on_sqlite
def test_nothing_behind_the_login_answers_without_it(make_api: Callable[..., Api]) -> None:
    api = make_api(admin_password=PASSWORD, metrics_token=PASSWORD)
    plant(api)
    call, count = api.app.test_client(), 0
    for path, methods in api.get("/api/openapi.json").get_json()["paths"].items():
        for method, told in methods.items():
            if "security" in told:
                places = {parameter["name"]: parameter["example"] for parameter in told["parameters"] if "example" in parameter}
                address = {"REMOTE_ADDR": f"198.51.100.{count}"}
                answer = call.open(path.format(**places), method=method, json={}, environ_base=address)
                assert answer.status_code == 401 and "WWW-Authenticate" in answer.headers, f"{method} {path}"
                count += 1
    assert count
