"""The API's document: every route is in it, it is a right OpenAPI 3.1 document, and /api/docs shows it offline."""
import json
import re
import tomllib
from collections.abc import Callable
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from api_kit import Api, form, on_sqlite
from kit import repository
from microsite import make_assets
from petsong.openapi import description_of
from petsong.openapi_terms import ERRORS
from petsong.web.docs import VERSION, routes_of
from petsong.web.submissions import STATUS_MESSAGES

pytest_plugins = "api_fixtures"
pytestmark = on_sqlite


@pytest.fixture
def document(api: Api) -> dict[str, Any]:
    found: dict[str, Any] = api.get("/api/openapi.json").get_json()
    return found


def operations(document: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    return {(method.upper(), path): told for path, methods in document["paths"].items() for method, told in methods.items()}


def resolve(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    reference = schema.get("$ref")
    if reference is None:
        return schema
    found: dict[str, Any] = document["components"]["schemas"][reference.rpartition("/")[2]]
    return found


# ---- the document

def test_every_route_is_described_beside_its_view(api: Api) -> None:
    """A new route of the API, of the files or of the metrics gets a @documented(…) above its view."""
    silent = sorted(f"{method} {rule}" for method, rule, view in routes_of(api.app) if description_of(view) is None)
    assert silent == []


def test_every_route_is_in_the_document_with_all_its_places(api: Api, document: dict[str, Any]) -> None:
    found = operations(document)
    wanted = {(method, re.sub(r"<(?:[^:>]+:)?(\w+)>", r"{\1}", rule)) for method, rule, _ in routes_of(api.app)}
    assert len(wanted) >= 17 and set(found) == wanted
    for (_, path), told in found.items():
        named = {parameter["name"] for parameter in told["parameters"] if parameter["in"] == "path"}
        assert named == set(re.findall(r"{(\w+)}", path))


def test_it_is_a_right_document_of_3_1(document: dict[str, Any]) -> None:
    assert document["openapi"] == "3.1.0"
    errors = [f"{list(error.absolute_path)}: {error.message}" for error in OpenAPIV31SpecValidator(document).iter_errors()]
    assert errors == []


def test_names_of_operations_are_unique(document: dict[str, Any]) -> None:
    names = [told["operationId"] for told in operations(document).values()]
    assert len(set(names)) == len(names)


def test_what_is_behind_the_login_says_so_and_nothing_else(document: dict[str, Any]) -> None:
    assert document["components"]["securitySchemes"]["operator"]["scheme"] == "basic"
    for (method, path), told in operations(document).items():
        behind = path.startswith("/api/admin/")
        wanted = [{"operator": []}] if behind else [{"monitor": []}] if path == "/metrics" else []
        assert told.get("security", []) == wanted, f"{method} {path}"
        assert not behind or {"401", "404", "429"} <= set(told["responses"])


def test_every_error_of_the_api_has_the_one_shape(document: dict[str, Any]) -> None:
    required = {"success", "code", "error", "message"}
    count = 0
    for (method, path), told in operations(document).items():
        for status, answer in told["responses"].items():
            if int(status) < 400 or not path.startswith("/api/") or path.startswith("/api/health"):
                continue
            content = answer["content"]["application/json"]
            for shape in content["schema"].get("anyOf", [content["schema"]]):
                assert required <= set(resolve(document, shape["allOf"][0])["required"]), f"{method} {path} {status}"
                assert shape["properties"]["code"]["enum"]
            for code, example in content["examples"].items():
                assert example["value"]["code"] == code and required <= set(example["value"])
                count += 1
    assert count > 40


def test_examples_of_errors_read_as_they_are_answered(api: Api) -> None:
    api.song("waiting", stage="queued", entry_status="pending")
    api.song("failed", stage="failed", entry_status="fail")
    answers = [
        api.get("/api/admin/queue-status"), api.get("/api/results/nobody"), api.get("/api/results/waiting"),
        api.get("/api/results/failed"), api.post_raw(b"{}", "text/plain"), api.post(pet_name="Bello 2"), api.post(photo="x"),
        api.client.post("/api/webhook"), api.post_raw(b" " * (8 << 20)),
    ]
    bodies = [answer.get_json() for answer in answers]
    assert len({body["code"] for body in bodies}) == len(bodies)
    for answer, body in zip(answers, bodies, strict=True):
        kind = ERRORS[body["code"]]
        assert (kind.status, kind.error, kind.message) == (answer.status_code, body["error"], body["message"])


def test_headers_that_matter_are_told(document: dict[str, Any]) -> None:
    found = operations(document)
    order = found["POST", "/api/submissions"]
    assert "Idempotency-Key" in {parameter["name"] for parameter in order["parameters"]}
    for (method, path), told in found.items():
        responses = told["responses"]
        if path.startswith("/api/") and "429" in responses:
            assert "Retry-After" in responses["429"]["headers"], f"{method} {path}"
        if "304" in responses:
            assert {"ETag"} <= set(responses["200"]["headers"])
            assert "If-None-Match" in {parameter["name"] for parameter in told["parameters"]}


def test_the_example_of_a_form_is_taken(api: Api, document: dict[str, Any]) -> None:
    """So that trying it out in the viewer makes a song, and copying from it works."""
    schema = document["components"]["schemas"]["SubmissionForm"]
    example = {name: (field.get("examples") or field["enum"])[0] for name, field in schema["properties"].items()}
    assert set(form()) <= set(schema["required"]) | set(example)
    answer = api.client.post("/api/submissions", json=example)
    assert answer.status_code == 200, answer.text


def test_choices_are_the_campaigns(api: Api, document: dict[str, Any]) -> None:
    properties = document["components"]["schemas"]["SubmissionForm"]["properties"]
    assert properties["pet_type"]["enum"] == list(api.parts.campaign.pet_types)
    assert properties["music_vibe"]["enum"] == list(api.parts.campaign.vibes)


def test_the_stages_are_all_named(document: dict[str, Any]) -> None:
    assert document["components"]["schemas"]["Status"]["properties"]["stage"]["enum"] == list(STATUS_MESSAGES)


def test_it_is_public_small_and_304_while_nothing_changed(make_api: Callable[..., Api]) -> None:
    api = make_api(redis_url="redis://127.0.0.1:9/0")
    first = api.get("/api/openapi.json")
    assert first.headers["Content-Type"] == "application/json" and len(first.data) < 300_000
    assert api.get("/api/openapi.json", **{"If-None-Match": first.headers["ETag"]}).status_code == 304
    assert "/work/" not in first.text and "SECRET" not in first.text
    assert json.loads(first.text)["info"]["title"].endswith(" API")
    assert VERSION == tomllib.loads((repository() / "pyproject.toml").read_text())["project"]["version"]


# ---- the viewer

def test_the_viewer_brings_everything_itself(api: Api) -> None:
    make_assets()
    page = api.get("/api/docs")
    assert page.status_code == 200 and page.mimetype == "text/html"
    addresses = re.findall(r'(?:src|href|data-document)="([^"]+)"', page.text)
    assert any("swagger-ui" in address for address in addresses)
    for address in addresses:
        assert address.startswith("/") and not address.startswith("//")
        with api.get(address) as answer:
            assert answer.status_code == 200, address
    assert "<style" not in page.text and "style=" not in page.text and "<script>" not in page.text
