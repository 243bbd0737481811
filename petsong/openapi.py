"""The HTTP API as one OpenAPI 3.1 document, made from what stands beside each view and from the pydantic models.

    @blueprint.get("/api/songs/<session_id>")
    @documented("What is known of a song", tag="Songs", answers={200: Song}, errors=("session_not_found",))
    def song(session_id: str) -> Response: …

`errors` are codes of ERRORS (petsong/openapi_terms.py), or (code, model) where an error has further keys. Every operation may
also answer 500 and 503, those behind the login also 401, 404 and 429, and their POSTs 403 and 415.
No Flask in here: petsong/web/docs.py walks the routes.
"""
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic.json_schema import JsonSchemaMode, models_json_schema

from petsong.openapi_terms import (
    ANSWER_HEADERS,
    ERRORS,
    HEADERS_OF_STATUS,
    MEANINGS,
    PLACES,
    REQUEST_HEADERS,
    SECURITY,
    WAITING,
    ErrorKind,
    Model,
)
from petsong.schemas import ErrorAnswer

View = TypeVar("View", bound=Callable[..., Any])
JSON = "application/json"


@dataclass(frozen=True)
class Answer:
    """What a status brings: a model in JSON, a body of another `media` type, or nothing."""

    meaning: str
    model: Model | None = None
    media: str = ""
    headers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Description:
    summary: str
    tag: str
    details: str = ""
    request: Model | None = None
    any_json: Any = None  # instead of `request`: any JSON is taken; an example of it
    query: Model | None = None
    headers: tuple[str, ...] = ()
    answers: Mapping[int, Answer] = field(default_factory=dict)
    errors: tuple[str | tuple[str, Model], ...] = ()
    login: bool = False
    token: bool = False  # METRICS_TOKEN
    bare: bool = False  # neither 500 nor 503 come from it, or `answers` has them


@dataclass(frozen=True)
class Route:
    method: str  # in capitals
    path: str  # as Flask writes it: /api/results/<session_id>
    description: Description


PLACE = re.compile(r"<(?:(\w+)(?:\(([^)]*)\))?:)?(\w+)>")


def documented(
    summary: str, *, tag: str, answers: Mapping[int, Model | Answer], details: str = "", request: Model | None = None,
    any_json: Any = None, query: Model | None = None, headers: tuple[str, ...] = (),
    errors: tuple[str | tuple[str, Model], ...] = (), login: bool = False, token: bool = False, bare: bool = False,
) -> Callable[[View], View]:
    """Describe a view to the document. Raises KeyError for an error or header that is not in the tables here."""
    for name in headers:
        REQUEST_HEADERS[name]
    for entry in errors:
        ERRORS[_code(entry)]
    full = {status: a if isinstance(a, Answer) else Answer(_meaning(a), a, JSON) for status, a in answers.items()}
    description = Description(summary, tag, details, request, any_json, query, headers, full, errors, login, token, bare)

    def remember(view: View) -> View:
        view.__dict__["api_description"] = description
        return view

    return remember


def description_of(view: Any) -> Description | None:
    found: Description | None = getattr(view, "api_description", None)
    return found


def _meaning(model: Model) -> str:
    return (model.__doc__ or "Done").strip().splitlines()[0].rstrip(".")


def _code(entry: str | tuple[str, Model]) -> str:
    return entry if isinstance(entry, str) else entry[0]


# ---- the document

def document(
    routes: Iterable[Route], *, title: str, version: str, details: str, choices: Mapping[str, Mapping[str, list[str]]]
) -> dict[str, Any]:
    """The whole document. `choices`: {model: {field: values}} that are a campaign's data, not the model's."""
    routes = sorted(routes, key=lambda route: (route.path, route.method))
    schemas = _Schemas(routes, choices)
    paths: dict[str, Any] = {}
    for route in routes:
        paths.setdefault(PLACE.sub(r"{\3}", route.path), {})[route.method.lower()] = _operation(route, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": version, "description": details, "license": {"name": "MIT", "identifier": "MIT"}},
        "servers": [{"url": "/"}],
        "tags": [{"name": name} for name in sorted({route.description.tag for route in routes})],
        "paths": paths,
        "components": {
            "schemas": schemas.components, "securitySchemes": SECURITY,
            "headers": {name: {"description": words, "schema": schema} for name, (words, schema) in ANSWER_HEADERS.items()},
        },
    }


class _Schemas:
    """Every model of the routes by name, once."""

    def __init__(self, routes: list[Route], choices: Mapping[str, Mapping[str, list[str]]]) -> None:
        wanted: dict[tuple[Model, JsonSchemaMode], None] = {}
        for route in routes:
            for model in _asked(route.description):
                wanted[model, "validation"] = None
            for model in _answered(route):
                wanted[model, "serialization"] = None
        self._references, together = models_json_schema(list(wanted), ref_template="#/components/schemas/{model}")
        self.components: dict[str, Any] = together.get("$defs", {})
        for name, fields in choices.items():
            for key, values in fields.items():
                self.components[name]["properties"][key]["enum"] = values

    def request(self, model: Model) -> Any:
        return self._references[model, "validation"]

    def answer(self, model: Model) -> Any:
        return self._references[model, "serialization"]

    def fields(self, model: Model) -> tuple[dict[str, Any], list[str]]:
        """(properties, required ones) of a model whose fields stand in the address."""
        schema = self.components[self.request(model)["$ref"].rpartition("/")[2]]
        return schema.get("properties", {}), schema.get("required", [])


