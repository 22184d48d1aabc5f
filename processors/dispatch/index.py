"""Subscriptions by topic, kept current by the table."""

from collections.abc import Iterator
from itertools import chain
from typing import Any

from runtime.tables import Table
from schemas.config import SubscriptionSpec
from schemas.stored import Record

ALL_TOPICS = "*"


class SubscriptionIndex:
    """Which subscriptions a topic has.

    Args:
        table: the subscriptions table; the index follows it.
    """

    def __init__(self, table: Table) -> None:
        self._by_topic: dict[str, dict[str, Record[SubscriptionSpec]]] = {}
        table.listeners.append(self._change)

    def of(self, topic_id: str) -> Iterator[Record[SubscriptionSpec]]:
        """The subscriptions of a topic, and those of all topics."""
        return chain(self._by_topic.get(topic_id, {}).values(), self._by_topic.get(ALL_TOPICS, {}).values())

    def _change(self, record_id: str, before: Record[Any] | None, after: Record[Any] | None) -> None:
        if before is not None:
            of_topic = self._by_topic.get(before.spec.topic_id, {})
            of_topic.pop(record_id, None)
            if not of_topic:
                self._by_topic.pop(before.spec.topic_id, None)
        if after is not None:
            self._by_topic.setdefault(after.spec.topic_id, {})[record_id] = after
