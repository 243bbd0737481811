"""GET /api/health for whoever looks after us; /api/health/live touches nothing."""
import shutil
from datetime import datetime, timedelta
from typing import Any

from flask import Blueprint, Response, jsonify
from redis.exceptions import RedisError

from petsong import database
from petsong.models import Heartbeat, Tick
from petsong.queues import Queues
from petsong.schemas import Health, QueueHealth
from petsong.settings import QUEUE_NAMES, Settings
from petsong.web.extension import parts

blueprint = Blueprint("health", __name__)
ALIVE_SECONDS = 45  # pools give a sign every 5 s


@blueprint.get("/api/health/live")
def live() -> Response:
    return jsonify({"status": "alive"})


@blueprint.get("/api/health")
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


def live_workers(moment: datetime) -> dict[str, int]:
    """{queue: workers} of every pool that gave a sign lately."""
    counts: dict[str, int] = {}
    for beat in Heartbeat.select().where(Heartbeat.at > moment - timedelta(seconds=ALIVE_SECONDS)):
        for queue, number in beat.queues.items():
            counts[queue] = counts.get(queue, 0) + number
    return counts


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
