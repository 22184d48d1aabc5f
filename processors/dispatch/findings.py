"""What an index finds for an event: who gets it, and how many do not, for what reason."""

from collections.abc import Callable, Iterable
from itertools import islice

from rules.match import BEFORE
from rules.view import FILTER_ERROR, Verdict
from schemas.config import SubscriptionSpec
from schemas.dispatch import MAX_LISTED_SKIPS, Skip
from schemas.stored import Record

Records = dict[str, Record[SubscriptionSpec]]
"""Subscriptions by id."""

_LISTED_FIRST = {FILTER_ERROR: 0, BEFORE: 1}


class Findings:
    """Collects them; those that are skipped are counted, and walked only as far as they are listed.

    Attributes:
        matched: who gets the event.
        skipped: reason to count.
    """

    def __init__(self) -> None:
        self.matched: list[Record[SubscriptionSpec]] = []
        self.skipped: dict[str, int] = {}
        self._unlisted: list[tuple[Verdict, Callable[[], Iterable[str]]]] = []

    def judged(self, verdict: Verdict, records: Records) -> None:
        """What one verdict says of all of these."""
        if not verdict.reason:
            self.matched += records.values()
        else:
            self.skip(verdict, len(records), records.keys)

    def skip(self, verdict: Verdict, count: int, ids: Callable[[], Iterable[str]]) -> None:
        """Counts those that do not get it.

        Args:
            verdict: why.
            count: how many there are.
            ids: gives exactly so many ids; called only when they are listed.
        """
        if count:
            self.skipped[verdict.reason] = self.skipped.get(verdict.reason, 0) + count
            self._unlisted.append((verdict, ids))

    def only_created_by(self, newest: str) -> None:
        """Skips those of the matched that were created after the event: it was meant for others, or for nobody.

        Args:
            newest: the latest `created_at` of those that get it.
        """
        late = [record.spec.id for record in self.matched if record.created_at > newest]
        if late:
            self.matched = [record for record in self.matched if record.created_at <= newest]
            self.skip(Verdict(BEFORE), len(late), lambda: late)

    def listed(self) -> list[Skip]:
        """The first of them by name: failed filters first, because they are to be mended, then who came too late."""
        order = sorted(self._unlisted, key=lambda item: _LISTED_FIRST.get(item[0].reason, len(_LISTED_FIRST)))
        listed: list[Skip] = []
        for (reason, detail), ids in order:
            left = MAX_LISTED_SKIPS - len(listed)
            listed += [Skip(name, reason, detail) for name in islice(ids(), left)]
            if len(listed) == MAX_LISTED_SKIPS:
                break
        return listed
