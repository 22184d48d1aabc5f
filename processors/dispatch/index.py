"""Subscriptions by topic, kept current by the table, and found for an event without walking them."""

from collections.abc import Iterator
from itertools import chain
from typing import Any

from processors.dispatch.findings import Findings, Records
from processors.dispatch.type_index import TypeIndex, Types
from rules.match import INACTIVE, OTHER_TYPE, topics_named_for
from rules.view import EventView, Verdict
from runtime.tables import Table
from schemas.config import SubscriptionSpec
from schemas.stored import Record


class TopicIndex:
    """The subscriptions of one topic: an event costs what it matches, however many there are."""

    def __init__(self) -> None:
        self._inactive: Records = {}
        self._types = TypeIndex()

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self._inactive) + self._types.count

    def add(self, record: Record[SubscriptionSpec]) -> None:
        """Takes a subscription in."""
        if record.spec.is_active:
            self._types.add(record)
        else:
            self._inactive[record.spec.id] = record

    def remove(self, record: Record[SubscriptionSpec]) -> None:
        """Takes one out that was added."""
        if record.spec.is_active:
            self._types.remove(record)
        else:
            del self._inactive[record.spec.id]

    def find(self, view: EventView, findings: Findings) -> None:
        """Judges every subscription, as `rules.match.judge` would one by one."""
        groups = self._types.of(view.event_type)
        for tree in groups.values():
            tree.find(view, findings)
        asking = sum(tree.count for tree in groups.values())
        findings.skip(Verdict(OTHER_TYPE), self._types.count - asking, lambda: self._ids_without(groups))
        findings.skip(Verdict(INACTIVE), len(self._inactive), self._inactive.keys)

    def _ids_without(self, groups: dict[Types, Any]) -> Iterator[str]:
        others = (tree.ids() for types, tree in self._types.groups.items() if types not in groups)
        return chain.from_iterable(others)


class SubscriptionIndex:
    """Which subscriptions a topic has.

    Args:
        table: the subscriptions table; the index follows it.
    """

    def __init__(self, table: Table) -> None:
        self._by_topic: dict[str, TopicIndex] = {}
        table.listeners.append(self._change)

    def find(self, view: EventView) -> Findings:
        """Judges the subscriptions of the event's topic, and those of all topics."""
        findings = Findings()
        for topic_id in topics_named_for(view.viewed.topic_id):
            if (topic := self._by_topic.get(topic_id)) is not None:
                topic.find(view, findings)
        return findings

    def _change(self, _: str, before: Record[Any] | None, after: Record[Any] | None) -> None:
        if before is not None:
            topic = self._by_topic[before.spec.topic_id]
            topic.remove(before)
            if not topic.count:
                del self._by_topic[before.spec.topic_id]
        if after is not None:
            self._by_topic.setdefault(after.spec.topic_id, TopicIndex()).add(after)
