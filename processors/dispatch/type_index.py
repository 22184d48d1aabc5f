"""Groups of subscriptions by the event types that they ask for: an event finds its groups without trying all."""

from collections import Counter
from collections.abc import Iterator

from processors.dispatch.filter_tree import FilterTree
from rules.match import matches_type
from schemas.config import SubscriptionSpec
from schemas.stored import Record

Types = tuple[str, ...]


class TypeIndex:
    """The groups of one topic; all subscriptions of a group ask for the same types.

    Attributes:
        groups: types to filters; no types are all.
        count: of subscriptions.
    """

    def __init__(self) -> None:
        self.groups: dict[Types, FilterTree] = {}
        self.count = 0
        self._exact: dict[str, dict[Types, None]] = {}
        self._by_prefix: dict[str, dict[Types, None]] = {}
        self._prefix_lengths: Counter[int] = Counter()

    def add(self, record: Record[SubscriptionSpec]) -> None:
        """Takes a subscription in."""
        types = _types_of(record)
        if types not in self.groups:
            self.groups[types] = FilterTree()
            self._file(types)
        self.groups[types].add(record)
        self.count += 1

    def remove(self, record: Record[SubscriptionSpec]) -> None:
        """Takes one out that was added."""
        types = _types_of(record)
        self.groups[types].remove(record)
        self.count -= 1
        if not self.groups[types].count:
            del self.groups[types]
            self._unfile(types)

    def of(self, event_type: str) -> dict[Types, FilterTree]:
        """The groups that ask for a type."""
        found = dict(self._exact.get(event_type, {}))
        if () in self.groups:
            found[()] = None
        for types in self._patterns(event_type):
            if types not in found and matches_type(types, event_type):
                found[types] = None
        return {types: self.groups[types] for types in found}

    def _patterns(self, event_type: str) -> Iterator[Types]:
        """The groups with a pattern whose beginning, up to its first star, is that of the type."""
        for length in self._prefix_lengths:
            if length <= len(event_type):
                yield from self._by_prefix.get(event_type[:length], {})

    def _file(self, types: Types) -> None:
        for item in types:
            self._exact.setdefault(item, {})[types] = None  # a pattern, too: it fits the type of its own text
        for prefix in _prefixes(types):
            self._by_prefix.setdefault(prefix, {})[types] = None
            self._prefix_lengths[len(prefix)] += 1

    def _unfile(self, types: Types) -> None:
        for item in types:
            _discard(self._exact, item, types)
        for prefix in _prefixes(types):
            _discard(self._by_prefix, prefix, types)
            self._prefix_lengths[len(prefix)] -= 1
            if not self._prefix_lengths[len(prefix)]:
                del self._prefix_lengths[len(prefix)]


def _types_of(record: Record[SubscriptionSpec]) -> Types:
    return tuple(sorted(set(record.spec.event_types)))


def _prefixes(types: Types) -> set[str]:
    return {item.partition("*")[0] for item in types if "*" in item}


def _discard(filed: dict[str, dict[Types, None]], key: str, types: Types) -> None:
    del filed[key][types]
    if not filed[key]:
        del filed[key]
