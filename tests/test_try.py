"""What a subscription would have done: judged by the real rules, counted, compared, bounded; nothing is invented."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from projections.query import try_events
from projections.query.readers import LOG_SETTINGS
from projections.query.shown_body import MAX_DIFF_LINES, TOO_LARGE, body_diff, shown_body
from projections.query.span import Span
from projections.query.try_request import TryRequest
from projections.query.try_routes import Trial
from projections.writer.rows import dispatch_rows, event_rows, outcome_rows
from rules.addresses import AddressPolicy
from runtime.clickhouse import Client, EmbeddedClickHouse
from runtime.problem import ProblemError
from schemas.dispatch import Dispatch, encode_dispatch
from schemas.event import Event, encode_event
from schemas.ids import derived_id
from schemas.outcome import Outcome, OutcomeAction, OutcomeResult, encode_outcome
from tests.clickhouse_fixture import engine, writer
from tests.projections_fixture import make_event

__all__ = ["engine", "writer"]

NOW_MS = time.time_ns() // 1_000_000
DAY = Span(NOW_MS - 86_400_000, NOW_MS + 3_600_000)
PLAIN: dict[str, Any] = {"id": "billing", "topic_id": "orders", "target_url": "https://billing.example.com/hook"}


@dataclass(frozen=True)
class Stored:
    """A record as Kafka gives it."""

    offset: int
    value: bytes | None
    headers: Any = ()
    partition: int = 0


class Tables:
    """Puts records into the tables, and tries subscriptions with them."""

    def __init__(self, writer: Client, reader: Client) -> None:
        self._writer = writer
        self._reader = reader
        self._offset = 0

    def _put(self, rows: Any, value: bytes | None, headers: Any = ()) -> None:
        self._offset += 1
        for row in rows(Stored(self._offset, value, headers)):
            self._writer.raw_insert(row.table, insert_block=row.json, fmt="JSONEachRow")

    def event(self, body: object, **changes: Any) -> Event:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        event = make_event(body=raw, **changes)
        self._put(event_rows, event.body, encode_event(event))
        return event

    def dispatch(self, event: Event, **changes: Any) -> None:
        dispatch = Dispatch(
            event_id=event.event_id,
            topic_id=event.topic_id,
            source_id=event.source_id,
            event_type=event.event_type,
            received_ms=event.received_ms,
            dispatched_ms=event.received_ms,
            event_partition=0,
            event_offset=self._offset,
            config_version=1,
            **changes,
        )
        self._put(dispatch_rows, encode_dispatch(dispatch))

    def subscription(self, *, action: OutcomeAction = OutcomeAction.UPDATED, **fields: Any) -> None:
        record = PLAIN | {"created_at": "2026-01-01T00:00:00Z", "version": 9, **fields}
        outcome = Outcome(
            kind="subscriptions",
            id="billing",
            intake_offset=9,
            at_ms=NOW_MS,
            result=OutcomeResult.APPLIED,
            action=action,
            version=9,
            record=None if action is OutcomeAction.DELETED else record,
        )
        self._put(outcome_rows, encode_outcome(outcome))

    def tried(self, *, event_id: str | None = None, examples: int = 3, **fields: Any) -> dict[str, Any]:
        request = TryRequest(subscription=PLAIN | fields, event_id=event_id, examples=examples)
        return Trial(request, DAY, AddressPolicy(), time.monotonic() + 60).run(self._reader)

    def refused(self, **fields: Any) -> dict[str, str]:
        with pytest.raises(ProblemError) as raised:
            self.tried(**fields)
        assert raised.value.status == 422
        return {error["field"]: error["message"] for error in raised.value.members["errors"]}


@pytest.fixture
def tables(engine: EmbeddedClickHouse, writer: Client) -> Iterator[Tables]:
    writer.command("ALTER TABLE dispatches DROP PARTITION ALL")
    reader = engine.open_reader(LOG_SETTINGS)
    yield Tables(writer, reader)
    reader.close()


def test_a_new_subscription_is_judged_event_by_event_with_reasons_and_examples(tables: Tables) -> None:
    first = tables.event({"total": 500, "id": 1})
    tables.event({"total": 5})
    failing = tables.event({"id": 3})
    tables.event({"total": 900}, event_type="refund.made")
    tables.event({"total": 900}, topic_id="other")
    tables.event({"total": 900}, topic_id="hooklog.operations")
    again = tables.event({"total": 901})
    tables.dispatch(again, duplicate=True)
    told = tables.tried(filter="event.total > 100", event_types=["order.*"], transform="{'id': event.id}", examples=1)
    assert (told["delivered"], told["dead"]) == (1, {})
    assert told["skipped"] == {"filter": 1, "filter_error": 1, "event_type": 1, "duplicate": 1}
    assert (told["events"], told["looked_at"], told["one_in"], told["payload_expired"]) == (5, 5, 1, 0)
    assert (told["today"], told["today_version"], told["changes"], told["headers"]) == (None, None, None, None)
    (sent,) = told["examples"]["delivered"]
    assert (sent["event_id"], sent["body"], sent["content_type"]) == (first.event_id, '{"id":1}', "application/json")
    (skipped,) = told["examples"]["skipped: filter_error"]
    assert (skipped["event_id"], skipped["detail"]) == (failing.event_id, 'Key not found in map : "total"')
    everything = tables.tried(topic_id="*")
    assert (everything["events"], everything["delivered"]) == (6, 5)  # but for Hooklog's own operations
    assert tables.tried(topic_id="hooklog.operations")["delivered"] == 1
    assert tables.tried(is_active=False)["skipped"] == {"subscription_inactive": 4, "duplicate": 1}


def test_a_changed_subscription_is_compared_with_the_one_of_today(tables: Tables) -> None:
    tables.subscription(filter="event.total > 100", headers={"X-Team": "********", "X-Old": "********"})
    low, high = tables.event({"total": 50, "a": 1}), tables.event({"total": 500, "a": 1})
    top = tables.event({"total": 9_000, "a": 1})
    told = tables.tried(
        filter="event.total < 1000",
        transform="event.total == 500 ? {'total': event.total, 'a': 2} : event",
        headers={"X-Team": "********", "X-New": "n"},
    )
    assert told["today_version"] == 9
    assert (told["delivered"], told["today"]["delivered"]) == (2, 2)
    assert told["changes"] == {"newly_delivered": 1, "no_longer_delivered": 1, "changed": 1, "unchanged": 0}
    examples = {name: [one["event_id"] for one in found] for name, found in told["examples"].items()}
    assert examples["newly_delivered"] == [low.event_id]
    assert examples["no_longer_delivered"] == [top.event_id]
    (changed,) = told["examples"]["changed"]
    assert (changed["event_id"], changed["before"]["body"]) == (high.event_id, '{"total": 500, "a": 1}')
    assert changed["diff"][-5:] == [" {", '-  "a": 1,', '+  "a": 2,', '   "total": 500', " }"]
    assert told["headers"] == {"added": ["X-New"], "removed": ["x-old"], "given_again": []}
    same = tables.tried(filter="event.total > 100", headers={"X-Team": "x"})
    assert same["changes"]["unchanged"] == 2
    assert same["headers"] == {"added": [], "removed": ["x-old"], "given_again": ["X-Team"]}
    tables.subscription(action=OutcomeAction.DELETED)
    assert tables.tried()["today"] is None


def test_one_event_can_be_tried_whenever_it_came(tables: Tables) -> None:
    old_ms = NOW_MS - 40 * 86_400_000
    old = tables.event({"total": 1}, received_ms=old_ms, event_id=derived_id(old_ms, "old"))
    tables.event({"total": 2})
    told = tables.tried(event_id=old.event_id, transform="event.none")
    assert (told["events"], told["dead"], told["since"]) == (1, {"transform_failed": 1}, None)
    (dead,) = told["examples"]["dead: transform_failed"]
    assert (dead["event_id"], dead["detail"]) == (old.event_id, 'Key not found in map : "none"')
    with pytest.raises(ProblemError) as raised:
        tables.tried(event_id="01M80QK7NHKW4FFQZ5T9BTJRYB")
    assert raised.value.status == 404


def test_what_an_apply_would_refuse_is_refused_by_the_same_field(tables: Tables) -> None:
    assert tables.refused(filter="branch ==")["filter"].startswith("line 1, column 10: Syntax error")
    assert list(tables.refused(colour="red")) == ["colour"]
    assert list(tables.refused(target_url="http://169.254.169.254/")) == ["target_url"]
    assert list(tables.refused(secret="whsec_!", transform="1 +")) == ["secret", "transform"]
    assert list(tables.refused(secret="********")) == ["secret"]
    assert list(tables.refused(id=7)) == ["id"]
    for unfit in ({"\udc00": 1}, {"name": "\udc00"}, {"max_in_flight": 2**70}):
        with pytest.raises(ProblemError) as raised:
            tables.tried(**unfit)
        assert raised.value.status == 400
    nested: Any = []
    for _ in range(80):
        nested = [nested]
    assert list(tables.refused(headers=nested)) == [""]
    tables.subscription(secret="********", tls={"client_key_pem": "********", "client_cert_pem": "c"})
    kept: dict[str, Any] = {"secret": "********", "tls": {"client_key_pem": "********", "client_cert_pem": "c"}}
    assert tables.tried(**kept)["delivered"] == 0
    elsewhere = tables.refused(**kept, target_url="https://elsewhere.example.com/")
    assert list(elsewhere) == ["tls.client_key_pem"]  # as an apply: it is not sent to another host


def test_no_secret_of_the_tried_subscription_stands_in_an_answer(tables: Tables) -> None:
    tables.subscription(headers={"X-Key": "********"})
    tables.event({"n": 1})
    secrets: dict[str, Any] = {"secret": "canary-secret", "headers": {"X-Key": "canary-header", "X-New": "canary-new"}}
    assert "canary" not in json.dumps(tables.tried(**secrets, filter="event.none"))
    refused = tables.refused(secret="whsec_canary!", headers={"Host": "canary-host", "X-Key": "canary\n"}, filter="(")
    assert set(refused) == {"secret", "headers", "filter"}
    assert "canary" not in json.dumps(refused)


def test_too_many_events_are_looked_at_in_part_and_the_answer_says_so(
    tables: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(40):
        tables.event({"n": number})
    monkeypatch.setattr(try_events, "MAX_EVENTS", 10)
    told = tables.tried()
    assert (told["events"], told["one_in"]) == (40, 4)
    assert 0 < told["looked_at"] <= 20
    assert told["delivered"] == told["looked_at"]
    assert tables.tried() == told  # the same part again
    monkeypatch.setattr(try_events, "MAX_EVENTS", 100)
    monkeypatch.setattr(try_events, "MAX_BYTES", 100)
    assert tables.tried()["one_in"] > 1
    request = TryRequest(subscription=PLAIN)
    with pytest.raises(ProblemError) as raised:
        Trial(request, DAY, AddressPolicy(), time.monotonic()).run(tables._reader)
    assert (raised.value.status, raised.value.code) == (504, "query_timeout")


def test_an_event_whose_payload_is_gone_is_counted_and_not_judged(tables: Tables, writer: Client) -> None:
    tables.event({"n": 1})
    event = tables.event(b"\xff\xfe no text")
    writer.command(
        "ALTER TABLE events UPDATE payload = '' WHERE event_id = %(id)s SETTINGS mutations_sync = 1",
        {"id": event.event_id},
    )
    told = tables.tried()
    assert (told["delivered"], told["payload_expired"], told["looked_at"]) == (1, 1, 2)


@given(st.binary(max_size=6_000), st.binary(max_size=6_000))
def test_any_two_bodies_can_be_shown_and_compared(before: bytes, after: bytes) -> None:
    shown = shown_body(before)
    assert shown["body_bytes"] == len(before)
    json.dumps([shown, body_diff(before, after)]).encode()
    assert body_diff(before, before) == []


def test_a_comparison_that_would_take_long_is_not_made() -> None:
    many, other = json.dumps([0] * 2_000).encode(), json.dumps([1] * 2_000).encode()
    assert body_diff(many, other) == [TOO_LARGE]
    assert body_diff(b"a" * 70_000, b"b") == [TOO_LARGE]
    lines = body_diff(json.dumps([0, 1] * 480).encode(), json.dumps([1, 0, 0] * 320).encode())
    assert len(lines) <= MAX_DIFF_LINES + 1
