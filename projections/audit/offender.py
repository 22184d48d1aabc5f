"""What an audit finds wrong: named, in a sentence, with what to do."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple


class Offender(NamedTuple):
    """One thing that is wrong.

    Attributes:
        kind: stable name for programs, such as `undispatched`.
        id: of the event or delivery, or `stream[partition]/offset`, `stream[partition]/first-last`.
        what: a sentence for people.
        do: a command, or a sentence.
    """

    kind: str
    id: str
    what: str
    do: str


@dataclass
class Findings:
    """Offenders, of which only the first are kept, and the count of all.

    Args:
        most: how many are kept.
    """

    most: int
    kept: list[Offender] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    _seen: set[tuple[str, str]] = field(default_factory=set)

    def add(self, offenders: Iterable[Offender]) -> None:
        """Takes offenders; each counts once."""
        for offender in offenders:
            if offender[:2] in self._seen:
                continue  # two ways lead to it
            self._seen.add(offender[:2])
            self.counts[offender.kind] += 1
            if len(self.kept) < self.most:
                self.kept.append(offender)

    def add_uncounted(self, kind: str, number: int) -> None:
        """Takes the number of those that nobody has looked at one by one."""
        if number > 0:
            self.counts[kind] += number


_EVENT = {
    "undispatched": (
        "the event was accepted, and never dispatched, or its dispatch is not in the tables",
        "hooklog events {id}; then hooklog replay --event {id} --to SUBSCRIPTION --mode missing",
    ),
    "event_missing": (
        "the event was dispatched, and is not in the table of events",
        "look for it in the Kafka stream events; the tables have lost it, or somebody produced a dispatch",
    ),
    "delivery_missing": (
        "the event matched more subscriptions than there are deliveries of it",
        "hooklog events {id}; then hooklog replay --event {id} --to SUBSCRIPTION --mode missing",
    ),
    "delivery_unmatched": (
        "there are more deliveries of the event than it matched",
        "hooklog events {id} shows them; find who produced to the stream deliveries",
    ),
    "dispatched_twice": (
        "the event was dispatched more than once, with different results",
        "hooklog events {id}; look for two workers on one partition, or a foreign producer",
    ),
    "replay_of_nothing": (
        "there is a replayed delivery of an event that was never dispatched",
        "hooklog deliveries --event {id}; find who produced to the stream deliveries",
    ),
}

_DELIVERY = {
    "delivery_row_missing": (
        "there are attempts of the delivery, and it is not in the table of deliveries",
        "hooklog attempts --delivery {id}; the tables have lost it: hooklog projections rebuild",
    ),
    "attempt_missing": (
        "the attempts of the delivery are not numbered from 1 without a gap up to its last",
        "hooklog deliveries {id} shows those that are there",
    ),
    "end_missing": (
        "the delivery has ended, and no attempt or outcome says so",
        "hooklog deliveries {id} shows what is there",
    ),
    "state_behind": (
        "an attempt or outcome has ended the delivery, whose state does not know of it",
        "hooklog deliveries {id}; the tables have lost a row: hooklog projections rebuild",
    ),
    "overdue": (
        "the delivery was due more than ten minutes ago, and nothing has happened",
        "hooklog status; when the workers are well: hooklog retry {id}",
    ),
}


def of_record(kind: str, record_id: str, about: str = "") -> Offender:
    """An offender that is an event or a delivery.

    Args:
        kind: one of those above.
        record_id: its id.
        about: numbers that belong to it, such as `matched 3, deliveries 2`.
    """
    what, do = (_EVENT | _DELIVERY)[kind]
    return Offender(kind, record_id, f"{what} ({about})" if about else what, do.format(id=record_id))


KINDS = (
    *_EVENT,
    *_DELIVERY,
    "minute_uneven",
    "row_missing",
    "row_extra",
    "replay_incomplete",
    "records_expired",
    "rollup_differs",
)
"""Every kind there is, so that a metric can say 0 of it."""
