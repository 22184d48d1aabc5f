"""Schemas of events: the same verdicts as an independent validator, no endless work, nothing of a body in a fault."""

import json
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.event_schema import MAX_FAULTS, MAX_SCHEMA_BYTES, BadSchemaError, EventSchema, event_type_errors
from rules.schema_cost import Load, load_of
from schemas.event_types import EventTypeSpec

ORDER: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "required": ["id", "order"],
    "properties": {
        "id": {"type": "string", "pattern": "^evt_[a-z0-9]+$"},
        "order": {"$ref": "#/$defs/order"},
        "a/b": {"type": "integer"},
    },
    "$defs": {
        "order": {
            "type": "object",
            "additionalProperties": False,
            "properties": {"id": {"type": "integer", "minimum": 1}, "items": {"items": {"type": "string"}}},
        }
    },
}

NAMES = st.sampled_from(["a", "b", "c"])
SCALARS = st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from([0.5, 1.0, 2.5]) | st.text("xyé", max_size=3)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=3), max_leaves=12
)
TYPES = st.sampled_from(["null", "boolean", "integer", "number", "string", "array", "object"])
SIZES = st.integers(0, 3)
ASSERTIONS = st.one_of(
    st.fixed_dictionaries({"type": TYPES | st.lists(TYPES, min_size=1, max_size=3, unique=True)}),
    st.fixed_dictionaries({"enum": st.lists(VALUES, min_size=1, max_size=3)}),
    st.fixed_dictionaries({"const": VALUES}),
    st.fixed_dictionaries({"required": st.lists(NAMES, max_size=2, unique=True)}),
    st.fixed_dictionaries({"minimum": st.integers(-2, 2), "maximum": st.integers(-2, 2)}),
    st.fixed_dictionaries({"multipleOf": st.sampled_from([1, 2, 0.5])}),
    st.fixed_dictionaries({"minLength": SIZES, "maxLength": SIZES}),
    st.fixed_dictionaries({"pattern": st.sampled_from(["^x", "y$", "x+y*", "[^x]"])}),
    st.fixed_dictionaries({"minItems": SIZES, "maxItems": SIZES, "uniqueItems": st.booleans()}),
    st.fixed_dictionaries({"minProperties": SIZES, "maxProperties": SIZES}),
    st.fixed_dictionaries({"$ref": st.sampled_from(["#/$defs/first", "#/$defs/second"])}),
    st.just({"format": "email"}),
)


