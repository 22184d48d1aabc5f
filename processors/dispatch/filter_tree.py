"""Subscriptions by their filters, so that an event costs what it matches and not what it does not.

Filters with the same text are one. Those that begin with equalities hang at the texts that they ask for: of 100,000
filters `branch == '…'` one look into a dictionary finds the few that hold, and the number of all others is known.
"""

from collections.abc import Iterator
from itertools import chain

from processors.dispatch.findings import Findings, Records
from rules.equalities import Beginning, beginning_of
from rules.view import FILTERED, EventView
from schemas.config import SubscriptionSpec
from schemas.stored import Record


class FilterTree:
    """The filters whose beginnings hold when an event comes here.

    Attributes:
        count: of subscriptions.
    """

    def __init__(self) -> None:
        self.count = 0
        self._by_text: dict[str, Records] = {}
        self._by_path: dict[str, _Branch] = {}

    def add(self, record: Record[SubscriptionSpec]) -> None:
        """Takes a subscription in."""
        self._place(beginning_of(record.spec.filter), 0, record, 1)

    def remove(self, record: Record[SubscriptionSpec]) -> None:
        """Takes one out that was added."""
        self._place(beginning_of(record.spec.filter), 0, record, -1)

    def find(self, view: EventView, findings: Findings) -> None:
        """Judges every subscription."""
        for text, records in self._by_text.items():
            findings.judged(view.verdict(text), records) if text else findings.matched.extend(records.values())
        for path, branch in self._by_path.items():
            branch.find(path, view, findings)

    def groups(self) -> Iterator[tuple[str, Records]]:
        """Every filter's text with its subscriptions."""
        yield from self._by_text.items()
        for branch in self._by_path.values():
            yield from branch.groups()

    def ids(self) -> Iterator[str]:
        """Every subscription's id."""
        texts = chain.from_iterable(self._by_text.values())
        if not self._by_path:
            return texts  # most trees of a topic with many event types
        return chain(texts, chain.from_iterable(branch.ids() for branch in self._by_path.values()))

    def _place(self, beginning: Beginning, depth: int, record: Record[SubscriptionSpec], change: int) -> None:
        self.count += change
        if depth == len(beginning.equalities):
            _put(self._by_text, record.spec.filter, record, change)
            return
        path = beginning.equalities[depth].path
        branch = self._by_path.setdefault(path, _Branch())
        branch.place(beginning, depth, record, change)
        if not branch.count:
            del self._by_path[path]


class _Branch:
    """The filters that ask next for one path.

    Attributes:
        count: of subscriptions.
    """

    def __init__(self) -> None:
        self.count = 0
        self._ended: dict[str, Records] = {}
        self._ended_count = 0
        self._further: dict[str, FilterTree] = {}

    def place(self, beginning: Beginning, depth: int, record: Record[SubscriptionSpec], change: int) -> None:
        self.count += change
        text = beginning.equalities[depth].text
        if beginning.whole and depth + 1 == len(beginning.equalities):
            self._ended_count += change
            _put(self._ended, text, record, change)
            return
        tree = self._further.setdefault(text, FilterTree())
        tree._place(beginning, depth + 1, record, change)  # noqa: SLF001 - two halves of one structure
        if not tree.count:
            del self._further[text]

    def find(self, path: str, view: EventView, findings: Findings) -> None:
        value = view.value(path)
        if isinstance(value, str):
            self._find_text(value, view, findings)
        else:
            self._find_none(path, view, findings)

    def groups(self) -> Iterator[tuple[str, Records]]:
        for records in self._ended.values():
            yield next(iter(records.values())).spec.filter, records
        for tree in self._further.values():
            yield from tree.groups()

    def ids(self) -> Iterator[str]:
        return chain(
            chain.from_iterable(self._ended.values()),
            chain.from_iterable(tree.ids() for tree in self._further.values()),
        )

    def _find_text(self, text: str, view: EventView, findings: Findings) -> None:
        ended, tree = self._ended.get(text, {}), self._further.get(text)
        findings.matched += ended.values()
        if tree is not None:
            tree.find(view, findings)
        others = self.count - len(ended) - (tree.count if tree else 0)
        findings.skip(FILTERED, others, lambda: self._ids_without(text))

    def _find_none(self, path: str, view: EventView, findings: Findings) -> None:
        # What an equality of no text with a text is, false or a failure, does not depend on the text.
        verdict = view.verdict(f"{path} == ''")
        findings.skip(verdict, self._ended_count, lambda: chain.from_iterable(self._ended.values()))
        for tree in self._further.values():
            for text, records in tree.groups():
                findings.judged(view.verdict(text), records)

    def _ids_without(self, text: str) -> Iterator[str]:
        ended = (records for asked, records in self._ended.items() if asked != text)
        further = (tree.ids() for asked, tree in self._further.items() if asked != text)
        return chain(chain.from_iterable(ended), chain.from_iterable(further))


def _put(groups: dict[str, Records], key: str, record: Record[SubscriptionSpec], change: int) -> None:
    records = groups.setdefault(key, {})
    if change > 0:
        records[record.spec.id] = record
    else:
        del records[record.spec.id]
        if not records:
            del groups[key]
