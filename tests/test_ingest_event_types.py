"""Events against the schemas of their types, over real HTTP: taken and marked, or refused and recorded."""

from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry

from ingest.event_schemas import EventSchemas
from ingest.metrics import IngestMetrics
from runtime.embedded.broker_files import free_port
from schemas.config import TopicSpec
from schemas.event import Event, decode_event
from schemas.rejection import decode_rejection
from schemas.streams import EVENTS, REJECTIONS
from tests.ingest_fixture import Gateway, admin, gateway, wait_until

__all__ = ["admin", "gateway"]

ORDER = {"required": ["order"], "properties": {"order": {"properties": {"id": {"type": "integer"}}}}}
GOOD = {"type": "order.created", "order": {"id": 1}}
BAD = {"type": "order.created", "order": {"id": "S3CRET"}}
TAKEN = {"order.created": {"schema": ORDER}}
REFUSED = {"order.created": {"schema": ORDER, "on_invalid": "refuse"}}


@pytest.fixture(scope="module", autouse=True)
def topics(gateway: Gateway) -> None:
    with gateway.admin as admin:
        assert admin.post("/api/v1/sources", json={"id": "shop", "auth_type": "none"}).status_code == 201
        for topic in (
            {"id": "plain"},
            {"id": "lenient", "event_types": TAKEN},
            {"id": "strict", "event_types": REFUSED, "on_unknown_type": "refuse"},
            {"id": "changing", "event_types": TAKEN},
        ):
            answer = admin.post("/api/v1/topics", json=topic | {"source_id": "shop"})
            assert answer.status_code == 201, answer.text


def post(gateway: Gateway, topic: str, body: Any) -> httpx.Response:
    answer = httpx.post(f"{gateway.url}/api/v1/ingest/{topic}", json=body, timeout=60)
    gateway.contract.check(answer)
    return answer


def accepted(gateway: Gateway, topic: str, body: Any) -> Event:
    answer = post(gateway, topic, body)
    assert answer.status_code == 202, answer.text
    record = gateway.event(answer.json()["event_id"])
    return decode_event(record.value, record.headers)


def test_a_body_as_its_schema_says_is_taken_without_a_mark(gateway: Gateway) -> None:
    assert accepted(gateway, "lenient", GOOD).schema_fault == ""
    assert accepted(gateway, "strict", GOOD).schema_fault == ""


def test_a_body_unlike_its_schema_is_taken_and_marked_unless_the_topic_says_otherwise(gateway: Gateway) -> None:
    assert accepted(gateway, "lenient", BAD).schema_fault == "/order/id is not of type integer"
    assert accepted(gateway, "lenient", {"type": "order.created"}).schema_fault == "the body lacks order"
    assert accepted(gateway, "plain", BAD).schema_fault == ""


def test_a_body_that_is_refused_is_told_where_and_recorded_and_is_no_event(gateway: Gateway) -> None:
    events = len(gateway.records(EVENTS))
    answer = post(gateway, "strict", BAD)
    assert answer.status_code == 422
    problem = answer.json()
    assert problem["code"] == "schema_mismatch"
    assert problem["errors"] == [{"field": "/order/id", "message": "is not of type integer"}]
    assert "S3CRET" not in answer.text
    assert len(gateway.records(EVENTS)) == events

    def recorded() -> bool:
        found = [decode_rejection(record.value) for record in gateway.records(REJECTIONS)]
        return ("strict", 422, "schema_mismatch", problem["detail"]) in [
            (one.topic_id, one.status, one.code, one.reason) for one in found
        ]

    wait_until(recorded)


def test_an_unknown_type_is_taken_unless_the_topic_says_otherwise(gateway: Gateway) -> None:
    other = {"type": "order.archived"}
    assert accepted(gateway, "lenient", other).schema_fault == ""
    answer = post(gateway, "strict", other)
    assert (answer.status_code, answer.json()["code"]) == (422, "event_type_unknown")


def test_a_body_that_is_no_json_is_unlike_any_schema(gateway: Gateway, admin: httpx.Client) -> None:
    form = {"event_type": {"const": "form"}, "event_types": {"form": {"schema": {}}}}
    assert admin.post("/api/v1/topics", json={"id": "forms", "source_id": "shop"} | form).status_code == 201
    answer = httpx.post(f"{gateway.url}/api/v1/ingest/forms", content=b"a=b")
    record = gateway.event(answer.json()["event_id"])
    assert decode_event(record.value, record.headers).schema_fault == "the body is not JSON"


def test_a_changed_schema_is_the_one_that_counts(gateway: Gateway, admin: httpx.Client) -> None:
    assert accepted(gateway, "changing", BAD).schema_fault
    text = {"properties": {"order": {"properties": {"id": {"type": "string"}}}}}
    change = {"event_types": {"order.created": {"schema": text, "on_invalid": "refuse"}}}
    assert admin.put("/api/v1/topics/changing", json={"source_id": "shop"} | change).status_code == 200
    assert accepted(gateway, "changing", BAD).schema_fault == ""
    assert post(gateway, "changing", GOOD).status_code == 422


