"""The stand-in's own addresses: the ledger, and for programs on this machine settings, faults and a fresh start."""

import time

from flask import Blueprint, Response, jsonify, request

from scripts.sandbox import strikes
from scripts.sandbox.app import house, refusal
from scripts.sandbox.orders import Refused
from scripts.sandbox.settings import SettingError
from scripts.sandbox.strikes import FaultError

control = Blueprint("control", __name__)
LOOPBACK = ("127.0.0.1", "::1", "::ffff:127.0.0.1")


@control.before_request
def only_from_here() -> Response | None:
    if request.path.startswith("/sandbox/") and request.remote_addr not in LOOPBACK:
        return refusal(Refused(403, "Only for programs on this machine"))
    return None


@control.errorhandler(SettingError)
@control.errorhandler(FaultError)
def bad_request(error: Exception) -> Response:
    return refusal(Refused(400, str(error)))


def _body() -> dict[str, object]:
    given = request.get_json(force=True, silent=True)
    if not isinstance(given, dict):
        raise SettingError("the body must be a JSON object")
    return given


def _settings() -> Response:
    return jsonify(vars(house().ledger.settings()))


@control.get("/ledger")
def ledger() -> Response:
    """Accepted orders in order, refused submits, strikes of faults, trespasses, a summary. Times: seconds since 1970."""
    return jsonify(house().ledger.record(time.time()))


@control.get("/sandbox/settings")
def settings() -> Response:
    return _settings()


@control.post("/sandbox/configure")
def configure() -> Response:
    house().ledger.configure(_body())
    return _settings()


@control.post("/sandbox/reset")
def reset() -> Response:
    """Forgets orders, faults and what was configured: all is as the command line said."""
    house().ledger.store.clear()
    return _settings()


@control.post("/sandbox/finish")
def finish() -> Response:
    """Ends unfinished tasks now: {task_id?: one of them, outcome?: SUCCESS or FAILURE instead of their own}."""
    given = _body()
    task_id, outcome = given.get("task_id"), given.get("outcome")
    if outcome not in (None, "SUCCESS", "FAILURE"):
        raise SettingError(f"outcome is {outcome!r}: must be SUCCESS or FAILURE")
    known = None if task_id is None else str(task_id)
    ended = house().ledger.end_now(known, None if outcome is None else str(outcome), time.time())
    house().webhooks.wake()
    return jsonify({"ended": ended})


@control.get("/sandbox/faults")
def faults() -> Response:
    return jsonify(strikes.listed(house().ledger.store))


@control.post("/sandbox/faults")
def add_fault() -> Response:
    return jsonify({"id": strikes.add(house().ledger.store, _body(), time.time())})


@control.delete("/sandbox/faults")
def clear_faults() -> Response:
    strikes.clear(house().ledger.store)
    return jsonify([])
