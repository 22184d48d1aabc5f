"""The OpenAPI document is valid, whole, and its examples are true."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.routing import Route

from ingest.config_document import check_document
from ingest.http_app import Access, IngestApp, build_app
from ingest.openapi_examples import PATCHES, REQUESTS
from ingest.parts import Parts
from rules.merge_patch import merge_patch
from runtime.keyring import Keyring
from runtime.settings import Settings
from tests.ingest_fixture import KEYS
from tests.openapi_contract import Contract

METHODS = {"get", "put", "post", "delete", "patch", "options"}


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> IngestApp:
    folder: Path = tmp_path_factory.mktemp("openapi")
    parts = Parts(Settings(data_dir=folder, kafka_bootstrap="127.0.0.1:9"), Keyring.parse(KEYS))
    layer: Any = build_app(parts, Access("key", []), "1.2.3")
    while not isinstance(layer, IngestApp):
        layer = layer._app
    return layer


@pytest.fixture
def contract(app: IngestApp) -> Contract:
    return Contract(app.openapi())


def operations(contract: Contract) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, item in contract.document["paths"].items():
        assert set(item) <= METHODS
        for method, operation in item.items():
            yield f"{method} {path}", operation


def media_types(contract: Contract) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, operation in operations(contract):
        yield from ((f"{name} body", one) for one in operation.get("requestBody", {}).get("content", {}).values())
        for status, response in operation["responses"].items():
            yield from ((f"{name} {status}", one) for one in response.get("content", {}).values())


def references(node: Any) -> Iterator[str]:
    children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    if isinstance(node, dict) and isinstance(node.get("$ref"), str):
        yield node["$ref"]
    for child in children:
        yield from references(child)


def served_routes(routes: Iterable[Any]) -> Iterator[Route]:
    for route in routes:
        if isinstance(route, Route):
            yield route
        else:  # FastAPI keeps the routers that were included
            yield from served_routes(route.original_router.routes)


def test_the_document_is_made_as_openapi_wants_it(contract: Contract) -> None:
    document = contract.document
    assert document["openapi"].startswith("3.1")
    assert set(document) <= {"openapi", "info", "paths", "components", "tags", "servers"}
    assert {"title", "version"} <= set(document["info"])
    ids = [operation["operationId"] for _, operation in operations(contract)]
    assert len(ids) == len(set(ids))
    for name, operation in operations(contract):
        asked = {one["name"] for one in operation.get("parameters", ()) if one["in"] == "path" and one["required"]}
        assert asked == {part[1:-1] for part in name.split("/") if part.startswith("{")}, name
        assert operation["responses"]
        for status, response in operation["responses"].items():
            assert status.isdigit()
            assert response["description"]
        for requirement in operation.get("security", ()):
            assert set(requirement) <= set(document["components"]["securitySchemes"])


def test_every_reference_leads_somewhere(contract: Contract) -> None:
    found = set(references(contract.document))
    assert "#/components/schemas/SourceSpec" in found
    for reference in found:
        assert contract.resolve(reference)


def test_every_route_is_in_the_document(app: IngestApp, contract: Contract) -> None:
    pages = {"/openapi.json", "/docs"}
    served = {
        (method.lower(), route.path)
        for route in served_routes(app.routes)
        for method in (route.methods or set()) - {"HEAD"}
        if route.path not in pages
    }
    told = {tuple(name.split(" ", 1)) for name, _ in operations(contract)}
    assert told == served


def test_every_body_and_answer_has_an_example_that_fits_its_schema(contract: Contract) -> None:
    for name, media_type in media_types(contract):
        if name == "get /metrics 200":
            continue
        assert media_type["examples"], name
        for example in media_type["examples"].values():
            assert contract.faults(media_type.get("schema", {}), example["value"]) == [], name


def test_every_error_has_an_example_problem_of_its_status(contract: Contract) -> None:
    checked = 0
    for name, operation in operations(contract):
        for status, response in operation["responses"].items():
            if status < "400" or (name == "get /ready" and status == "503"):
                continue
            for example in response["content"]["application/problem+json"]["examples"].values():
                assert example["value"]["status"] == int(status), name
                assert f"`{example['value']['code']}`" in response["description"]
                checked += 1
    assert checked > 200


@pytest.mark.parametrize("kind", REQUESTS)
def test_the_example_records_and_patches_are_taken(kind: str) -> None:
    check_document(kind, REQUESTS[kind])
    check_document(kind, merge_patch(REQUESTS[kind], PATCHES[kind]))


def test_the_judge_sees_what_does_not_fit() -> None:
    judge = Contract({"components": {"schemas": {"N": {"type": "integer"}}}, "paths": {}})
    number = {"$ref": "#/components/schemas/N"}
    schema = {"type": "object", "required": ["n"], "properties": {"n": number}, "additionalProperties": False}
    assert judge.faults(schema, {"n": 1}) == []
    unfit: list[Any] = [{}, {"n": "1"}, {"n": True}, {"n": 1, "m": 1}, []]
    for wrong in unfit:
        assert judge.faults(schema, wrong), wrong
    assert judge.faults({"type": "array", "items": {"anyOf": [number, {"const": None}]}}, [1, None]) == []
    assert judge.faults({"type": "array", "items": {"anyOf": [number, {"const": None}]}}, [1, "x"])
