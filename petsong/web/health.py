"""GET /api/health for whoever looks after us; /api/health/live touches nothing."""
import shutil
from datetime import datetime
from typing import Any

from flask import Blueprint, Response, jsonify
from redis.exceptions import RedisError

from petsong import database
from petsong.models import Tick
from petsong.openapi import JSON, Answer, documented
from petsong.pools import live_workers
from petsong.queues import Queues
from petsong.schemas import Alive, Health, QueueHealth
from petsong.settings import QUEUE_NAMES, Settings
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
    redis = shared.queues.ping()
    workers, tick, connected = _from_database()
    queues = {
        name: QueueHealth(depth=_depth(shared.queues, name) if redis else None, workers=workers.get(name, 0))
        for name in QUEUE_NAMES
    }
    healthy = redis and connected and all(queue.workers for queue in queues.values())
    answer = Health(
        status="healthy" if healthy else "unhealthy", timestamp=_clock(), redis=_word(redis), database=_word(connected),
        workers=sum(workers.values()), queues=queues, scheduler={"last_tick_seconds": tick},
        disk={"used_percent": _disk(shared.settings)},
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
            workers = live_workers(moment)
            tick = Tick.get_or_none(Tick.name == "scheduler")
            seconds = round((moment - tick.last_at).total_seconds(), 1) if tick else None
            return workers, seconds, True
    except (database.DatabaseLost, *database.CONNECTION_ERRORS):
        return {}, None, False


def _depth(queues: Queues, name: str) -> int | None:
    try:
        return queues.queue(name).count
    except RedisError:
        return None


def _disk(settings: Settings) -> float | None:
    try:
        usage = shutil.disk_usage(settings.video_storage)
        return round(100 * usage.used / usage.total, 1)
    except OSError:
        return None
