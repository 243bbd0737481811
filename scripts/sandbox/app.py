"""The HTTP face: the song service's API and files, as its documentation has them, and the faults in their way."""

import time
from collections.abc import Callable, Iterable
from typing import Any

from flask import Blueprint, Flask, Response, current_app, jsonify, request
from werkzeug.exceptions import HTTPException

from scripts.sandbox import orders, strikes, tasks
from scripts.sandbox.desk import Desk
from scripts.sandbox.faults import Answer, Drop, Send, Wait
from scripts.sandbox.ledger import Ledger
from scripts.sandbox.orders import Refused
from scripts.sandbox.streams import whole
from scripts.sandbox.strikes import Struck
from scripts.sandbox.tasks import Task
from scripts.sandbox.tunes import ENCODERS, TuneError
from scripts.sandbox.webhooks import Webhooks

SUBMIT_PATH = "/v1/generations/v3"
DROP = "sandbox.drop"  # in the WSGI environment: end the connection instead of answering

api = Blueprint("api", __name__)


class House:
    """What the views work with."""

    def __init__(self, ledger: Ledger, desk: Desk, webhooks: Webhooks, base_url: str) -> None:
        self.ledger, self.desk, self.webhooks, self.base_url = ledger, desk, webhooks, base_url


def house() -> House:
    found: House = current_app.extensions["sandbox"]
    return found


def refusal(refused: Refused) -> Response:
    answer = jsonify({"detail": refused.detail})
    answer.status_code = refused.status
    return answer


def struck(point: str, text: str = "") -> list[Struck]:
    ledger = house().ledger
    return strikes.strike(ledger.store, point, text, ledger.settings().seed)


def suffered(found: list[Struck]) -> Response | None:
    """Waits what there is to wait; the answer that a fault gives instead of the right one, if one does."""
    for fault in found:
        if isinstance(fault.effect, Wait):
            time.sleep(fault.effect.seconds if fault.seconds is None else fault.seconds)
        elif isinstance(fault.effect, Drop):
            request.environ[DROP] = True
            return Response(status=500)
        elif isinstance(fault.effect, Answer):
            return _given(fault.effect)
    return None


def _given(answer: Answer) -> Response:
    made = jsonify(answer.body) if isinstance(answer.body, dict) else Response(answer.body, mimetype=answer.mimetype)
    made.status_code = answer.status
    made.headers.update(answer.headers)
    return made


@api.before_request
def read_and_suffer_an_outage() -> Response | None:
    # A body left unread would turn the end of the connection into a reset.
    request.get_data()
    found = struck("any")
    answer = suffered(found)
    if answer is not None and request.method == "POST":
        _note(found, answer)
    return answer


@api.before_request
def ask_for_the_key() -> Response | None:
    shown = request.headers.get("Authorization")
    if request.endpoint == "api.song" or shown == f"Bearer {house().ledger.settings().key}":
        return None
    refused = Refused(401, "Invalid API key" if shown else "Not authenticated")
    if request.method == "POST":
        house().ledger.refuse(refused.status, str(refused.detail), "")
    return refusal(refused)


def _note(found: list[Struck], answer: Response, prompt: str = "") -> None:
    status = 0 if request.environ.get(DROP) else answer.status_code
    house().ledger.refuse(status, ", ".join(fault.name for fault in found), prompt)


@api.post(SUBMIT_PATH)
def submit() -> Response:
    order: orders.Order = {}
    try:
        order = orders.parse(request.get_data())
        prompt = str(order.get("prompt") or "")
        found = [*struck("submit", prompt), *(struck("tags", prompt) if order.get("tags") else [])]
        answer = suffered(found)
        if answer is not None:
            _note(found, answer, prompt)
            return answer
        orders.check(order)
        task, answers = house().desk.accept(order)
    except Refused as refused:
        house().ledger.refuse(refused.status, str(refused.detail), str(order.get("prompt") or ""))
        return refusal(refused)
    return suffered(answers) or jsonify({"task_id": task.task_id})


def _task_or_answer(task_id: str) -> Task | Response:
    task = house().ledger.task(task_id)
    if task is None:
        return refusal(Refused(404, "Task not found"))
    return suffered(struck("fetch", f"{task.prompt} {task_id}")) or task


@api.get("/v1/generations/<task_id>")
def whole_task(task_id: str) -> Response:
    task = _task_or_answer(task_id)
    return task if isinstance(task, Response) else jsonify(tasks.document(task, time.time(), house().base_url))


@api.get("/v1/generations/status/<task_id>")
def status(task_id: str) -> Response:
    task = _task_or_answer(task_id)
    if isinstance(task, Response):
        return task
    now = time.time()
    state = tasks.status(task, now)
    if request.args.get("include_alignment") != "true":
        return jsonify(state)
    return jsonify({"status": state, "alignment_status": tasks.alignment_status(task, now)})


@api.get("/v1/credits/balance")
def balance() -> Response:
    return suffered(struck("balance")) or jsonify(house().ledger.balance(time.time()))


@api.get("/files/<name>")
def song(name: str) -> Response:
    task = _task_of(name)
    if task is None:
        return refusal(Refused(404, "Not found"))
    if request.method == "HEAD":  # a look is not a download: faults wait for that
        return _file(task, [])
    found = struck("file", f"{task.prompt} {task.task_id}")
    return suffered(found) or _file(task, found)


def _task_of(name: str) -> Task | None:
    """The task whose finished song has this file name, until it is deleted."""
    task = house().ledger.task(name.removeprefix("audio_").rpartition("_")[0])
    now = time.time()
    if task is None or task.file_name != name or tasks.status(task, now) != "SUCCESS":
        return None
    return None if now > task.ends_at + house().ledger.settings().keep_seconds else task


def _file(task: Task, found: list[Struck]) -> Response:
    try:
        path = house().desk.song(task)
    except TuneError as error:
        return refusal(Refused(500, str(error)))
    stream = whole(path, 0.0)
    for fault in found:
        if isinstance(fault.effect, Send):
            stream = fault.effect.stream(path, fault.effect.seconds if fault.seconds is None else fault.seconds)
    answer = Response(stream.chunks, mimetype=ENCODERS[path.suffix[1:]][1])
    answer.content_length = stream.length
    return answer


def _error(error: HTTPException) -> Response:
    return refusal(Refused(error.code or 500, error.name))


Wsgi = Callable[[dict[str, Any], Any], Iterable[bytes]]


def ending_connections(wsgi: Wsgi) -> Wsgi:
    """The server ends a connection without a byte when the application raises ConnectionError before any."""

    def guarded(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        body = wsgi(environ, start_response)
        if environ.get(DROP):
            raise ConnectionAbortedError("dropped on purpose")
        return body

    return guarded


def create_app(rooms: House, *more: Blueprint) -> Flask:
    app = Flask(__name__, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = 1024 * 1024
    app.extensions["sandbox"] = rooms
    for blueprint in (api, *more):
        app.register_blueprint(blueprint)
    app.register_error_handler(HTTPException, _error)
    return app
