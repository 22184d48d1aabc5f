"""Holds events against what their topic says of their type. A topic that says nothing pays nothing."""

from collections import OrderedDict
from collections.abc import Sequence
from typing import NamedTuple

from ingest.metrics import IngestMetrics
from rules.event_schema import BadSchemaError, EventSchema, Fault
from runtime.problem import ProblemError
from schemas.config import TopicSpec
from schemas.event_types import EventTypeSpec

MAX_COMPILED_BYTES = 4_194_304
"""Of schemas as written; compiled they take up to sixteen times as much memory."""

MAX_MARK_CHARS = 500
"""What a mark may take of an event's headers."""


class _Compiled(NamedTuple):
    declared: EventTypeSpec
    schema: EventSchema


class EventSchemas:
    """The schemas of event types, each compiled when an event needs it first.

    Args:
        metrics: count what does not match.
        max_bytes: of the schemas that are kept compiled.
    """

    def __init__(self, metrics: IngestMetrics, max_bytes: int = MAX_COMPILED_BYTES) -> None:
        self._metrics = metrics
        self._max_bytes = max_bytes
        self._bytes = 0
        self._compiled: OrderedDict[tuple[str, str], _Compiled] = OrderedDict()

    def mark_of(self, topic: TopicSpec, event_type: str, body: bytes) -> str:
        """Why the body is not as its schema says, to be kept with the event; empty when it is, or nobody says.

        Raises:
            ProblemError: 422 `schema_mismatch` or `event_type_unknown`, where the topic wants that refused.
        """
        if not topic.event_types:
            return ""
        declared = topic.event_types.get(event_type)
        if declared is None:
            if topic.on_unknown_type == "refuse":
                raise ProblemError(422, "event_type_unknown", f"the topic has no event type {event_type}")
            return ""
        faults = self._faults(topic.id, event_type, declared, body)
        if not faults:
            return ""
        self._metrics.schema_mismatches.labels(declared.on_invalid).inc()
        if declared.on_invalid == "refuse":
            raise _mismatch(event_type, faults)
        return _mark(faults)

    def _faults(self, topic_id: str, event_type: str, declared: EventTypeSpec, body: bytes) -> Sequence[Fault]:
        try:
            return self._schema(topic_id, event_type, declared).faults(body)
        except BadSchemaError:  # another release took it
            return (Fault("", "cannot be checked: this release cannot use the schema"),)

    def _schema(self, topic_id: str, event_type: str, declared: EventTypeSpec) -> EventSchema:
        key = (topic_id, event_type)
        known = self._compiled.get(key)
        # Each version of a topic is read as an object of its own.
        if known is not None and known.declared is declared:
            self._compiled.move_to_end(key)
            return known.schema
        self._forget(key)
        schema = EventSchema(declared.json_schema)
        self._compiled[key] = _Compiled(declared, schema)
        self._bytes += schema.size_bytes
        while self._bytes > self._max_bytes and len(self._compiled) > 1:
            self._forget(next(iter(self._compiled)))
        return schema

    def _forget(self, key: tuple[str, str]) -> None:
        known = self._compiled.pop(key, None)
        if known is not None:
            self._bytes -= known.schema.size_bytes


def _mismatch(event_type: str, faults: Sequence[Fault]) -> ProblemError:
    errors = [{"field": fault.pointer, "message": fault.message} for fault in faults]
    detail = f"not as the schema of {event_type} says: {faults[0]}"
    return ProblemError(422, "schema_mismatch", detail[:MAX_MARK_CHARS], errors=errors)


def _mark(faults: Sequence[Fault]) -> str:
    return "; ".join(map(str, faults))[:MAX_MARK_CHARS]
