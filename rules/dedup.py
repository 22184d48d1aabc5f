"""Which events are repetitions: the first one of a sender's id counts, the others within 24 hours do not."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

WINDOW_MS = 86_400_000
"""24 hours: Stripe keeps the Idempotency-Keys of its API as long, and the ids of a day fit on any disk."""


class Sighting(NamedTuple):
    """An event whose sender gave it an id.

    Attributes:
        hash: what two posts of the same event share.
        offset: where it stands in its partition.
        at_ms: epoch milliseconds at which the broker appended it.
    """

    hash: bytes
    offset: int
    at_ms: int


class First(NamedTuple):
    """Where and when the first one of an id stands."""

    offset: int
    at_ms: int


Known = Mapping[bytes, Sequence[First]]


def find_duplicates(sightings: Iterable[Sighting], known: Known) -> dict[int, First]:
    """The first one of each sighting that is a repetition, by the sighting's offset; the others are first ones.

    It depends on nothing but the log: broker's times and offsets are the same whenever, and by whomever, an event is
    dispatched again, so a repetition decides as it did before. A sender's clock, or ingest's, would not do: those of
    several processes differ, and one that is wrong by a day would let everything pass, or nothing.

    Args:
        sightings: of one partition, by offset.
        known: the first ones of their ids that are recorded, those of the last 24 hours complete; others do no harm.
    """
    duplicates: dict[int, First] = {}
    firsts = {key: list(found) for key, found in known.items()}
    for sighting in sightings:
        of_id = firsts.setdefault(sighting.hash, [])
        first = _first_of(sighting, of_id)
        if first is None:
            of_id.append(First(sighting.offset, sighting.at_ms))
        elif first.offset != sighting.offset:
            duplicates[sighting.offset] = first
    return duplicates


def _first_of(sighting: Sighting, firsts: Sequence[First]) -> First | None:
    """What stands for the id already: the sighting itself, when it was dispatched before."""
    inside = [
        first
        for first in firsts
        if first.offset == sighting.offset
        or (first.offset < sighting.offset and sighting.at_ms - first.at_ms < WINDOW_MS)
    ]
    # Itself before any other: what was dispatched once stays a first one.
    return max(inside, default=None)
