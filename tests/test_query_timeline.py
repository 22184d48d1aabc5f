"""A timeline tells what happened around an event as well: repetitions, replays, operations, other configuration."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from msgspec.structs import replace

from projections.query.readers import LOG_SETTINGS
from projections.query.timeline import read_delivery_timeline, read_timeline
from projections.writer.rows import (
    Row,
    attempt_rows,
    delivery_rows,
    dispatch_rows,
    event_rows,
    operation_rows,
    outcome_rows,
    replay_rows,
)
from runtime.clickhouse import Client, EmbeddedClickHouse
from schemas.attempt import AttemptKind, AttemptStatus, encode_attempt
from schemas.delivery import Delivery, encode_delivery
from schemas.dispatch import Dispatch, Skip, encode_dispatch
from schemas.event import Event, encode_event
from schemas.headers import Headers
from schemas.ids import new_id
from schemas.operation import Operation, SubjectKind, encode_operation
from schemas.outcome import Outcome, OutcomeAction, OutcomeResult, encode_outcome
from schemas.replay import Replay, ReplayState, encode_replay_record
from tests.clickhouse_fixture import engine
from tests.projections_fixture import make_attempt, make_delivery, make_event

__all__ = ["engine"]

Document = dict[str, Any]
REPLAY_ID = new_id()


@dataclass(frozen=True)
class Stored:
    """A record of a stream."""

    value: bytes | None
    headers: Headers = ()
    partition: int = 0
    offset: int = 0


@dataclass
class Story:
    """An event that was sent twice, replayed once, and cancelled."""

    event: Event = field(default_factory=lambda: make_event(topic_id="story"))
    again: Event = field(default_factory=lambda: make_event(topic_id="story"))

    @property
    def delivery(self) -> Delivery:
        """The one that a replay made."""
        return replace(make_delivery(self.event), delivery_id="a" * 32, replay_id=REPLAY_ID)

    def rows(self) -> Iterator[Row]:
        """All that is stored of it."""
        for one in (self.event, self.again):
            yield from event_rows(Stored(one.body, encode_event(one)))
        yield from dispatch_rows(Stored(encode_dispatch(self.dispatch(self.event, offset=77))))
        repeated = replace(self.dispatch(self.again, offset=78), duplicate=True, duplicate_of="1/77")
        yield from dispatch_rows(Stored(encode_dispatch(repeated)))
        yield from delivery_rows(Stored(b"", encode_delivery(self.delivery)))
        yield from replay_rows(Stored(encode_replay_record(self.replay())))
        yield from operation_rows(Stored(encode_operation(self.operation())))
        yield from attempt_rows(Stored(encode_attempt(self.stop())))
        for offset, outcome in enumerate(self.outcomes()):
            yield from outcome_rows(Stored(encode_outcome(outcome), offset=offset))

    def dispatch(self, event: Event, offset: int) -> Dispatch:
        """What became of one of the two."""
        return Dispatch(
            event_id=event.event_id,
            topic_id=event.topic_id,
            source_id=event.source_id,
            event_type=event.event_type,
            received_ms=event.received_ms,
            dispatched_ms=event.received_ms + 3,
            event_partition=1,
            event_offset=offset,
            config_version=11,
            skipped={"event_type": 1},
            skips=[Skip("search", "event_type")],
        )

    def replay(self) -> Replay:
        """It was cancelled in its midst."""
        return Replay(
            replay_id=REPLAY_ID,
            asked={},
            requested_by="admin",
            rate_per_s=5,
            total=1,
            items=1,
            state=ReplayState.CANCELLED,
            updated_ms=self.event.received_ms + 9_000,
        )

    def operation(self) -> Operation:
        """One about the delivery."""
        return Operation(
            operation_id=new_id(),
            kind="dead_letter",
            at_ms=self.event.received_ms + 7_000,
            subject_kind=SubjectKind.SUBSCRIPTION,
            subject_id="billing",
            event_id=self.event.event_id,
            delivery_id=self.delivery.delivery_id,
            message="given up",
        )

    def stop(self) -> Any:
        """The delivery ended without a request."""
        made = make_attempt(self.delivery, 1, AttemptStatus.CANCELLED, kind=AttemptKind.OUTCOME)
        return replace(made, reason="replay_cancelled", replay_id=REPLAY_ID, started_ms=made.received_ms + 10_000)

    def outcomes(self) -> Iterator[Outcome]:
        """Of the subscription before, during and after it, and of others that have nothing to do with it."""
        changes = (("subscriptions", "billing", -5), ("subscriptions", "billing", 5), ("subscriptions", "billing", 60))
        for offset, (kind, name, after_s) in enumerate((*changes, ("keys", "billing", 5), ("topics", "other", 5)), 4):
            yield Outcome(
                kind=kind,
                id=name,
                intake_offset=offset,
                at_ms=self.event.received_ms + after_s * 1_000,
                result=OutcomeResult.APPLIED,
                action=OutcomeAction.UPDATED,
                version=offset,
                record={"id": name},
                actor="admin",
            )


@pytest.fixture(scope="module")
def story(engine: EmbeddedClickHouse) -> Story:
    told = Story()
    writer = engine.open_writer()
    for row in told.rows():
        writer.raw_insert(row.table, insert_block=row.json, fmt="JSONEachRow")
    writer.close()
    return told


@pytest.fixture
def reader(engine: EmbeddedClickHouse) -> Iterator[Client]:
    client = engine.open_reader(LOG_SETTINGS)
    yield client
    client.close()


def whats(document: Document) -> Sequence[str]:
    return [step["what"] for step in document["timeline"]]


def test_the_timeline_of_an_event_has_every_step_once_and_in_order(story: Story, reader: Client) -> None:
    found = read_timeline(reader, story.event.event_id)
    assert found is not None
    steps = {step["what"]: step for step in found["timeline"]}
    around = {"received", "dispatched", "repeated", "replayed", "config_changed", "operation", "replay_cancelled"}
    assert sorted(whats(found)) == sorted(around | {"outcome", "completed"})
    times = [step["at"] for step in found["timeline"]]
    assert times == sorted(times)
    assert (steps["config_changed"]["version"], steps["config_changed"]["updated_by"]) == (5, "admin")
    assert steps["repeated"]["event_id"] == story.again.event_id
    assert (steps["replayed"]["replay_id"], steps["replayed"]["requested_by"]) == (REPLAY_ID, "admin")
    assert (steps["operation"]["kind"], steps["operation"]["message"]) == ("dead_letter", "given up")
    assert steps["outcome"]["reason"] == "replay_cancelled"
    assert steps["dispatched"]["skips"] == [{"subscription_id": "search", "reason": "event_type", "detail": ""}]


def test_the_configuration_in_force_is_that_of_the_beginning(story: Story, reader: Client) -> None:
    found = read_timeline(reader, story.event.event_id)
    assert found is not None
    (billing,) = found["config"]
    assert (billing["kind"], billing["id"], billing["version"]) == ("subscriptions", "billing", 4)


def test_a_duplicate_names_the_event_that_it_repeats(story: Story, reader: Client) -> None:
    found = read_timeline(reader, story.again.event_id)
    assert found is not None
    assert found["dispatch"]["first_event_id"] == story.event.event_id
    assert whats(found) == ["received", "dispatched"]


def test_the_timeline_of_a_delivery_is_its_part_of_the_event_s(story: Story, reader: Client) -> None:
    whole, part = (
        read_timeline(reader, story.event.event_id),
        read_delivery_timeline(reader, story.delivery.delivery_id),
    )
    assert whole is not None
    assert part is not None
    of_event = {"received", "dispatched", "repeated"}
    assert whats(part) == [what for what in whats(whole) if what not in of_event]
    assert part["config"] == whole["config"]
    assert part["attempts"][0]["reason"] == "replay_cancelled"
    assert read_delivery_timeline(reader, "none") is None
