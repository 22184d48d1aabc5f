"""The configuration as of any time is what replaying its changes one by one makes of it."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from projections.query.config_changes import changes_between
from projections.query.config_history import CHANGE_KEY, RECORD_KEY, read_config, read_diff, read_history
from projections.query.config_questions import ConfigQuestion, DiffQuestion, PageQuestion
from projections.query.cursor import decode_cursor
from projections.query.listing import Start
from projections.query.readers import SETTINGS
from projections.query.span import Span
from projections.writer.rows import outcome_rows
from runtime.clickhouse import Client, EmbeddedClickHouse
from schemas.headers import Headers, rfc3339
from schemas.outcome import Outcome, OutcomeAction, OutcomeResult, encode_outcome
from tests.clickhouse_fixture import engine, writer

__all__ = ["engine", "writer"]

BEGIN_MS = 1_795_542_652_488
DAY_MS = 86_400_000
KINDS = ("sources", "topics", "subscriptions")
Name = tuple[str, str]


@dataclass(frozen=True)
class Stored:
    """A record of the stream of outcomes."""

    value: bytes | None
    offset: int
    partition: int = 0
    headers: Headers = ()


def outcomes_of(seed: int) -> list[Outcome]:
    """What a config agent may have told: also refusals, records of keys, and the last ones twice."""
    chance, there = random.Random(seed), dict[Name, int]()
    told = []
    for offset in range(120):
        kind, name = chance.choice((*KINDS, "keys")), chance.choice(("a", "b", "c/d", "é"))
        shared: dict[str, Any] = {"kind": kind, "id": name, "intake_offset": offset, "actor": f"key:{offset % 3} Ann"}
        shared["at_ms"] = BEGIN_MS + offset // 3 * DAY_MS
        if chance.random() < 0.2:
            told.append(Outcome(result=OutcomeResult.REFUSED, code="invalid", reason="no", field="id", **shared))
        elif (kind, name) in there and chance.random() < 0.3:
            del there[kind, name]
            told.append(Outcome(result=OutcomeResult.APPLIED, action=OutcomeAction.DELETED, version=offset, **shared))
        else:
            new = (kind, name) not in there
            generation = there.setdefault((kind, name), offset)
            record = {"id": name, "n": chance.randrange(3), "deep": {"x": chance.randrange(2)}, "version": offset}
            told.append(
                Outcome(
                    result=OutcomeResult.APPLIED,
                    action=OutcomeAction.CREATED if new else OutcomeAction.UPDATED,
                    version=offset,
                    generation=generation,
                    record=record,
                    **shared,
                )
            )
    return told


@pytest.fixture
def told(writer: Client) -> list[Outcome]:
    outcomes = outcomes_of(7)
    again = outcomes + outcomes[-5:]  # a crash before the commit
    rows = [row.json for at, item in enumerate(again) for row in outcome_rows(Stored(encode_outcome(item), at))]
    writer.raw_insert("config_changes", insert_block=b"\n".join(rows), fmt="JSONEachRow")
    return outcomes


@pytest.fixture
def reader(engine: EmbeddedClickHouse) -> Iterator[Client]:
    client = engine.open_reader(SETTINGS)
    yield client
    client.close()


def state_at(told: list[Outcome], at_ms: int) -> dict[Name, Outcome]:
    state: dict[Name, Outcome] = {}
    for item in told:
        if item.at_ms > at_ms or item.result == "refused" or item.kind not in KINDS:
            continue
        if item.action == "deleted":
            state.pop((item.kind, item.id), None)
        else:
            state[item.kind, item.id] = item
    return state


def pages(read: Any, key: Any, span: Span) -> list[dict[str, Any]]:
    rows, start = [], Start("q", span)
    while True:
        page = read(start)
        rows += page["data"]
        if page["next_cursor"] is None:
            return rows
        position = decode_cursor(page["next_cursor"], "q", key)
        assert position.span == span
        start = Start("q", position.span, position.key)


@pytest.mark.parametrize("day", [-1, 0, 3, 11, 39, 50])
def test_the_records_of_a_time_are_those_that_were_in_force_then(reader: Client, told: list[Outcome], day: int) -> None:
    at_ms = BEGIN_MS + day * DAY_MS
    question = ConfigQuestion(limit=2)
    rows = pages(lambda start: read_config(reader, question, start), RECORD_KEY, Span(0, at_ms))
    expected = state_at(told, at_ms)
    assert [(row["kind"], row["id"]) for row in rows] == sorted(expected)
    for row in rows:
        item = expected[row["kind"], row["id"]]
        assert (row["record"], row["version"], row["generation"]) == (item.record, item.version, item.generation)
        assert (row["updated_by"], row["updated_at"]) == (item.actor, rfc3339(item.at_ms))
    one = read_config(reader, ConfigQuestion(kind="topics", id="c/d"), Start("q", Span(0, at_ms)))["data"]
    assert [row["record"] for row in one] == [
        item.record for name, item in expected.items() if name == ("topics", "c/d")
    ]


@pytest.mark.parametrize(("first", "last"), [(-1, 50), (2, 9), (9, 9), (20, 39)])
def test_a_difference_leads_from_the_one_time_to_the_other(
    reader: Client, told: list[Outcome], first: int, last: int
) -> None:
    span = Span(BEGIN_MS + first * DAY_MS, BEGIN_MS + last * DAY_MS)
    assert span.until_ms is not None
    question = DiffQuestion.model_validate({"from": "0", "limit": 3})
    rows = pages(lambda start: read_diff(reader, question, start), RECORD_KEY, span)
    old, new = state_at(told, span.since_ms), state_at(told, span.until_ms)
    changed = [
        name
        for name in sorted(old | new)
        if (old.get(name) and old[name].version) != (new.get(name) and new[name].version)
    ]
    assert [(row["kind"], row["id"]) for row in rows] == changed
    for row in rows:
        name = (row["kind"], row["id"])
        before = dict((old[name].record or {}) if name in old else {})
        for change in row["changes"]:
            _apply(before, change)
        after = (new[name].record or {}) if name in new else {}
        assert {**before, "version": None} == {**after, "version": None}
        assert row["action"] == ("updated" if name in old and name in new else "created" if name in new else "deleted")


def _apply(record: dict[str, Any], change: dict[str, Any]) -> None:
    *parents, last = (step.replace("~1", "/").replace("~0", "~") for step in change["pointer"][1:].split("/"))
    node = record
    for step in parents:
        node[step] = node = dict(node.get(step) or {})
    assert node.get(last) == change["before"]
    node[last] = change["after"]
    if change["after"] is None:
        del node[last]


def test_the_history_of_a_record_tells_every_change_once_and_what_was_refused(
    reader: Client, told: list[Outcome]
) -> None:
    question = PageQuestion(limit=3)
    for kind, name in {(item.kind, item.id) for item in told}:

        def read(start: Start, of: Name = (kind, name)) -> dict[str, Any]:
            return read_history(reader, of[0], of[1], question, start)

        rows = pages(read, CHANGE_KEY, Span(0, None))
        expected = [item for item in reversed(told) if (item.kind, item.id) == (kind, name)]
        assert [row["intake_offset"] for row in rows] == [item.intake_offset for item in expected]
        assert [row["updated_by"] for row in rows] == [item.actor for item in expected]
        record: dict[str, Any] = {}
        for row, item in zip(reversed(rows), reversed(expected), strict=True):
            assert (row["result"], row["code"]) == (item.result, item.code)
            after = record if item.result == "refused" else item.record or {}
            assert row["changes"] == changes_between(record, after)
            record = after


VALUES = st.recursive(st.integers(0, 2) | st.none(), lambda inner: st.dictionaries(st.text("ab/~", max_size=2), inner))


@given(st.dictionaries(st.text("ab/~", max_size=2), VALUES), st.dictionaries(st.text("ab/~", max_size=2), VALUES))
def test_a_record_has_no_changes_to_itself_and_as_many_back_as_there(
    before: dict[str, Any], after: dict[str, Any]
) -> None:
    assert changes_between(before, before) == []
    there, back = changes_between(before, after), changes_between(after, before)
    assert [(row["pointer"], row["after"], row["before"]) for row in there] == [
        (row["pointer"], row["before"], row["after"]) for row in back
    ]
