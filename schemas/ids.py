"""Identity: ids that sort by time, and hashes that a repetition makes again."""

import os
import re
import time
from hashlib import blake2b

from ulid import ULID, base32

RECORD_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
"""What a producer may choose as the id of a source, topic or subscription."""

RESERVED_PREFIX = "hooklog."
"""Ids that begin so are Hooklog's own; no source, topic or subscription may have one."""


def new_id() -> str:
    """A ULID, 26 characters, that sorts by the millisecond of its making (github.com/ulid/spec)."""
    # Without ULID's generator, which takes a lock and makes three objects: an event is named in a third of the time.
    return base32.encode((time.time_ns() // 1_000_000).to_bytes(6, "big") + os.urandom(10))


def ulid_time_ms(text: str) -> int | None:
    """The epoch milliseconds in a ULID, or `None` when the text is no ULID."""
    try:
        return int(ULID.from_str(text).milliseconds)
    except ValueError:
        return None


def derived_id(time_ms: int, *parts: str) -> str:
    """A ULID of a given millisecond whose random part is a hash: the same time and parts make the same id."""
    return str(ULID.from_bytes(time_ms.to_bytes(6, "big") + _hash128(*(part.encode() for part in parts))[:10]))


def delivery_id(event_id: str, subscription_id: str, generation: int, target: int = 0, replay_id: str = "") -> str:
    """128 bits in hex: the same event for the same target of the same subscription is the same delivery.

    A reprocessed event therefore makes the deliveries it made before, and a subscription that was deleted and
    made again makes others, because its generation is new.
    """
    place = (event_id.encode(), subscription_id.encode(), b"%d" % generation, b"%d" % target)
    return _hash128(*place, replay_id.encode()).hex()


def dedup_hash(topic_id: str, dedup_id: str, key: bytes) -> bytes:
    """16 bytes that two posts of the same event share.

    Args:
        topic_id: the same id in another topic is another event.
        dedup_id: the sender's own id of the event.
        key: of the event's record. Where a topic has an ordering key, the same id with another one is another event:
            it may stand in another partition, and whether it does must not decide whether it is delivered.
    """
    return _hash128(topic_id.encode(), dedup_id.encode(), key)


def _hash128(*parts: bytes) -> bytes:
    # Length prefixes, so that no two lists of parts read the same.
    return blake2b(b"".join([b"%d:%b" % (len(part), part) for part in parts]), digest_size=16).digest()
