"""Where events have come apart from the schemas of their types: what is seen and not declared, and the reverse.

Counts are of every event of the span. Fields are those of a sample of it, spread over the whole span by a hash of the
events' ids, so that the same question has the same answer; how many events were looked at is told.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import orjson
from pydantic import ValidationError

from projections.query.filters import Condition, conditions_of
from projections.query.lookups import PAYLOADS
from projections.query.parameters import DriftQuestion
from projections.query.shown import Document, epoch_ms_of
from projections.query.span import Span
from rules.declared_fields import DeclaredFields
from rules.inferred_schema import inferred_schema
from rules.seen_fields import Path, Seen, SeenFields, pointer_of
from runtime.clickhouse import Client
from runtime.problem import ProblemError
from schemas.config import TopicSpec
from schemas.headers import rfc3339
from schemas.stored import SHOWN_ONLY

MAX_TYPES = 20
"""Of one answer, those with the most events; a question about one type finds any."""

MAX_PAYLOAD_BYTES = 65_536
"""Of a payload that is looked at."""

MAX_EVENTS = 1_500
"""Of all types together: at the size above they are all that an answer of ClickHouse may be."""

MAX_VALUES = 300_000
"""Of all bodies together, one to two microseconds each: what one question may take from everybody else."""


def read_drift(client: Client, question: DriftQuestion, span: Span) -> Document:
    """What the drift of a topic is.

    Raises:
        ProblemError: 404, there is no such topic; 409, another release wrote it.
    """
    version, topic = _topic(client, question.topic_id)
    events = _Events(client, question, span)
    rows = events.by_type()
    looks = events.look([row["event_type"] for row in rows[:MAX_TYPES]])
    types = [
        row | _type_drift(topic, name, look, question) for row, (name, look) in zip(rows, looks.items(), strict=False)
    ]
    return {
        "topic_id": question.topic_id,
        "version": version,
        "since": rfc3339(span.since_ms),
        "until": None if span.until_ms is None else rfc3339(span.until_ms),
        "refused": events.refused(),
        "types": types,
        "more_types": len(rows) > MAX_TYPES,
    }


def _topic(client: Client, topic_id: str) -> tuple[int, TopicSpec]:
    found = client.query(
        "SELECT action, version, record FROM config_changes FINAL WHERE kind = 'topics' AND id = {id:String}"
        " AND result = 'applied' AND action != 'nothing' ORDER BY _offset DESC LIMIT 1",
        parameters={"id": topic_id},
    )
    row = next(iter(found.named_results()), None)
    if row is None or row["action"] == "deleted":
        raise ProblemError(404, detail=f"there is no topic {topic_id}")
    try:
        record = orjson.loads(row["record"])
        said = {name: value for name, value in record.items() if name not in SHOWN_ONLY}
        return int(row["version"]), TopicSpec.model_validate(said)
    except (ValueError, ValidationError) as error:
        raise ProblemError(409, "topic_unreadable", "another release wrote the topic") from error


@dataclass(slots=True)
class _Look:
    """What a sample of the events of one type has."""

    seen: SeenFields
    values: int = 0
    not_json: int = 0

    def add(self, payload: bytes, received_ms: int) -> None:
        try:
            body = orjson.loads(payload)
        except orjson.JSONDecodeError:
            self.not_json += 1
        else:
            self.values += self.seen.add(body, received_ms)


class _Events:
    """The events that a question is about."""

    def __init__(self, client: Client, question: DriftQuestion, span: Span) -> None:
        self._client = client
        self._sample = question.sample
        self._topic_id = question.topic_id
        self._span = span
        wanted = [Condition(span.condition("received_at"), dict(span.parameters())), *conditions_of(question)]
        self._where = " AND ".join(item.sql for item in wanted)
        self._parameters = {name: value for item in wanted for name, value in item.parameters.items()}

    def by_type(self) -> list[Document]:
        """Counts of all of them by type, the most frequent first; one more type than are shown."""
        result = self._client.query(
            "SELECT event_type, count() AS events, countIf(schema_fault != '') AS invalid,"  # noqa: S608 - names are ours, values are bound
            f" countIf(payload_bytes > {MAX_PAYLOAD_BYTES}) AS too_large FROM events FINAL WHERE {self._where}"
            f" GROUP BY event_type ORDER BY events DESC, event_type LIMIT {MAX_TYPES + 1}",
            parameters=self._parameters,
        )
        return [dict(row) for row in result.named_results()]

    def refused(self) -> int:
        """How many requests the topic's schemas refused, of any type: they are no events."""
        result = self._client.query(
            f"SELECT count() FROM rejections FINAL WHERE {self._span.condition('received_at')}"  # noqa: S608 - as above
            " AND topic_id = {topic_id:String} AND code IN ('schema_mismatch', 'event_type_unknown')",
            parameters={**self._span.parameters(), "topic_id": self._topic_id},
        )
        return int(result.result_rows[0][0])

    def look(self, event_types: Sequence[str]) -> dict[str, _Look]:
        """Looks at a sample of each type, of each until its share of the values was seen."""
        looks = {name: _Look(SeenFields()) for name in event_types}
        for event_type, received_at, payload in self._payloads(event_types) if event_types else ():
            look = looks[event_type]
            if look.values < MAX_VALUES // len(looks):
                look.add(payload, epoch_ms_of(received_at))
        return looks

    def _payloads(self, event_types: Sequence[str]) -> Sequence[tuple[str, datetime, bytes]]:
        chosen = f"{self._where} AND event_type IN {{types:Array(String)}} AND payload_bytes <= {MAX_PAYLOAD_BYTES}"
        by_hash = "ORDER BY cityHash64(event_id) LIMIT {sample:UInt32} BY event_type"
        # The ids first, of all types at once: the payloads of a day are a gigabyte, and read once.
        result = self._client.query(
            "SELECT event_type, received_at, payload FROM events FINAL"  # noqa: S608 - as above
            f" WHERE {chosen} AND event_id IN (SELECT event_id FROM events FINAL WHERE {chosen} {by_hash})"
            f" AND length(payload) = payload_bytes {by_hash}",  # one that is not kept any more has none
            parameters=self._parameters
            | {"types": list(event_types), "sample": min(self._sample, MAX_EVENTS // len(event_types))},
            column_formats=PAYLOADS,
        )
        return [(str(name), received_at, bytes(payload)) for name, received_at, payload in result.result_rows]


def _type_drift(topic: TopicSpec, event_type: str, look: _Look, question: DriftQuestion) -> Document:
    said = topic.event_types.get(event_type)
    declared = DeclaredFields(said.json_schema) if said else None
    document = {
        "declared": said is not None,
        "looked_at": look.seen.bodies,
        "not_json": look.not_json,
        "left_out": look.seen.left_out,
        "fields": _fields(look.seen, declared, every=question.every_field),
        "missing": _missing(look.seen, declared) if declared else [],
    }
    return document | ({"draft": inferred_schema(look.seen)} if question.draft and look.seen.bodies else {})


def _fields(seen: SeenFields, declared: DeclaredFields | None, *, every: bool) -> list[Document]:
    found = []
    for path, field in sorted(seen.fields.items(), key=lambda item: pointer_of(item[0])):
        in_schema = declared is not None and declared.declares(path)
        other = sorted(set(field.types) - declared.types(path)) if declared and in_schema else []
        if every or other or not in_schema:
            found.append(_field(path, field, seen.bodies) | {"in_schema": in_schema, "unexpected_types": other})
    return found


def _field(path: Path, field: Seen, bodies: int) -> Document:
    return {
        "pointer": pointer_of(path),
        "types": dict(sorted(field.types.items())),
        "events": field.events,
        "share": round(field.events / bodies, 4),
        "first_seen_at": rfc3339(field.first_ms),
        "last_seen_at": rfc3339(field.last_ms),
    }


def _missing(seen: SeenFields, declared: DeclaredFields) -> list[Document]:
    found = []
    for path, field in seen.fields.items():
        for name in declared.required(path) if field.objects else ():
            inner = seen.fields.get((*path, name))
            lacking = field.objects - (inner.values if inner else 0)
            if lacking:
                found.append({"pointer": pointer_of((*path, name)), "objects": field.objects, "lacking": lacking})
    return sorted(found, key=lambda item: str(item["pointer"]))
