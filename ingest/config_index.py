"""The ids of the config tables in their order, and which records refer to which."""

from collections import defaultdict
from functools import partial
from typing import Any

from ingest.sorted_ids import SortedIds
from runtime.tables import ConfigTables
from schemas.config import ALL_TOPICS, OPERATIONS_TOPIC, STORED_SPECS, SourceSpec, Spec, SubscriptionSpec, TopicSpec
from schemas.stored import Record

REFERENCES = {TopicSpec.kind: "source_id", SubscriptionSpec.kind: "topic_id"}
"""The field by which a record of a kind refers to its parent."""

CHILDREN = {SourceSpec.kind: TopicSpec.kind, TopicSpec.kind: SubscriptionSpec.kind}
"""The kind of the records that refer to a kind."""

PARENTS = {child: parent for parent, child in CHILDREN.items()}
"""The kind that a kind refers to."""

TOPICS_WITHOUT_RECORD = frozenset({ALL_TOPICS, OPERATIONS_TOPIC})
"""What a subscription may name although nobody makes such a topic."""

_NONE = SortedIds()


class ConfigIndex:
    """Follows the tables, so that nobody has to search them.

    Args:
        tables: must not have been started yet.
    """

    def __init__(self, tables: ConfigTables) -> None:
        self._ids = {kind: SortedIds() for kind in STORED_SPECS}
        self._children: dict[tuple[str, str], SortedIds] = defaultdict(SortedIds)
        for kind in STORED_SPECS:
            tables.table(kind).listeners.append(partial(self._change, kind))

    def ids(self, kind: str) -> SortedIds:
        """Every id of a kind."""
        return self._ids[kind]

    def children(self, kind: str, record_id: str) -> SortedIds:
        """The ids of what refers to a record, whether the record exists or not.

        A subscription of all topics, or of the operations, is nobody's child: no request for such a topic may delete
        it.
        """
        return _NONE if record_id in TOPICS_WITHOUT_RECORD else self.of_parent(CHILDREN[kind], record_id)

    def of_parent(self, kind: str, parent_id: str) -> SortedIds:
        """The ids of a kind that name a parent; `*` is what the subscriptions of all topics name."""
        return self._children.get((PARENTS[kind], parent_id), _NONE)

    def _change(self, kind: str, record_id: str, before: Record[Any] | None, after: Record[Any] | None) -> None:
        if after is None:
            self._ids[kind].discard(record_id)
        else:
            self._ids[kind].add(record_id)
        if kind in PARENTS:
            self._move(kind, record_id, _parent_id(before), _parent_id(after))

    def _move(self, kind: str, record_id: str, old: str | None, new: str | None) -> None:
        if old == new:
            return
        if old is not None:
            siblings = self._children[PARENTS[kind], old]
            siblings.discard(record_id)
            if not siblings:
                del self._children[PARENTS[kind], old]
        if new is not None:
            self._children[PARENTS[kind], new].add(record_id)


def _parent_id(record: Record[Spec] | None) -> str | None:
    return None if record is None else str(getattr(record.spec, REFERENCES[record.spec.kind]))
