"""What a replay would send: which events to whom, where these are kept, and what cannot be had."""

from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from projections.query.kept_log import KeptLog
from projections.query.readers import Readers
from projections.query.replay_request import ReplayRequest, wrong
from projections.query.replay_selection import (
    PAGE_ROWS,
    Selected,
    Selection,
    count_selected,
    read_selected,
    selection_of,
)
from projections.query.replay_where import Where, judge_where
from projections.query.shown import Document
from runtime.clickhouse import Client
from runtime.kafka import NotStoredError
from runtime.log_range import LogRange
from runtime.problem import ProblemError
from schemas.headers import rfc3339
from schemas.streams import EVENTS

MAX_ITEMS = 500_000
"""Of one replay: whoever asks waits while they are chosen, and a command waits for 30 seconds at most."""

EVENT_UNKNOWN = "event_unknown"
PAYLOAD_EXPIRED = "payload_expired"

MAX_NAMED = 20
"""Events named of those that cannot be had; all of them are counted."""


@dataclass(slots=True)
class Facts:
    """What is known of a choice.

    Attributes:
        total: deliveries.
        events: of them.
        subscriptions: deliveries by subscription.
        first_ms: epoch milliseconds at which the first event was accepted; 0 when none is known.
        last_ms: the last one.
        copied: deliveries whose event comes from the tables.
        unavailable: reason to count, of deliveries that cannot be made.
        named: ids of the first events of those.
    """

    total: int = 0
    events: int = 0
    subscriptions: Counter[str] = field(default_factory=Counter)
    first_ms: int = 0
    last_ms: int = 0
    copied: int = 0
    unavailable: Counter[str] = field(default_factory=Counter)
    named: list[str] = field(default_factory=list)

    def shown(self) -> Document:
        """As it is answered."""
        return {
            "total": self.total,
            "events": self.events,
            "subscriptions": dict(sorted(self.subscriptions.items())),
            "first": rfc3339(self.first_ms) if self.first_ms else None,
            "last": rfc3339(self.last_ms) if self.last_ms else None,
            "from_tables": self.copied,
            "unavailable": dict(self.unavailable),
            "unavailable_events": self.named,
        }


@dataclass(frozen=True, slots=True)
class Choice:
    """What a request has chosen."""

    selection: Selection
    log: KeptLog
    where: Where | None
    facts: Facts

    def reason(self, one: Selected) -> str | None:
        """Why a row cannot be sent, empty when it can; `None` when it was not asked for."""
        if one.partition < 0:
            return EVENT_UNKNOWN
        if self.where is None or one.event_id in self.where.held:
            return ""
        return PAYLOAD_EXPIRED if one.event_id in self.where.lost else None


class Chooser:
    """Chooses.

    Args:
        choosers: read, apart, because a million events take seconds.
        logs: tell what Kafka has.
    """

    def __init__(self, choosers: Readers, logs: LogRange) -> None:
        self.readers = choosers
        self._logs = logs

    async def choose(self, request: ReplayRequest, now_ms: int) -> Choice:
        """What a request would send.

        Raises:
            ProblemError: 422, a field is wrong, or too much is asked for; 503, Kafka does not answer.
        """
        request.check()
        span = request.span(now_ms)
        selection = selection_of(request, span)
        count = await self.readers.run(lambda client: count_selected(client, selection))
        if request.where is None:
            _check_total(count)
        log = KeptLog(await self._ranges(), now_ms + 1_000 * min(count, MAX_ITEMS) // request.rate_per_s)
        if request.where is None:
            facts = await self.readers.run(lambda client: _facts(client, selection, log))
            return Choice(selection, log, None, facts)
        text = request.where
        where = await self.readers.run(lambda client: judge_where(client, selection, span, text))
        choice = Choice(selection, log, where, Facts())
        await self._look_through(choice)
        return choice

    async def _look_through(self, choice: Choice) -> None:
        seen: set[str] = set()
        async for page in self.pages(choice):
            for one in page:
                _count(choice, one, seen)
            _check_total(choice.facts.total)
        choice.facts.events = len(seen)

    async def pages(self, choice: Choice) -> AsyncIterator[list[Selected]]:
        """The rows that were asked for, by partition and offset, also those that cannot be sent."""
        last: Selected | None = None
        while True:
            page = await self.readers.run(partial(read_selected, selection=choice.selection, last=last))
            if wanted := [one for one in page if choice.reason(one) is not None]:
                yield wanted
            if len(page) < PAGE_ROWS:
                return
            last = page[-1]

    async def _ranges(self) -> Any:
        try:
            return await self._logs.of(EVENTS)
        except NotStoredError as error:
            raise ProblemError(503, detail="Kafka does not answer", headers={"Retry-After": "5"}) from error


def _count(choice: Choice, one: Selected, seen: set[str]) -> None:
    facts, reason = choice.facts, choice.reason(one)
    facts.total += 1
    facts.subscriptions[one.subscription_id] += 1
    seen.add(one.event_id)
    if one.received_ms:
        facts.first_ms = min(facts.first_ms or one.received_ms, one.received_ms)
        facts.last_ms = max(facts.last_ms, one.received_ms)
    if reason:
        facts.unavailable[reason] += 1
        if len(facts.named) < MAX_NAMED and one.event_id not in facts.named:
            facts.named.append(one.event_id)
    elif not choice.log.has(one):
        facts.copied += 1


def _facts(client: Client, selection: Selection, log: KeptLog) -> Facts:
    (row,) = client.query(
        "SELECT count(), uniqExact(event_id), minIf(at_ms, at_partition >= 0), max(at_ms),"  # noqa: S608 - names are ours
        f" countIf(at_partition >= 0 AND NOT {log.condition}), countIf(at_partition < 0),"
        f" arraySort(groupUniqArrayIf({MAX_NAMED})(event_id, at_partition < 0)) FROM ({selection.sql})",
        parameters=selection.parameters | log.parameters(),
    ).result_rows
    by_name = client.query(
        f"SELECT subscription_id, count() FROM ({selection.sql}) GROUP BY subscription_id",  # noqa: S608 - as above
        parameters=selection.parameters,
    ).result_rows
    total, events, first_ms, last_ms, copied, unknown, named = row
    unavailable = Counter({EVENT_UNKNOWN: unknown} if unknown else {})
    return Facts(total, events, Counter(dict(by_name)), first_ms, last_ms, copied, unavailable, list(named))


def _check_total(total: int) -> None:
    if total > MAX_ITEMS:
        raise wrong("since", f"{total} deliveries match, and one replay has at most {MAX_ITEMS}: narrow it")
