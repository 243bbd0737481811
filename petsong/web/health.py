"""GET /api/health for whoever looks after us; /api/health/live touches nothing."""
from datetime import datetime
from typing import Any

from flask import Blueprint, Response, jsonify

from petsong import database
from petsong.disk import used_percent
from petsong.openapi import JSON, Answer, documented
from petsong.pools import live_workers, seconds_since
from petsong.schemas import Alive, Health, QueueHealth
from petsong.settings import QUEUE_NAMES
from petsong.web.extension import parts

blueprint = Blueprint("health", __name__)


@blueprint.get("/api/health/live")
@documented("Whether the process answers", tag="Health", answers={200: Alive}, bare=True)
def live() -> Response:
    return jsonify({"status": "alive"})


@blueprint.get("/api/health")
@documented(
    "How we are", tag="Health", bare=True, answers={
        200: Answer("Database and Redis answer, every queue has a worker", Health, JSON),
        503: Answer("Something of that is missing", Health, JSON),
    },
)
def health() -> tuple[Response, int]:
    shared = parts()
    depths = shared.queues.depths()
    redis = depths is not None
    workers, tick, connected = _from_database()
    queues = {
        name: QueueHealth(depth=(depths or {}).get(name), workers=workers.get(name, 0)) for name in QUEUE_NAMES
    }
    healthy = redis and connected and all(queue.workers for queue in queues.values())
    answer = Health(
        status="healthy" if healthy else "unhealthy", timestamp=_clock(), redis=_word(redis), database=_word(connected),
        workers=sum(workers.values()), queues=queues, scheduler={"last_tick_seconds": tick},
        disk={"used_percent": used_percent(shared.settings.video_storage)},
    )
    return jsonify(answer.model_dump(mode="json")), 200 if healthy else 503


def _clock() -> datetime:
    return datetime.now().astimezone()


def _word(connected: bool) -> Any:
    return "connected" if connected else "disconnected"


def _from_database() -> tuple[dict[str, int], float | None, bool]:
    """Live workers by queue, seconds since the scheduler's last sign, whether the database answered."""
    try:
        with database.connection():
            moment = database.now()
            return live_workers(moment), seconds_since("scheduler", moment), True
    except (database.DatabaseLost, *database.CONNECTION_ERRORS):
        return {}, None, False
