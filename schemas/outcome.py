"""What the config agent made of an intake record."""

from enum import StrEnum
from typing import Any

import msgspec

from schemas.values import decode_value


class OutcomeResult(StrEnum):
    """Whether an intake record took effect."""

    APPLIED = "applied"
    REFUSED = "refused"


class OutcomeAction(StrEnum):
    """What an applied record did."""

    CREATED = "created"
    UPDATED = "updated"
    DELETED = "deleted"
    NOTHING = "nothing"


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """One record for each intake record.

    Attributes:
        kind: `sources`, `topics`, `subscriptions` or `keys`.
        intake_offset: where the intake record stands; its partition is 0.
        version: the version that the table has now; of a refusal, the version that stays (-1: there is none).
        generation: the version at which the record was made, or made again after a delete.
        code: of a refusal, its stable code, such as `invalid`.
        field: of a refusal, the field it is about, or empty.
        reason: a sentence for people: of a refusal, why; of a change, what it was made for, when its record says so.
        record: of a change, the whole record with secrets masked.
        actor: who did it: `admin`, `key:ID NAME` or `hooklog` itself; of a record that did not come over HTTP,
            `produced:` and what it says, or nothing.
    """

    kind: str
    id: str
    intake_offset: int
    at_ms: int
    result: OutcomeResult
    action: OutcomeAction = OutcomeAction.NOTHING
    version: int = -1
    generation: int = 0
    code: str = ""
    field: str = ""
    reason: str = ""
    record: dict[str, Any] | None = None
    actor: str = ""


_DECODER = msgspec.json.Decoder(Outcome)


def encode_outcome(outcome: Outcome) -> bytes:
    """An outcome record's value, JSON."""
    return msgspec.json.encode(outcome)


def decode_outcome(value: bytes | None) -> Outcome:
    """The outcome in a record's value.

    Raises:
        MalformedRecordError: it is no outcome record.
    """
    return decode_value(_DECODER, value, "an outcome record")
