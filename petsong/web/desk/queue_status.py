"""GET /api/admin/queue-status: the few figures that a monitor asks for."""
from typing import Any

from flask import Response, jsonify
from redis.exceptions import RedisError
from rq.registry import StartedJobRegistry
from rq.serializers import JSONSerializer

from petsong import database, limits
from petsong.lifecycle.stages import ENTRY_STATUS, Stage
from petsong.models import Submission
from petsong.openapi import documented
from petsong.queues import Queues
from petsong.schemas import QueueStatus
from petsong.settings import QUEUE_NAMES
from petsong.web.desk.guard import desk_api
from petsong.web.extension import parts

api = desk_api("queue_status")
blueprints = (api,)


@api.get("/queue-status")
@documented("The few figures that a monitor asks for", tag="Operator", login=True, answers={200: QueueStatus})
def queue_status() -> Response:
    pending = _count(Stage.QUEUED)
    processing = _count(*(stage for stage, status in ENTRY_STATUS.items() if status == "processing"))
    credits_ = limits.last_credits(database.now())
    return jsonify(QueueStatus(
        pending_submissions=pending, processing_submissions=processing,
        active_jobs=_active_jobs(parts().queues), sonauto_credits=credits_.usable, last_credits_check=credits_.read_at,
    ).model_dump(mode="json"))


def _count(*stages: Stage) -> int:
    count: int = Submission.select().where(Submission.stage.in_(stages)).count()
    return count


def _active_jobs(queues: Queues) -> int:
    try:
        registries: list[Any] = [
            StartedJobRegistry(name, connection=queues.client, serializer=JSONSerializer) for name in QUEUE_NAMES
        ]
        return sum(registry.get_job_count(cleanup=False) for registry in registries)
    except RedisError:
        return 0