def test_another_ingest_refuses_only_by_the_newest_schema(gateway: Gateway, admin: httpx.Client) -> None:
    bodies = {"integer": GOOD, "string": BAD}
    with gateway.ingest(ingest_port=free_port()) as other:
        for turn in range(6):
            kind = ("string", "integer")[turn % 2]
            schema = {"properties": {"order": {"properties": {"id": {"type": kind}}}}}
            topic = {"source_id": "shop", "event_types": {"order.created": {"schema": schema, "on_invalid": "refuse"}}}
            assert admin.put("/api/v1/topics/turning", json=topic).status_code in {200, 201}
            answer = httpx.post(f"{other}/api/v1/ingest/turning", json=bodies[kind], timeout=60)
            assert answer.status_code == 202, (turn, answer.text)


def test_a_schema_is_shown_as_it_was_given(admin: httpx.Client) -> None:
    shown = admin.get("/api/v1/topics/strict").json()
    assert shown["event_types"] == {"order.created": {"schema": ORDER, "description": "", "on_invalid": "refuse"}}
    assert shown["on_unknown_type"] == "refuse"
    listed = admin.get("/api/v1/topics?q=plain").json()["data"]
    assert [(row["event_types"], row["on_unknown_type"]) for row in listed] == [({}, "accept")]


@pytest.mark.parametrize(
    ("schema", "told"),
    [
        ({"$ref": "http://127.0.0.1:1/schema"}, "/$ref: must lead to a place in this schema, such as #/$defs/money"),
        ({"minLength": -1}, "/minLength: -1 is less than the minimum of 0"),
        ({"pattern": "(?<x>a)\\k<x>"}, "/pattern: is no expression that can be used"),
        ({"allOf": [{"$ref": "#/$defs/a"}], "$defs": {"a": {"$ref": "#/$defs/a"}}}, "leads back to itself"),
    ],
)
def test_a_schema_that_cannot_be_used_is_told_before_and_when_it_is_written(
    admin: httpx.Client, schema: dict[str, Any], told: str
) -> None:
    topic = {"source_id": "shop", "event_types": {"order.created": {"schema": schema}}}
    for answer in (
        admin.post("/api/v1/topics/bad/check", json=topic),
        admin.put("/api/v1/topics/bad", json=topic),
        admin.post("/api/v1/topics", json=topic),
    ):
        assert answer.status_code == 422
        (error,) = answer.json()["errors"]
        assert error["field"] == "event_types.order.created.schema"
        assert told in error["message"]


def test_schemas_as_large_as_they_may_be_are_stored_and_used(gateway: Gateway, admin: httpx.Client) -> None:
    schema = ORDER | {"description": "x" * 65_000}
    types = {"order.created": {"schema": schema}, "order.other": {"schema": schema}}
    topic = {"id": "large", "source_id": "shop", "event_types": types}
    assert admin.post("/api/v1/topics", json=topic).status_code == 201
    assert admin.get("/api/v1/topics/large").json()["event_types"]["order.other"]["schema"] == schema
    assert accepted(gateway, "large", BAD).schema_fault == "/order/id is not of type integer"


def test_a_nasty_body_for_a_nasty_schema_is_answered_and_so_is_everybody_else(
    gateway: Gateway, admin: httpx.Client
) -> None:
    branches = [{"const": {"n": at}} for at in range(100)]
    schema = {
        "properties": {"list": {"items": {"anyOf": branches}}, "text": {"pattern": "[ab]*a[ab]{100}c"}},
    }
    topic = {"id": "nasty", "source_id": "shop", "event_types": {"unknown": {"schema": schema}}}
    assert admin.post("/api/v1/topics", json=topic).status_code == 201
    for body in ({"list": [{"n": 100}] * 100_000}, {"text": "ab" * 400_000}):
        assert accepted(gateway, "nasty", body).schema_fault == (
            "the body is too large to be checked against this schema"
        )
    assert accepted(gateway, "nasty", {"list": [{"n": 100}]}).schema_fault == "/list/0 fails anyOf"
    assert accepted(gateway, "plain", GOOD).schema_fault == ""


def test_what_does_not_match_is_counted(gateway: Gateway) -> None:
    accepted(gateway, "lenient", BAD)
    text = httpx.get(f"{gateway.url}/metrics").text
    assert 'hooklog_ingest_schema_mismatches_total{policy="accept"}' in text


def test_what_is_compiled_is_kept_within_its_bytes_and_made_again_when_it_is_needed() -> None:
    schemas = EventSchemas(IngestMetrics(CollectorRegistry()), max_bytes=500)
    described = {"description": "x" * 200, "type": "object"}
    topic = TopicSpec.model_validate(
        {"id": "t", "source_id": "s", "event_types": {str(at): {"schema": described} for at in range(5)}}
    )
    for at in (0, 1, 2, 3, 4, 0, 0, 4, 2):
        assert schemas.mark_of(topic, str(at), b"{}") == ""
        assert schemas.mark_of(topic, str(at), b"[]") == "the body is not of type object"
        assert len(schemas._compiled) <= 2
