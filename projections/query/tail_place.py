"""How far a watcher has come: an offset of each partition, which is all that a later connection needs to go on.

Kafka's offsets have no gaps that could be filled later, as times of rows have that are stored a second after others.
"""

import base64
import binascii
from collections.abc import Iterable

import msgspec

from runtime.problem import ProblemError

MAX_ID_CHARS = 16_384
"""Five streams of 200 partitions."""

MAX_OFFSET = (1 << 63) - 1


class Place(msgspec.Struct, array_like=True):
    """Where to go on.

    Attributes:
        offsets: by stream, the next offset of each of its partitions.
        begun: of partitions whose next record was told in part, how many of its rows were.
    """

    offsets: dict[str, list[int]]
    begun: dict[str, int] = {}

    def told(self, stream: str, partition: int, offset: int) -> None:
        """All of a record was told."""
        self.offsets[stream][partition] = offset + 1
        self.begun.pop(f"{stream}/{partition}", None)

    def told_rows(self, stream: str, partition: int, rows: int) -> None:
        """So many of the rows of the next record of a partition were told."""
        self.begun[f"{stream}/{partition}"] = rows

    def rows_told(self, stream: str, partition: int) -> int:
        """How many they are."""
        return self.begun.get(f"{stream}/{partition}", 0)


_DECODER = msgspec.json.Decoder(Place)


def encode_place(place: Place) -> str:
    """The id of what was told last."""
    return base64.urlsafe_b64encode(msgspec.json.encode(place)).decode().rstrip("=")


def decode_place(text: str, streams: Iterable[str]) -> Place:
    """The place in an id.

    Raises:
        ProblemError: 400, it is none of ours, or of other streams.
    """
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        place = _DECODER.decode(raw)
    except (binascii.Error, ValueError, RecursionError, msgspec.DecodeError) as error:
        raise _wrong("it is none of ours") from error
    if set(place.offsets) != set(streams):
        raise _wrong("it is of other kinds")
    if not all(0 <= offset <= MAX_OFFSET for offsets in place.offsets.values() for offset in offsets):
        raise _wrong("it is none of ours")
    return place


def _wrong(why: str) -> ProblemError:
    return ProblemError(400, "last_event_id", f"nothing can go on from this id: {why}; leave it out to begin now")
