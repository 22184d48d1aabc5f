"""What became of an event: which subscriptions got it, and why the others did not."""

import msgspec

from schemas.values import decode_value

MAX_LISTED_SKIPS = 100
"""Skips beyond it are only counted by reason: a topic may have 100,000 subscriptions, a record may not."""


class Skip(msgspec.Struct, frozen=True, omit_defaults=True):
    """A subscription of the topic that did not get the event.

    Attributes:
        detail: what went wrong, of a `filter_error`; else empty.
    """

    subscription_id: str
    reason: str
    detail: str = ""


class Dispatch(msgspec.Struct, frozen=True, kw_only=True):
    """One record for each event, in the partition number of the event.

    Attributes:
        received_ms: epoch milliseconds at which the event was accepted.
        dispatched_ms: epoch milliseconds at which its deliveries were durable.
        event_partition: where the event stands in the events stream.
        event_offset: as above.
        config_version: the end of the subscriptions table that was joined.
        matched: how many deliveries were made.
        skipped: reason to count, of the topic's subscriptions that did not get it.
        skips: some of them, at most `MAX_LISTED_SKIPS`: first those whose filter failed.
        duplicate: whether the sender had sent it before, so that nothing was delivered.
        duplicate_of: `partition/offset` of the first one.
        dedup_hash: hex of what two posts of the same event share; empty when the sender gave no id.
        appended_ms: epoch milliseconds at which the broker appended the event, or 0 in old records.
        error: why the record could not be read as an event, or empty.
    """

    event_id: str
    topic_id: str
    source_id: str
    event_type: str
    received_ms: int
    dispatched_ms: int
    event_partition: int
    event_offset: int
    config_version: int
    matched: int = 0
    skipped: dict[str, int] = {}
    skips: list[Skip] = []
    duplicate: bool = False
    duplicate_of: str = ""
    dedup_hash: str = ""
    appended_ms: int = 0
    error: str = ""


_DECODER = msgspec.json.Decoder(Dispatch)


def encode_dispatch(dispatch: Dispatch) -> bytes:
    """A dispatch record's value, JSON."""
    return msgspec.json.encode(dispatch)


def decode_dispatch(value: bytes | None) -> Dispatch:
    """The dispatch in a record's value.

    Raises:
        MalformedRecordError: it is no dispatch record.
    """
    return decode_value(_DECODER, value, "a dispatch record")
