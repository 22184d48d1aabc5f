"""Search in payloads and answers finds what the body says, by a rule that is written down here a second time."""

import json
import re
import time
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from projections.query.filters import Condition
from projections.query.payload_search import field_conditions, field_of, text_conditions, words_of
from projections.query.readers import SETTINGS
from projections.writer.cells import moment, raw_text
from runtime.clickhouse import Client, EmbeddedClickHouse
from tests.clickhouse_fixture import engine

__all__ = ["engine"]

pytestmark = pytest.mark.stack

BODIES = [
    {"order": {"id": 42, "status": "paid", "items": [{"sku": "a-1"}, {"sku": "b"}], "0": "zero"}},
    {"order": {"id": "42", "status": "Paid", "items": {"0": {"sku": "a-1"}}}},
    {"order": {"id": 42.0, "status": None, "items": []}},
    {"order": {"id": 1420, "note": "paid late, order 42/7"}},
    {"a/b": {"~": True}, "": {"": "empty"}, "nested": [[1, [2, 3]]]},
    {"customer": "Zoë Müller", "text": 'quote " and \\ and \n end', "mail": "zoe@example.com"},
    [1, "two", {"three": 3}],
    "only text 42",
    42,
    None,
]
RAW = [json.dumps(body).encode() for body in BODIES] + [
    json.dumps(BODIES[5], ensure_ascii=False).encode(),
    b'{"order": {"id": 42',
    b"id=42&status=paid",
    b"\xff\xfe 42 \x00 paid",
    b"",
]


@pytest.fixture(scope="module")
def reader(engine: EmbeddedClickHouse) -> Iterator[Client]:
    writer, now_ms = engine.open_writer(), time.time_ns() // 1_000_000
    rows = [
        msgspec.json.encode({"event_id": str(number), "received_at": moment(now_ms), "payload": raw_text(raw)})
        for number, raw in enumerate(RAW)
    ]
    writer.raw_insert("events", insert_block=b"\n".join(rows), fmt="JSONEachRow")
    writer.close()
    client = engine.open_reader(SETTINGS)
    yield client
    client.close()


def found(reader: Client, conditions: list[Condition]) -> set[int]:
    where = " AND ".join(item.sql for item in conditions)
    parameters: dict[str, Any] = {name: value for item in conditions for name, value in item.parameters.items()}
    rows = reader.query(
        f"SELECT event_id FROM events FINAL WHERE {where}",  # noqa: S608 - what is tested
        parameters=parameters,
    ).result_rows
    return {int(row[0]) for row in rows}


def fields(reader: Client, *asked: str) -> set[int]:
    return found(reader, list(field_conditions(asked)))


def texts(reader: Client, *asked: str) -> set[int]:
    return found(reader, list(text_conditions(asked, ("payload",))))


def expected(pointer: str, value: str | None) -> set[int]:
    return {number for number, raw in enumerate(RAW) if _has(raw, field_of(pointer).steps, value)}


def _has(raw: bytes, steps: tuple[str, ...], value: str | None) -> bool:
    try:
        node = json.loads(raw)
        for step in steps:
            if isinstance(node, list) and not re.fullmatch("0|[1-9][0-9]*", step):
                return False
            node = node[int(step)] if isinstance(node, list) else node[step]
    except (ValueError, KeyError, IndexError, TypeError):
        return False
    return value is None or (node == "" if value == "" else _same(node, value))


def _same(node: Any, value: str) -> bool:
    if isinstance(node, str) and node == value:
        return True
    try:
        wanted = json.loads(value)
    except ValueError:
        return False
    return (type(wanted) is type(node) and wanted == node) or _numbers(node, wanted)


def _numbers(node: Any, wanted: Any) -> bool:
    kinds = (int, float)
    return type(node) in kinds and type(wanted) in kinds and node == wanted


POINTERS = ["/order/id", "/order/status", "/order/items/0/sku", "/order/items/1/sku", "/order/0", "/a~1b/~0", "//"]
POINTERS += [
    "/nested/0/1/0",
    "/customer",
    "/text",
    "/mail",
    "/0",
    "/2/three",
    "/1",
    "/order/items/00/sku",
    "/order",
    "/x",
]
VALUES = [
    "42",
    "42.0",
    '"42"',
    "paid",
    "Paid",
    "a-1",
    "b",
    "zero",
    "true",
    "null",
    "2",
    "Zoë Müller",
    "two",
    "3",
    "empty",
]
VALUES += ['quote " and \\ and \n end', "zoe@example.com", "", "1", "' OR 1=1 --", "{x:String}", "\\", "4.2e1"]


@pytest.mark.parametrize("pointer", POINTERS)
def test_a_field_is_found_by_its_pointer_and_its_value(reader: Client, pointer: str) -> None:
    assert fields(reader, pointer) == expected(pointer, None)
    for value in VALUES:
        assert fields(reader, f"{pointer}={value}") == expected(pointer, value), value


def test_fields_and_texts_must_all_be_there(reader: Client) -> None:
    assert fields(reader, "/order/id=42", "/order/status=paid") == {0}
    assert texts(reader, "paid", "42") == {0, 3, 12, 13}
    assert texts(reader, "zoe@example.com") == {5, 10}
    assert texts(reader, "order 42/7") == {3}
    assert texts(reader, "42 order") == set()
    assert texts(reader, "pai") == set()
    assert texts(reader, "Müller") == {10}


def test_a_long_pointer_of_indexes_is_no_long_query(reader: Client) -> None:
    (condition,) = field_conditions(["/0" * 10 + "=7"])
    assert len(condition.sql) < 2_000
    assert found(reader, [condition]) == set()


@given(st.text(min_size=1, max_size=40).filter(words_of))
def test_any_text_can_be_looked_for_and_is_found_where_it_stands(reader: Client, text: str) -> None:
    (condition,) = text_conditions([text], ("{body:String}",))
    sql, parameters = condition
    for body, stands in ((f"before {text} after", True), (text[:-1], False)):
        answer = reader.query(f"SELECT {sql}", parameters=parameters | {"body": body}).result_rows[0][0]
        assert bool(answer) == stands


@given(st.text(max_size=60).map(lambda text: f"/{text}"))
def test_any_pointer_is_taken_or_refused_and_nothing_worse(reader: Client, text: str) -> None:
    try:
        conditions = list(field_conditions([text]))
    except ValueError:
        return
    found(reader, conditions)
