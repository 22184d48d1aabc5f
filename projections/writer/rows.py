"""Records into rows: pure functions, one for each stream."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import msgspec

from projections.writer.attempt_rows import attempt_json
from projections.writer.cells import header_map, moment, moment_or_none, raw_text
from projections.writer.operation_rows import operation_cells
from projections.writer.replay_rows import replay_cells
from projections.writer.states import delivery_version
from projections.writer.whole_numbers import check_columns
from schemas.delivery import decode_delivery
from schemas.dispatch import decode_dispatch
from schemas.event import decode_event
from schemas.headers import Headers
from schemas.outcome import decode_outcome
from schemas.rejection import decode_rejection
from schemas.replay import is_copy
from schemas.streams import (
    ATTEMPTS,
    DELIVERIES,
    DISPATCHES,
    EVENTS,
    OPERATIONS,
    OUTCOMES,
    REJECTIONS,
    REPLAYS,
    Stream,
)


class StoredRecord(Protocol):
    """What rows are made of; `aiokafka.ConsumerRecord` is one."""

    @property
    def partition(self) -> int:
        """Its partition."""

    @property
    def offset(self) -> int:
        """Its offset."""

    @property
    def value(self) -> bytes | None:
        """Its value."""

    @property
    def headers(self) -> Headers:
        """Its headers."""


class Row(NamedTuple):
    """One row, as JSON."""

    table: str
    json: bytes


@dataclass(frozen=True, slots=True)
class Projection:
    """How the records of a stream become rows.

    `rows` raises `ValueError` (`MalformedRecordError` is one) when a record cannot be read.
    """

    stream: Stream
    rows: Callable[[StoredRecord], Sequence[Row]]


def event_rows(record: StoredRecord) -> list[Row]:
    """An accepted request."""
    event = decode_event(record.value, record.headers)
    return [
        _row(
            "events",
            record,
            event_id=event.event_id,
            topic_id=event.topic_id,
            source_id=event.source_id,
            event_type=event.event_type,
            received_at=moment(event.received_ms),
            source_ip=event.source_ip,
            content_type=event.content_type,
            dedup_id=event.dedup_id,
            schema_fault=event.schema_fault,
            traceparent=event.traceparent,
            headers=header_map(event.request_headers),
            extra_headers=header_map((name, (raw or b"").decode("latin-1")) for name, raw in event.extra),
            payload=raw_text(event.body),
            payload_bytes=len(event.body),
        )
    ]


def rejection_rows(record: StoredRecord) -> list[Row]:
    """A refused request."""
    rejection = decode_rejection(record.value)
    return [
        _row(
            "rejections",
            record,
            rejection_id=rejection.rejection_id,
            topic_id=rejection.topic_id,
            source_id=rejection.source_id,
            received_at=moment(rejection.received_ms),
            response_status_code=rejection.status,
            code=rejection.code,
            reason=rejection.reason,
            source_ip=rejection.source_ip,
            content_type=rejection.content_type,
            headers=header_map(rejection.headers),
            payload=rejection.body,
            payload_bytes=rejection.body_bytes,
            unrecorded=rejection.unrecorded,
        )
    ]


def dispatch_rows(record: StoredRecord) -> list[Row]:
    """What became of an event."""
    dispatch = decode_dispatch(record.value)
    return [
        _row(
            "dispatches",
            record,
            event_id=dispatch.event_id,
            topic_id=dispatch.topic_id,
            source_id=dispatch.source_id,
            event_type=dispatch.event_type,
            received_at=moment_or_none(dispatch.received_ms),  # an event that cannot be read has none
            appended_at=moment_or_none(dispatch.appended_ms),
            dispatched_at=moment(dispatch.dispatched_ms),
            event_partition=dispatch.event_partition,
            event_offset=dispatch.event_offset,
            config_version=dispatch.config_version,
            matched=dispatch.matched,
            skipped=dispatch.skipped,
            skips=dispatch.skips,
            duplicate=dispatch.duplicate,
            duplicate_of=dispatch.duplicate_of,
            error=dispatch.error,
        )
    ]


def delivery_rows(record: StoredRecord) -> list[Row]:
    """A delivery that is about to be tried for the first time; what comes later is told by its attempts."""
    delivery = decode_delivery(record.value, record.headers)
    if delivery.attempt > 1:
        return []
    return [
        _row(
            "deliveries",
            record,
            delivery_id=delivery.delivery_id,
            event_id=delivery.event_id,
            subscription_id=delivery.subscription_id,
            topic_id=delivery.topic_id,
            source_id=delivery.source_id,
            event_type=delivery.event_type,
            status="PENDING",
            attempts=0,
            reason=delivery.reason,
            created_at=moment(delivery.received_ms),
            next_attempt_at=moment_or_none(delivery.due_ms),
            generation=delivery.generation,
            config_version=delivery.config_version,
            replay_id=delivery.replay_id,
            _version=delivery_version("PENDING", 0, record.offset),
        )
    ]


def attempt_rows(record: StoredRecord) -> list[Row]:
    """One attempt, and the state that its delivery is in after it."""
    told = attempt_json(record.value, record.partition, record.offset)
    if told is None:
        return []
    attempt, state = told
    return [Row("attempts", attempt)] if state is None else [Row("attempts", attempt), Row("deliveries", state)]


def outcome_rows(record: StoredRecord) -> list[Row]:
    """What the config agent made of an intake record."""
    outcome = decode_outcome(record.value)
    return [
        _row(
            "config_changes",
            record,
            kind=outcome.kind,
            id=outcome.id,
            at=moment(outcome.at_ms),
            result=outcome.result,
            action=outcome.action,
            version=outcome.version,
            generation=outcome.generation,
            code=outcome.code,
            field=outcome.field,
            reason=outcome.reason,
            record=msgspec.json.encode(outcome.record).decode() if outcome.record is not None else "",
            actor=outcome.actor,
            intake_offset=outcome.intake_offset,
        )
    ]


def replay_rows(record: StoredRecord) -> list[Row]:
    """A replay, and how far it is."""
    cells = None if is_copy(record.headers) else replay_cells(record.value, record.offset)
    return [] if cells is None else [_row("replays", record, **cells)]


def operation_rows(record: StoredRecord) -> list[Row]:
    """What happened to Hooklog itself."""
    return [_row("operations", record, **operation_cells(record.value))]


def _row(table: str, source: StoredRecord, /, **cells: Any) -> Row:
    check_columns(cells)
    # The record's place makes a row that is written twice identical to itself.
    cells["_partition"], cells["_offset"] = source.partition, source.offset
    return Row(table, msgspec.json.encode(cells))


PROJECTIONS = (
    Projection(EVENTS, event_rows),
    Projection(REJECTIONS, rejection_rows),
    Projection(DISPATCHES, dispatch_rows),
    Projection(DELIVERIES, delivery_rows),
    Projection(ATTEMPTS, attempt_rows),
    Projection(OUTCOMES, outcome_rows),
    Projection(REPLAYS, replay_rows),
    Projection(OPERATIONS, operation_rows),
)
"""Every stream that becomes rows."""
