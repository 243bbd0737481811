"""The HTTP face: the song service's API and files, as its documentation has them, and the faults in their way."""

import time
from collections.abc import Callable, Iterable
from typing import Any

from flask import Blueprint, Flask, Response, current_app, jsonify, request
from werkzeug.exceptions import HTTPException

from scripts.sandbox import orders, strikes, tasks
from scripts.sandbox.desk import SUBMIT_PATH, Desk
from scripts.sandbox.faults import Answer, Drop, Redirect, Send, Stale, Wait
from scripts.sandbox.ledger import Ledger
from scripts.sandbox.orders import Refused
from scripts.sandbox.streams import whole
from scripts.sandbox.strikes import Struck
from scripts.sandbox.tasks import Task
from scripts.sandbox.tunes import ENCODERS, TuneError
from scripts.sandbox.webhooks import Webhooks

DROP = "sandbox.drop"  # in the WSGI environment: end the connection instead of answering

api = Blueprint("api", __name__)


class House:
    """What the views work with."""

    def __init__(self, ledger: Ledger, desk: Desk, webhooks: Webhooks, base_url: str) -> None:
        self.ledger, self.desk, self.webhooks, self.base_url = ledger, desk, webhooks, base_url
        self.trap_url = base_url  # until there is a trap


def house() -> House:
    found: House = current_app.extensions["sandbox"]
    return found


def refusal(refused: Refused) -> Response:
    answer = jsonify({"detail": refused.detail})
    answer.status_code = refused.status
    return answer


def asked() -> strikes.Request:
    """The request as the ledger has it, with the task that its path names."""
    named = request.view_args or {}
    task_id = str(named.get("task_id") or _task_id_of(str(named.get("name") or "")))
    return strikes.Request(request.method, request.path, task_id)


def struck(point: str, text: str = "") -> list[Struck]:
    ledger = house().ledger
    return strikes.strike(ledger.store, point, text, ledger.settings().seed, asked())


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
        elif isinstance(fault.effect, Redirect):
            where = {"origin": house().base_url, "trap": house().trap_url, "path": request.path}
            return Response(status=fault.effect.status, headers={"Location": fault.effect.to.format(**where)})
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
    if request.endpoint in ("api.song", "api.moved_song") or shown == f"Bearer {house().ledger.settings().key}":
        return None
    refused = Refused(401, "Invalid API key" if shown else "Not authenticated")
    if request.method == "POST":
        house().ledger.refuse(refused.status, str(refused.detail), "")
    return refusal(refused)


def _note(found: list[Struck], answer: Response, prompt: str = "") -> None:
    status = 0 if request.environ.get(DROP) else answer.status_code
    names = [fault.name for fault in found]
    house().ledger.refuse(status, ", ".join(names), prompt, names)


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
        prompt = str(order.get("prompt") or "")
        house().ledger.refuse(refused.status, str(refused.detail), prompt, refused.faults)
        return refusal(refused)
    return suffered(answers) or jsonify({"task_id": task.task_id})


def _task_then(task_id: str) -> tuple[Task, float] | Response:
    """The task and the moment of which is told, or what is answered instead."""
    task, now = house().ledger.task(task_id), time.time()
    if task is not None and tasks.forgotten(task, now):
        strikes.note(house().ledger.store, next(name for name in task.faults if "forgotten" in name), asked(), 404)
        task = None
    if task is None:
        return refusal(Refused(404, "Task not found"))
    found = struck("fetch", f"{task.prompt} {task_id}")
    stale = any(isinstance(fault.effect, Stale) for fault in found)
    answer = suffered(found)
    now = time.time()
    return answer or (task, (task.accepted_at + min(now, task.ends_at)) / 2 if stale else now)


@api.get("/v1/generations/<task_id>")
def whole_task(task_id: str) -> Response:
    found = _task_then(task_id)
    if isinstance(found, Response):
        return found
    timing, ready = house().desk.timing(found[0])
    return jsonify(tasks.document(*found, house().base_url, timing, ready))


@api.get("/v1/generations/status/<task_id>")
def status(task_id: str) -> Response:
    found = _task_then(task_id)
    if isinstance(found, Response):
        return found
    task, now = found
    state = tasks.status(task, now)
    if request.args.get("include_alignment") != "true":
        return jsonify(state)
    _timing, ready = house().desk.timing(task)
    return jsonify({"status": state, "alignment_status": tasks.alignment_status(task, now, ready)})


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


@api.get("/moved/files/<name>")
def moved_song(name: str) -> Response:
    """Where song_redirect leads."""
    task = _task_of(name)
    return refusal(Refused(404, "Not found")) if task is None else _file(task, [])


def _task_id_of(name: str) -> str:
    return name.removeprefix("audio_").rpartition("_")[0]


def _task_of(name: str) -> Task | None:
    """The task whose finished song has this file name, until it is deleted."""
    task = house().ledger.task(_task_id_of(name))
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
    answer = Response(stream.chunks, mimetype=stream.mimetype or ENCODERS[path.suffix[1:]][1])
    if stream.length is not None:
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
