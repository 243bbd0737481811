"""RQ's dashboard under /admin/rq, behind the desk's login: what waits in Redis, what runs, what broke off.

It was written for pickled jobs and an RQ of its day, and as a blueprint it has neither login nor protection. What it
lacks is given from outside here; its own files stay as they are. Its buttons do no harm to songs: the row decides, and the
sweep enqueues again what was emptied.
"""
import re
from base64 import b64encode
from functools import partial
from hashlib import sha256
from typing import Any

from flask import Response, abort, current_app, request
from redis.exceptions import RedisError
from rq import Worker
from rq.exceptions import InvalidJobOperation, NoSuchJobError
from rq.job import Job, requeue_job
from rq.serializers import JSONSerializer
from rq_dashboard import web as dashboard

from petsong.settings import QUEUE_NAMES
from petsong.web.desk.guard import guard, message_page
from petsong.web.extension import parts

# Its templates are compiled in the browser, and its page has one script inline, which alone is allowed by its hash: what
# the error text of a job may contain is shown, but never run.
POLICY = (
    "default-src 'none'; script-src 'self' 'unsafe-eval'{hashes}; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; font-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
INLINE = re.compile(rb'<script type="text/javascript">(.*?)</script>', re.S)
ODD_ADDRESSES = (NoSuchJobError, LookupError, ValueError, UnboundLocalError)  # all that it says of what does not exist


class JsonJob(Job):
    """Jobs are JSON here; and their dependencies are bytes to the dashboard, which RQ made text of since."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **{**options, "serializer": JSONSerializer})

    @property
    def dependency_ids(self) -> list[Any]:
        return [job_id.encode() for job_id in super().dependency_ids]


class JsonWorker(Worker):
    """So that the page of busy workers can read what they work on."""

    @classmethod
    def all(cls, *args: Any, **options: Any) -> Any:
        return super().all(*args, **{**options, "job_class": JsonJob, "serializer": JSONSerializer})


def _use_our_redis() -> None:
    """One Redis, our client with its short patience; its address is nobody's business."""
    current_app.redis_conn = parts().queues.client  # type: ignore[attr-defined]
    current_app.config["RQ_DASHBOARD_REDIS_URL"] = ("petsong",)
    named = request.view_args or {}
    # A queue's name is echoed unescaped into the dashboard's inline script, which our policy then lets run.
    if named.get("instance_number") or named.get("queue_name") not in (None, *QUEUE_NAMES):
        abort(404)
    if request.endpoint == "rq_dashboard.requeue_all" and request.method != "POST":
        abort(405)  # it would change something by a mere link


def _policy(response: Response) -> Response:
    hashes = ""
    if response.mimetype == "text/html" and not response.direct_passthrough:
        digests = [b64encode(sha256(script).digest()).decode() for script in INLINE.findall(response.get_data())]
        hashes = "".join(f" 'sha256-{digest}'" for digest in digests)
    response.headers["Content-Security-Policy"] = POLICY.format(hashes=hashes)
    return response


def _nothing_there(_: Exception) -> Response:
    return message_page(404, "Nothing here", "This job or queue is not in Redis (any more).", back="/admin/rq/")


def _not_now(_: Exception) -> Response:
    return message_page(409, "Not possible", "This job has not failed, or somebody was quicker.", back="/admin/rq/")


def _redis_away(_: Exception) -> Response:
    return message_page(503, "Redis does not answer", "Songs are safe in the database. Try again in a moment.", back="/admin")


def _adopt() -> Any:
    dashboard.config.serializer = JSONSerializer
    dashboard.Job, dashboard.Worker = JsonJob, JsonWorker
    dashboard.requeue_job = partial(requeue_job, serializer=JSONSerializer)
    blueprint = dashboard.blueprint
    blueprint.url_prefix = "/admin/rq"
    blueprint.before_request_funcs[None].remove(dashboard.push_rq_connection)  # it connects anew for every request
    guard(blueprint)
    blueprint.before_request(_use_our_redis)
    blueprint.after_request(_policy)
    for kind in ODD_ADDRESSES:
        blueprint.register_error_handler(kind, _nothing_there)
    blueprint.register_error_handler(InvalidJobOperation, _not_now)
    blueprint.register_error_handler(RedisError, _redis_away)
    return blueprint


blueprints = (_adopt(),)
