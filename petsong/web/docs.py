"""What the API is: GET /api/openapi.json, and /api/docs, which shows it to people without any network but ours."""
import json
from collections.abc import Iterator
from typing import Any

from flask import Blueprint, Flask, Response, current_app, make_response, render_template

from petsong.openapi import JSON, Answer, Route, description_of, document, documented
from petsong.web.extension import parts
from petsong.web.submissions import etagged

blueprint = Blueprint("docs", __name__)
VERSION = "0.1.0"
DOCUMENTED = ("/api/", "/storage/", "/metrics")
DETAILS = """JSON in UTF-8, in and out. Times are UTC in whole seconds. Every error below /api/ has `success`, `code`, `error`
and `message`: 404 `not_found` where there is nothing, 405 `method_not_allowed`, and what each call lists. A microsite on
another origin must be named in ALLOWED_ORIGINS. A form with an Idempotency-Key can be sent again without buying a second
song."""


@blueprint.get("/api/openapi.json")
@documented(
    "This document", tag="Documentation", headers=("If-None-Match",), bare=True,
    answers={200: Answer("OpenAPI 3.1", media=JSON, headers=("ETag",)), 304: Answer("As before", headers=("ETag",))},
)
def openapi() -> Response:
    app = current_app
    text = app.extensions.get("petsong_openapi")
    if text is None:
        text = app.extensions["petsong_openapi"] = json.dumps(describe(app), ensure_ascii=False)
    return etagged(Response(text, mimetype=JSON))


@blueprint.get("/api/docs")
@documented("This document for people", tag="Documentation", answers={200: Answer("A page", media="text/html")}, bare=True)
def viewer() -> Response:
    page = make_response(render_template("docs.html"))
    page.headers["Cache-Control"] = "no-cache"
    return page


def routes_of(app: Flask) -> Iterator[tuple[str, str, Any]]:
    """(method, rule, view) of everything that belongs into the document."""
    for rule in app.url_map.iter_rules():
        if rule.rule.startswith(DOCUMENTED):
            for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
                yield method, rule.rule, app.view_functions[rule.endpoint]


def describe(app: Flask) -> dict[str, Any]:
    """The document of this app, with the choices of its campaign. A route that nobody described is left out."""
    described = ((method, rule, description_of(view)) for method, rule, view in routes_of(app))
    routes = [Route(method, rule, told) for method, rule, told in described if told]
    campaign = parts().campaign
    choices = {"SubmissionForm": {"pet_type": list(campaign.pet_types), "music_vibe": list(campaign.vibes)}}
    return document(routes, title=f"{campaign.site_name} API", version=VERSION, details=DETAILS, choices=choices)
