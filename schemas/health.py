"""Since when a subscription only fails, as it is kept over restarts."""

import msgspec

from schemas.values import decode_value


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """What is remembered of a subscription whose last attempts failed; of others there is no record.

    Attributes:
        version: of the subscription that failed; whoever changes it has begun to mend it, and the time begins anew.
        since_ms: epoch milliseconds of the first failure after the last success.
        failures: how many since, counted up to a few.
        warned_percent: of the time until it is disabled, the last share that was told.
    """

    subscription_id: str
    version: int
    since_ms: int
    failures: int
    warned_percent: int = 0


_DECODER = msgspec.json.Decoder(Health)


def encode_health(health: Health) -> bytes:
    """A health record's value, JSON."""
    return msgspec.json.encode(health)


def decode_health(value: bytes | None) -> Health:
    """The health in a record's value.

    Raises:
        MalformedRecordError: it is no health record.
    """
    return decode_value(_DECODER, value, "a health record")
