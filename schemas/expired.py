"""What a group of consumers never read, because it was gone when its turn came, and whether an operator knows."""

from typing import Self

import msgspec

from schemas.values import decode_value


class Expired(msgspec.Struct, frozen=True, kw_only=True):
    """What one group has missed of one partition; the newest record of its key holds.

    Attributes:
        group: of consumers, without the prefix.
        stream: without the prefix.
        first: the offset that the group had to read next.
        next: the offset at which it went on, the first that was there. Below `first`, the stream does not reach as far
            as the group had read: it was made again, or has lost its end, and what is missing cannot be counted.
        count: of the records that expired unread, of all losses since the last acknowledgement.
        noticed_ms: epoch milliseconds.
        acknowledged_ms: epoch milliseconds at which an operator has taken note; 0 is not yet.
    """

    group: str
    stream: str
    partition: int
    first: int
    next: int
    count: int
    noticed_ms: int
    acknowledged_ms: int = 0

    @property
    def key(self) -> str:
        """Of its record."""
        return f"{self.group}/{self.stream}/{self.partition}"

    @property
    def shortened(self) -> bool:
        """Whether the stream ended below what was read before."""
        return self.next < self.first

    @property
    def text(self) -> str:
        """A sentence for people."""
        place = f"{self.stream}[{self.partition}]"
        if self.shortened:
            return f"{self.group} had read {place} to offset {self.first}, where it does not reach any more"
        offsets = f"offsets {self.first} to {self.next - 1}"
        return f"{self.count} records of {place} expired before {self.group} read them: {offsets}"

    def after(self, known: "Expired | None") -> Self | None:
        """What is to be recorded when another loss is already: both, or nothing when it was told before.

        Args:
            known: the newest record of this key.
        """
        if known is None:
            return self
        if self.shortened or known.shortened or self.next < known.next:  # a log's beginning never moves back
            return None if (known.first, known.next) == (self.first, self.next) else self
        added = max(0, self.next - max(self.first, known.next))
        if not added:
            return None  # a crash between the record and the commit
        if known.acknowledged_ms:
            return msgspec.structs.replace(self, first=max(self.first, known.next), count=added)
        return msgspec.structs.replace(self, first=known.first, count=known.count + added)


_DECODER = msgspec.json.Decoder(Expired)


def encode_expired(expired: Expired) -> bytes:
    """An expired record's value, JSON."""
    return msgspec.json.encode(expired)


def decode_expired(value: bytes | None) -> Expired:
    """What was missed, in a record's value.

    Raises:
        MalformedRecordError: it says nothing of the kind.
    """
    return decode_value(_DECODER, value, "an expired record")
