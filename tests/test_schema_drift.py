"""Drift: what events have that their schema lacks, of other types, or lack that it requires; counted apart first."""

import asyncio
import json
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.declared_fields import ANY, DeclaredFields
from rules.event_schema import EventSchema
from rules.inferred_schema import inferred_schema
from rules.seen_fields import SeenFields, pointer_of
from schemas.headers import rfc3339
from schemas.outcome import Outcome, OutcomeAction, OutcomeResult, encode_outcome
from schemas.rejection import Rejection, encode_rejection
from schemas.streams import OUTCOMES, REJECTIONS
from tests.kafka_fixture import RunningKafka
from tests.projections_fixture import Projections, Stages, make_event

SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["order"],
    "properties": {
        "type": {"const": "order.created"},
        "order": {"$ref": "#/$defs/order"},
        "payer": {"oneOf": [{"properties": {"card": {"type": "string"}}}, {"properties": {"iban": True}}]},
    },
    "patternProperties": {"^x-": {"type": "integer"}},
    "$defs": {
        "order": {
            "allOf": [{"required": ["id"]}],
            "properties": {
                "id": {"type": "integer"},
                "total": {"type": ["number", "null"]},
                "items": {"type": "array", "items": {"required": ["sku"], "properties": {"sku": {"enum": ["a", "b"]}}}},
                "labels": {"additionalProperties": {"type": "string"}},
            },
        }
    },
}


@pytest.mark.parametrize(
    ("path", "declared", "types"),
    [
        ((), True, {"object"}),
        (("type",), True, {"string"}),
        (("order", "id"), True, {"integer"}),
        (("order", "total"), True, {"integer", "number", "null"}),
        (("order", "items", None), True, ANY),
        (("order", "items", None, "sku"), True, {"string"}),
        (("order", "labels", "any"), True, {"string"}),
        (("order", "note"), False, ANY),
        (("order", "note", "deeper"), False, ANY),
        (("payer", "card"), True, {"string"}),
        (("payer", "iban"), True, ANY),
        (("payer", "cash"), False, ANY),
        (("x-a",), True, {"integer"}),
        (("y-a",), False, ANY),
    ],
)
def test_a_schema_is_read_field_by_field(path: Any, declared: bool, types: Any) -> None:
    fields = DeclaredFields(SCHEMA)
    assert (fields.declares(path), fields.types(path)) == (declared, types)


def test_what_is_required_is_known_by_place() -> None:
    fields = DeclaredFields(SCHEMA)
    assert [fields.required(path) for path in ((), ("order",), ("order", "items", None), ("payer",))] == [
        {"order"},
        {"id"},
        {"sku"},
        set(),
    ]


def test_types_of_branches_are_all_allowed_and_those_of_parts_must_agree() -> None:
    branches = {"anyOf": [{"type": "string"}, {"type": "null"}], "allOf": [{"type": ["string", "null", "array"]}]}
    assert DeclaredFields(branches).types(()) == {"string", "null"}
    assert DeclaredFields({"const": 1.5}).types(()) == {"number"}
    assert DeclaredFields({"properties": {"a": False}}).types(("a",)) == set()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "*", "a/b"]), inner),
    max_leaves=10,
)


@given(st.lists(JSON, min_size=1, max_size=6))
def test_a_draft_takes_every_body_that_it_was_made_of(bodies: list[Any]) -> None:
    seen = SeenFields()
    for body in bodies:
        seen.add(body, 1)
    draft = inferred_schema(seen)
    theirs = jsonschema.Draft202012Validator(draft)
    assert all(theirs.is_valid(body) for body in bodies)
    assert not any(EventSchema(draft).faults(json.dumps(body).encode()) for body in bodies)
    declared = DeclaredFields(draft)
    assert all(set(field.types) <= declared.types(path) for path, field in seen.fields.items())


def test_what_is_told_apart_is_bounded_and_that_is_told() -> None:
    seen = SeenFields(max_fields=10)
    assert seen.add({f"id-{at}": 1 for at in range(50)}, 1) == 51
    assert (len(seen.fields), seen.left_out) == (10, True)
    deep: Any = 1
    for _ in range(500):
        deep = [deep]
    seen = SeenFields()
    seen.add(deep, 1)
    assert seen.left_out
    assert max(len(path) for path in seen.fields) == 32


def test_fields_below_a_name_that_is_made_of_data_are_left_out() -> None:
    seen = SeenFields()
    seen.add({"k" * 30_000: {str(number): number for number in range(900)}, "ok": 1}, 0)
    assert set(seen.fields) == {(), ("ok",)}
    assert seen.left_out


def test_a_name_is_never_taken_for_the_items_of_a_list() -> None:
    seen = SeenFields()
    seen.add({"*": [1], "a/b": {"~": None}}, 1)
    assert sorted(map(pointer_of, seen.fields)) == ["", "/*", "/*/*", "/a~1b", "/a~1b/~0"]
    assert len(seen.fields) == 5


NOW_MS = time.time_ns() // 1_000_000 - 60_000
BODIES = [
    {"type": "order.created", "order": {"id": at, "coupon": "c" if at % 4 == 0 else None, "items": [{"sku": "a"}, {}]}}
    for at in range(20)
]
ODD = [{"type": "order.created", "order": {"id": "no", "items": []}}, {"type": "order.created"}]


def topic_outcome(event_types: dict[str, Any], action: OutcomeAction = OutcomeAction.CREATED) -> bytes:
    record = {"id": "orders", "source_id": "shop", "event_types": event_types, "on_unknown_type": "accept"}
    stamps = {"created_at": "then", "updated_at": "then", "version": 5, "generation": 5}
    outcome = Outcome(
        kind="topics",
        id="orders",
        intake_offset=5,
        at_ms=NOW_MS,
        result=OutcomeResult.APPLIED,
        action=action,
        version=5,
        generation=5,
        record=record | stamps,
    )
    return encode_outcome(outcome)


