"""The operator's corner, behind basic auth; 404 while no password is set."""
import hmac
from typing import Any

from flask import Blueprint, Response, jsonify, request
from redis.exceptions import RedisError
from rq.registry import StartedJobRegistry
from rq.serializers import JSONSerializer

from petsong import database, limits
from petsong.lifecycle.stages import ENTRY_STATUS
from petsong.models import Submission
from petsong.queues import Queues
from petsong.schemas import QueueStatus
from petsong.settings import QUEUE_NAMES
from petsong.web.errors import ApiError, respond
from petsong.web.extension import parts

blueprint = Blueprint("admin", __name__, url_prefix="/api/admin")


@blueprint.before_request
def _require_operator() -> Response | None:
    settings = parts().settings
    if not settings.admin_password:
        raise ApiError(404, "not_found", "Not found", "There is nothing at this address.")
    # Before the password is looked at: beyond five wrong ones a minute the right one must not tell itself apart.
    with parts().limiter.limit("5/minute", scope="login", deduct_when=lambda answer: answer.status_code == 401):
        given = request.authorization
    name, password = (given.username or "", given.password or "") if given and given.type == "basic" else ("", "")
    right = hmac.compare_digest(name.encode(), settings.admin_username.encode())
    if hmac.compare_digest(password.encode(), settings.admin_password.encode()) and right:
        return None
    response = respond(ApiError(401, "unauthorized", "Unauthorized", "Please log in."))
    response.headers["WWW-Authenticate"] = 'Basic realm="petsong", charset="UTF-8"'
    return response


@blueprint.get("/queue-status")
def queue_status() -> Response:
    by_status = {status: _count(status) for status in set(ENTRY_STATUS.values())}
    credits_ = limits.last_credits(database.now())
    return jsonify(QueueStatus(
        pending_submissions=by_status["pending"], processing_submissions=by_status["processing"],
        active_jobs=_active_jobs(parts().queues), sonauto_credits=credits_.usable, last_credits_check=credits_.read_at,
    ).model_dump(mode="json"))


def _count(status: str) -> int:
    count: int = Submission.select().where(Submission.entry_status == status).count()
    return count


def _active_jobs(queues: Queues) -> int:
    try:
        registries: list[Any] = [
            StartedJobRegistry(name, connection=queues.client, serializer=JSONSerializer) for name in QUEUE_NAMES
        ]
        return sum(registry.get_job_count(cleanup=False) for registry in registries)
    except RedisError:
        return 0