def _applying(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    several = st.lists(inner, min_size=1, max_size=3)
    named = st.dictionaries(NAMES, inner, max_size=2)
    return st.one_of(
        *(st.fixed_dictionaries({name: several}) for name in ("allOf", "anyOf", "oneOf", "prefixItems")),
        *(st.fixed_dictionaries({name: inner}) for name in ("not", "items", "contains", "additionalProperties")),
        *(st.fixed_dictionaries({name: named}) for name in ("properties", "patternProperties", "dependentSchemas")),
        st.fixed_dictionaries({"if": inner, "then": inner, "else": inner}),
        st.fixed_dictionaries({"propertyNames": inner}),
    )


def _merged(parts: list[dict[str, Any]]) -> dict[str, Any]:
    return {name: value for part in parts for name, value in part.items()}


PARTS = st.recursive(ASSERTIONS | st.booleans(), _applying, max_leaves=6).map(
    lambda part: part if isinstance(part, dict) else {"not": not part}
)
# What the definitions are of refers to none, so that none leads back to itself.
DEFINITIONS = ASSERTIONS.filter(lambda part: "$ref" not in part)
SCHEMAS = st.builds(
    lambda parts, first, second: _merged(parts) | {"$defs": {"first": first, "second": second}},
    st.lists(PARTS, max_size=3),
    DEFINITIONS,
    DEFINITIONS,
)


@settings(max_examples=400, deadline=None)
@given(SCHEMAS, st.lists(VALUES, min_size=1, max_size=5))
def test_a_verdict_is_that_of_an_independent_validator(schema: dict[str, Any], values: list[Any]) -> None:
    ours, theirs = EventSchema(schema), jsonschema.Draft202012Validator(schema)
    for value in values:
        assert (not ours.faults(json.dumps(value).encode())) == theirs.is_valid(value), (schema, value)


def faults(body: Any, schema: Any = None) -> list[str]:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return [str(fault) for fault in EventSchema(schema or ORDER).faults(raw)]


def test_a_body_as_its_schema_says_has_no_fault() -> None:
    assert faults({"id": "evt_1", "order": {"id": 7, "items": ["a"]}, "more": 1}) == []


def test_faults_name_the_place_and_the_rule_and_no_value() -> None:
    body = {"id": "S3CRET", "order": {"id": 0, "items": ["a", {"S3CRET": 1}], "S3CRET": 1}, "a/b": "S3CRET"}
    told = faults(body)
    assert sorted(told) == [
        "/a~1b is not of type integer",
        "/id fails pattern",
        "/order has members that the schema does not allow",
        "/order/id fails minimum 1",
        "/order/items/1 is not of type string",
    ]
    assert faults({}) == ["the body lacks id", "the body lacks order"]
    assert faults(b"not json") == faults(b"") == ["the body is not JSON"]


def test_no_more_than_the_first_faults_are_told() -> None:
    assert len(faults([1] * 100, {"items": {"type": "string"}})) == MAX_FAULTS


def test_of_a_large_body_one_fault_is_found_without_looking_for_all() -> None:
    assert faults([1] * 100_000, {"items": {"type": "string"}}) == ["/0 is not of type string"]


def chain(length: int, applied: dict[str, Any]) -> dict[str, Any]:
    """Definitions that each hold `applied`, in which NEXT is the next one."""
    text = json.dumps(applied)
    each = {f"d{at}": json.loads(text.replace("NEXT", f"#/$defs/d{at + 1}")) for at in range(length)}
    return {"$ref": "#/$defs/d0", "$defs": each | {f"d{length}": {"type": "integer"}}}


REFUSED: dict[str, tuple[Any, str]] = {
    "a remote reference": ({"properties": {"a": {"$ref": "https://example.com/s"}}}, "/properties/a/$ref: must lead"),
    "a file": ({"$ref": "file:///etc/passwd"}, "/$ref: must lead"),
    "a dangling reference": ({"$ref": "#/$defs/none"}, "/$ref: there is no #/$defs/none"),
    "recursion": ({"$ref": "#/$defs/t", "$defs": {"t": {"items": {"$ref": "#/$defs/t"}}}}, "leads back to itself"),
    "the whole in itself": ({"items": {"$ref": "#"}}, "must lead"),
    "no schema": ({"type": "nope"}, "/type: "),
    "another draft": ({"$schema": "http://json-schema.org/draft-07/schema#"}, "/$schema: must be left out"),
    "a draft of no sort": ({"$schema": 5}, "/$schema: must be left out"),
    "look-ahead": ({"pattern": "(?=x)y"}, "/pattern: is no expression"),
    "a back-reference": ({"patternProperties": {"(a)\\1": True}}, "/patternProperties: is no expression"),
    "a repetition of repetitions": ({"pattern": "((a{1,100}){1,100}){1,100}"}, "/pattern: is no expression"),
    "an open bracket": ({"items": {"pattern": "("}}, "/items/pattern: is no expression"),
    "unevaluated members": ({"unevaluatedProperties": False}, "its work has no bound"),
    "a dynamic reference": ({"$dynamicRef": "#x"}, "its work has no bound"),
    "an older keyword": ({"dependencies": {"a": {"type": "integer"}}}, "/dependencies: is of an earlier draft"),
    "an id within": ({"properties": {"a": {"$id": "https://x.example"}}}, "/properties/a/$id: only the whole"),
    "a draft within": ({"items": {"$schema": "http://json-schema.org/draft-07/schema#"}}, "/items/$schema: only the"),
    "doubling": (chain(60, {"allOf": [{"$ref": "NEXT"}] * 2}), "more than 2000 checks"),
    "doubling at each level": (chain(40, {"items": {"anyOf": [{"$ref": "NEXT"}] * 2}}), "more than 2000 checks"),
    "a deep schema": (chain(150, {"items": {"$ref": "NEXT"}}), "too many schemas within one another"),
    "a long enum of objects": ({"enum": [{"a": at} for at in range(500)]}, "more than 2000 checks"),
    "thousands of schemas": ({"allOf": [{}] * 2_001}, "more than 2000 parts"),
    "hundreds of expressions": ({"patternProperties": {f"a{at}": True for at in range(200)}}, "more than 2000 parts"),
    "a large schema": ({"description": "x" * MAX_SCHEMA_BYTES}, "at most 65536 are taken"),
}


@pytest.mark.parametrize("why", REFUSED)
def test_a_schema_that_cannot_be_used_is_refused_with_the_place(why: str) -> None:
    schema, told = REFUSED[why]
    with pytest.raises(BadSchemaError) as refusal:
        EventSchema(schema)
    assert told in str(refusal.value)


@given(st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text() | NAMES, inner)))
def test_whatever_stands_where_a_keyword_should_is_refused_and_no_crash(value: Any) -> None:
    for keyword in ("allOf", "properties", "$ref", "$defs", "pattern", "required", "enum", "$id", "items", "type"):
        try:
            EventSchema({keyword: value, "not": {keyword: value}})
        except BadSchemaError:
            continue


