"""Which events of a replay its `where` holds for: CEL over the stored events, as a subscription's filter is."""

import time
from dataclasses import dataclass, field

from projections.query.replay_request import wrong
from projections.query.replay_selection import Selection
from projections.query.shown import Document
from projections.query.span import Span
from projections.query.stored_events import EventKey, batches, read_events
from rules.view import FILTER_ERROR, EventView, Verdict
from runtime.clickhouse import Client
from runtime.problem import ProblemError
from schemas.event import Event

MAX_EVENTS = 100_000
"""Some seconds of a core. What narrows without being evaluated (time, topic, type) is a hundred times as fast."""

MAX_BYTES = 536_870_912
"""512 MiB of payloads, as above."""

MAX_S = 20.0


@dataclass(slots=True)
class Where:
    """What a condition holds for.

    Attributes:
        held: ids of the events for which it is true.
        lost: ids of those whose payload is not kept any more, so that nobody can tell.
        looked_at: how many there were.
        failed: for how many it is neither true nor false.
        example: of those the first, and why.
    """

    held: set[str] = field(default_factory=set)
    lost: set[str] = field(default_factory=set)
    looked_at: int = 0
    failed: int = 0
    example: str = ""

    def add(self, event_id: str, event: Event | None, text: str) -> None:
        """Judges an event."""
        self.looked_at += 1
        if event is None:
            self.lost.add(event_id)
            return
        verdict = EventView(event).verdict(text)
        if not verdict.reason:
            self.held.add(event_id)
        elif verdict.reason == FILTER_ERROR:
            self._note(event_id, verdict)

    def _note(self, event_id: str, verdict: Verdict) -> None:
        self.failed += 1
        self.example = self.example or f"{event_id}: {verdict.detail}"

    def shown(self) -> Document:
        """As it is answered."""
        return {
            "looked_at": self.looked_at,
            "held": len(self.held),
            "failed": self.failed,
            "failed_example": self.example or None,
        }


def judge_where(client: Client, selection: Selection, span: Span, text: str) -> Where:
    """Evaluates a condition over every event of a selection.

    Raises:
        ProblemError: 422, these are too many; 504, it took too long.
    """
    until_s = time.monotonic() + MAX_S
    where = Where()
    for batch in batches(_keys(client, selection, span)):
        if time.monotonic() > until_s:
            raise ProblemError(504, "query_timeout", f"where took more than {MAX_S:g} s: narrow the time or the topic")
        events = read_events(client, batch)
        for key in batch:
            where.add(key.event_id, events.get(key.event_id), text)
    return where


def _keys(client: Client, selection: Selection, span: Span) -> list[EventKey]:
    found = client.query(
        "SELECT event_id, toUnixTimestamp64Milli(min(received_at)) AS at, max(payload_bytes) FROM events FINAL WHERE"  # noqa: S608 - names are ours
        f" {span.condition('received_at')} AND event_id IN (SELECT event_id FROM ({selection.sql}))"
        f" GROUP BY event_id ORDER BY at, event_id LIMIT {MAX_EVENTS + 1}",
        parameters=selection.parameters,
    )
    keys = [EventKey(*row) for row in found.result_rows]
    size_bytes = sum(key.payload_bytes for key in keys)
    if len(keys) > MAX_EVENTS or size_bytes > MAX_BYTES:
        limit = f"at most {MAX_EVENTS} events, and {MAX_BYTES >> 20} MiB of payloads, are looked at"
        raise wrong("where", f"{limit}: narrow it by since and until, topic_id, source_id or event_types")
    return keys