@pytest.fixture(scope="module")
def projections(session_kafka: RunningKafka, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Projections]:
    service = Projections(session_kafka, tmp_path_factory.mktemp("projections"))
    asyncio.run(fill(service))
    service.start()
    service.until_count("events", len(BODIES) + len(ODD) + 3)
    service.until_count("config_changes", 1)
    service.until_count("rejections", 1)
    yield service
    assert service.stop() == 0


async def fill(service: Projections) -> None:
    async with Stages(service.settings) as stages:
        await stages.raw(OUTCOMES, topic_outcome({"order.created": {"schema": SCHEMA}}))
        for at, body in enumerate(BODIES + ODD):
            fault = EventSchema(SCHEMA).faults(json.dumps(body).encode())
            mark = str(fault[0]) if fault else ""
            await stages.event(make_event(body=json.dumps(body).encode(), received_ms=NOW_MS + at, schema_fault=mark))
        await stages.event(make_event(body=b"a=b"))
        await stages.event(make_event(body=json.dumps({"a": "x" * 70_000}).encode(), event_type="order.large"))
        await stages.event(make_event(body=b'{"secret":"S3CRET"}', event_type="order.other"))
        refused = Rejection(
            rejection_id="r1",
            topic_id="orders",
            source_id="shop",
            status=422,
            code="schema_mismatch",
            reason="no",
            received_ms=NOW_MS,
        )
        await stages.raw(REJECTIONS, encode_rejection(refused))


def ask(projections: Projections, expected: int = 200, /, **parameters: Any) -> dict[str, Any]:
    status, body = projections.get(f"/api/v1/stats/schema-drift?{urlencode({'topic_id': 'orders'} | parameters)}")
    assert status == expected, body
    document: dict[str, Any] = json.loads(body)
    return document


@pytest.mark.stack
def test_drift_is_what_the_schema_lacks_what_is_of_another_type_and_what_is_missing(projections: Projections) -> None:
    answer = ask(projections)
    assert (answer["version"], answer["refused"], answer["more_types"]) == (5, 1, False)
    created, large, other = answer["types"]
    fields = {field["pointer"]: field for field in created.pop("fields")}
    assert fields.keys() == {"/order/coupon", "/order/id"}
    assert fields["/order/coupon"] == {
        "pointer": "/order/coupon",
        "types": {"null": 15, "string": 5},
        "events": 20,
        "share": round(20 / 22, 4),
        "first_seen_at": rfc3339(NOW_MS),
        "last_seen_at": rfc3339(NOW_MS + 19),
        "in_schema": False,
        "unexpected_types": [],
    }
    assert fields["/order/id"]["types"] == {"integer": 20, "string": 1}
    assert fields["/order/id"]["unexpected_types"] == ["string"]
    assert created == {
        "event_type": "order.created",
        "events": 23,
        "invalid": 22,
        "too_large": 0,
        "declared": True,
        "looked_at": 22,
        "not_json": 1,
        "left_out": False,
        "missing": [
            {"pointer": "/order", "objects": 22, "lacking": 1},
            {"pointer": "/order/items/*/sku", "objects": 40, "lacking": 20},
        ],
    }
    assert (large["event_type"], large["too_large"], large["looked_at"], large["fields"]) == ("order.large", 1, 0, [])
    assert (other["declared"], [field["pointer"] for field in other["fields"]]) == (False, ["", "/secret"])
    assert "S3CRET" not in json.dumps(answer)


@pytest.mark.stack
def test_a_question_can_be_about_one_type_fewer_events_and_every_field(projections: Projections) -> None:
    (created,) = ask(projections, event_type="order.created", sample=5, every_field=True)["types"]
    assert (created["events"], created["looked_at"] + created["not_json"]) == (23, 5)
    assert {"", "/order", "/type"} <= {field["pointer"] for field in created["fields"]}
    assert ask(projections, event_type="order.created", sample=5, every_field=True)["types"] == [created]
    assert ask(projections, event_type="none")["types"] == []
    assert len(ask(projections, event_type="order.*")["types"]) == 3


@pytest.mark.stack
def test_a_draft_of_a_schema_is_made_of_what_was_seen(projections: Projections) -> None:
    (created,) = ask(projections, event_type="order.created", draft=True)["types"]
    draft = created["draft"]
    assert draft["required"] == ["type"]
    assert draft["properties"]["order"]["properties"]["id"]["type"] == ["integer", "string"]
    assert not any(EventSchema(draft).faults(json.dumps(body).encode()) for body in BODIES + ODD)


@pytest.mark.stack
def test_what_cannot_be_asked_is_told(projections: Projections) -> None:
    assert ask(projections, 404, topic_id="none")["code"] == "not_found"
    assert ask(projections, 422, sample=0)["code"] == "invalid"
    assert ask(projections, 422, since="-40d")["code"] == "invalid"


@pytest.mark.stack
def test_events_are_listed_by_whether_they_were_as_their_schema_says(projections: Projections) -> None:
    def listed(valid: bool) -> list[dict[str, Any]]:
        status, body = projections.get(f"/api/v1/logs/events?schema_valid={str(valid).lower()}&limit=100")
        assert status == 200
        rows: list[dict[str, Any]] = json.loads(body)["data"]
        return rows

    assert len(listed(valid=False)) == 22
    assert all(row["schema_fault"] == "" for row in listed(valid=True))