def _asked(description: Description) -> list[Model]:
    return [model for model in (description.request, description.query) if model]


def _answered(route: Route) -> list[Model]:
    models = [answer.model for answer in route.description.answers.values() if answer.model]
    return models + [model for _, _, model in _errors_of(route)]


def _errors_of(route: Route) -> list[tuple[str, ErrorKind, Model]]:
    entries = list(route.description.errors)
    if route.description.login:
        entries += ["unauthorized", "not_found", "too_many_requests"]
    if route.description.login and route.method != "GET":
        entries += ["forbidden", "unsupported_media_type"]
    if not route.description.bare:
        entries += ["server_error", "unavailable"]
    found: dict[str, tuple[str, ErrorKind, Model]] = {}
    for entry in entries:
        code, model = (entry, ERRORS[entry].model) if isinstance(entry, str) else entry
        found.setdefault(code, (code, ERRORS[code], model))
    return list(found.values())


def _operation(route: Route, schemas: _Schemas) -> dict[str, Any]:
    told = route.description
    operation: dict[str, Any] = {
        "operationId": re.sub(r"\W+", "_", f"{route.method.lower()}{route.path}").strip("_"),
        "summary": told.summary, "tags": [told.tag], "parameters": _parameters(route, schemas),
        "responses": _responses(route, schemas),
    }
    if told.details:
        operation["description"] = told.details
    if told.request:
        operation["requestBody"] = {"required": True, "content": {JSON: {"schema": schemas.request(told.request)}}}
    elif told.any_json:
        operation["requestBody"] = {"content": {JSON: {"schema": {"examples": [told.any_json]}}}}
    elif told.login and route.method != "GET":  # no form of another site can send that type
        operation["requestBody"] = {"required": True, "content": {JSON: {"schema": {"type": "object"}}}}
    if told.login or told.token:
        operation["security"] = [{"operator" if told.login else "monitor": []}]
    return operation


def _parameters(route: Route, schemas: _Schemas) -> list[dict[str, Any]]:
    found = [_place(*place) for place in PLACE.findall(route.path)]
    if route.description.query:
        properties, required = schemas.fields(route.description.query)
        found += [
            {"name": name, "in": "query", "required": name in required, "schema": schema} for name, schema in properties.items()
        ]
    for name in route.description.headers:
        words, schema = REQUEST_HEADERS[name]
        found.append({"name": name, "in": "header", "required": False, "description": words, "schema": schema})
    return found


def _place(kind: str, options: str, name: str) -> dict[str, Any]:
    """One <converter(options):name> of a rule."""
    schema: dict[str, Any] = {"type": "string", "minLength": 1}
    if kind == "int":
        schema = {"type": "integer", "minimum": 0}
    elif kind == "any":
        schema["enum"] = [option.strip() for option in options.split(",")]
    words, example = PLACES.get(name, (f"The {name.replace('_', ' ')}.", schema.get("enum", [1])[0]))
    return {"name": name, "in": "path", "required": True, "description": words, "schema": schema, "example": example}


def _responses(route: Route, schemas: _Schemas) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for status, answer in sorted(route.description.answers.items()):
        found[str(status)] = _response(answer.meaning, answer.headers)
        if answer.media:
            schema = schemas.answer(answer.model) if answer.model else {}
            found[str(status)]["content"] = {answer.media: {"schema": schema}}
    by_status: dict[int, list[tuple[str, ErrorKind, Model]]] = {}
    for entry in _errors_of(route):
        by_status.setdefault(entry[1].status, []).append(entry)
    for status, entries in sorted(by_status.items()):
        _add_errors(found.setdefault(str(status), _response(MEANINGS[status])), status, entries, schemas)
    return found


def _response(meaning: str, headers: Iterable[str] = ()) -> dict[str, Any]:
    response: dict[str, Any] = {"description": meaning}
    if headers:
        response["headers"] = {name: {"$ref": f"#/components/headers/{name}"} for name in headers}
    return response


def _add_errors(
    response: dict[str, Any], status: int, entries: list[tuple[str, ErrorKind, Model]], schemas: _Schemas
) -> None:
    """Which codes this status may carry, each with its own example; beside an answer that has the same status."""
    codes = [code for code, _, _ in entries]
    response["description"] += f": {', '.join(codes)}"
    names = [*HEADERS_OF_STATUS.get(status, ()), *(["Retry-After"] if set(codes) & set(WAITING) else [])]
    response.setdefault("headers", {}).update({name: {"$ref": f"#/components/headers/{name}"} for name in names})
    if not response["headers"]:
        del response["headers"]
    content = response.setdefault("content", {}).setdefault(JSON, {})
    shapes = [content["schema"]] if "schema" in content else []
    by_model: dict[Model, list[str]] = {}
    for code, _, model in entries:
        by_model.setdefault(model, []).append(code)
    for model, its in by_model.items():
        shapes.append({"allOf": [schemas.answer(model)], "properties": {"code": {"enum": its}}})
    content["schema"] = shapes[0] if len(shapes) == 1 else {"anyOf": shapes}
    content["examples"] = {
        code: {"value": {"success": False, "code": code, "error": kind.error, "message": kind.message, **_further(model)}}
        for code, kind, model in entries
    }


def _further(model: Model) -> dict[str, Any]:
    """Examples of the keys that an error has beyond the common four."""
    return {
        name: info.examples[0] for name, info in model.model_fields.items()
        if name not in ErrorAnswer.model_fields and info.examples
    }