def test_expressions_that_other_engines_never_finish_are_finished() -> None:
    for expression in ("^(a+)+$", "^(a|aa)+$", "(x+x+)+y"):
        assert faults("a" * 50_000 + "!", {"pattern": expression}) == ["the body fails pattern"]


def test_a_body_that_would_hold_the_loop_is_not_checked_and_that_is_told() -> None:
    told = ["the body is too large to be checked against this schema"]
    branches = {"items": {"anyOf": [{"const": {"n": at}} for at in range(100)]}}
    assert faults([{"n": 100}] * 20_000, branches) == told
    assert faults("ab" * 20_000, {"pattern": "[ab]*a[ab]{100}c"}) == told
    assert faults("ab" * 20_000, {"pattern": "^a"}) == []


def test_a_large_text_is_never_copied_for_each_branch_only_to_tell_the_place() -> None:
    branches = {"properties": {"a": {"oneOf": [{"required": [f"p{at}"]} for at in range(100)]}}}
    assert faults({"a": {"text": "x"}}, branches) == ["/a fails oneOf"]
    assert faults({"a": {"text": "x" * 10_000}}, branches) == ["/a fails oneOf"]
    assert faults({"a": {"text": "x" * 1_000_000}}, branches) == [
        "the body is not as its schema says; it is too large to find out where"
    ]


@pytest.mark.parametrize("schema", [{"const": 1}, {"uniqueItems": True}, {"type": "string"}, {"maxItems": 0}])
def test_a_body_that_is_nested_deeper_than_the_library_goes_is_a_fault_and_no_crash(schema: dict[str, Any]) -> None:
    for depth in (240, 256, 1_000):
        for body in (b"[" * depth + b"]" * depth, b'{"a":' * depth + b"1" + b"}" * depth):
            assert len(faults(body, schema)) <= 1
    assert faults(b"[" * 1_000 + b"]" * 1_000, {"type": "string"}) == ["the body is nested too deep to be checked"]
    assert faults(b"[" * 3_000, schema) == ["the body is not JSON"]


def test_a_schema_with_a_number_beyond_64_bits_is_refused_and_no_crash() -> None:
    for keyword in ("minimum", "const", "maxLength", "multipleOf"):
        with pytest.raises(BadSchemaError):
            EventSchema({keyword: 10**30})


def test_the_load_is_that_of_the_value_which_bears_most() -> None:
    checks = {"minimum": 1, "maximum": 2, "type": "integer"}
    side_by_side = {"properties": {f"p{at}": checks for at in range(100)}}
    stacked = {"allOf": [{"properties": {"p": checks}} for _ in range(10)]}
    assert load_of(side_by_side, len) == (Load(3), 101)
    assert load_of(stacked, len) == (Load(30), 21)
    assert load_of({"items": {"pattern": "abc"}, "contains": {"pattern": "de"}}, len) == (Load(2, 5), 23)


def test_each_type_of_a_topic_is_told_with_its_own_fault_and_all_together_have_a_size() -> None:
    def typed(schema: dict[str, Any]) -> EventTypeSpec:
        return EventTypeSpec.model_validate({"schema": schema})

    errors = event_type_errors({"a.b": typed({"type": "nope"}), "c": typed({}), "d": typed({"$ref": "x"})})
    assert [field for field, _ in errors] == ["event_types.a.b.schema", "event_types.d.schema"]
    assert len(event_type_errors({str(at): typed({"type": "nope"}) for at in range(100)})) == MAX_FAULTS
    large = {"description": "x" * 60_000}
    assert event_type_errors({str(at): typed(large) for at in range(3)}) == [
        ("event_types", "the schemas have together more than 131072 bytes and 5000 parts")
    ]
    wide: dict[str, Any] = {"properties": {f"p{at}": {} for at in range(1_900)}}
    assert [field for field, _ in event_type_errors({str(at): typed(wide) for at in range(3)})] == ["event_types"]
