"""GET /metrics for Prometheus, for whoever has METRICS_TOKEN; without that setting there is nothing at this address."""
import hmac

from flask import Blueprint, Response, abort, request
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from petsong.metrics import Figures
from petsong.openapi import Answer, documented
from petsong.web.extension import parts

blueprint = Blueprint("metrics", __name__)


@blueprint.get("/metrics")
@documented(
    "Figures for Prometheus", tag="Health", bare=True, token=True, answers={
        200: Answer("In Prometheus' text format", media="text/plain"),
        401: Answer("Without the token", media="text/plain", headers=("WWW-Authenticate",)),
        404: Answer("METRICS_TOKEN is not set", media="text/html"),
        503: Answer("The database does not answer", media="text/html"),
    },
)
def metrics() -> Response:
    token = parts().settings.metrics_token
    if not token:
        abort(404)
    if not hmac.compare_digest(request.headers.get("Authorization", "").encode(), f"Bearer {token}".encode()):
        how = "METRICS_TOKEN is needed as a bearer token.\n"
        return Response(how, 401, {"WWW-Authenticate": "Bearer"}, mimetype="text/plain")
    text = generate_latest(Figures(parts().settings, parts().queues).registry())
    return Response(text, headers={"Content-Type": CONTENT_TYPE_LATEST, "Cache-Control": "no-store"})
