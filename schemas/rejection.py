"""A refused request: it never became an event, and this says why."""

import msgspec

from schemas.values import decode_value

MAX_REJECTED_BODY_BYTES = 4_096
"""Enough to recognise a request; what is refused must not fill the log."""


class Rejection(msgspec.Struct, frozen=True, kw_only=True):
    """One refused request.

    Attributes:
        rejection_id: a ULID.
        source_id: the source whose rule refused it; empty when there was none.
        status: the HTTP status that was answered.
        code: the stable code of the problem, such as `signature_mismatch`.
        reason: a sentence for people.
        headers: as received, credentials redacted.
        body: the beginning of the body, as text, at most `MAX_REJECTED_BODY_BYTES`.
        body_bytes: how long the whole body was, as far as it was read.
        unrecorded: how many refusals of this source came before this one without a record, because of the cap.
    """

    rejection_id: str
    topic_id: str
    source_id: str
    status: int
    code: str
    reason: str
    received_ms: int
    source_ip: str = ""
    content_type: str = ""
    headers: list[tuple[str, str]] = []
    body: str = ""
    body_bytes: int = 0
    unrecorded: int = 0


_DECODER = msgspec.json.Decoder(Rejection)


def encode_rejection(rejection: Rejection) -> bytes:
    """A rejection record's value, JSON."""
    return msgspec.json.encode(rejection)


def decode_rejection(value: bytes | None) -> Rejection:
    """The rejection in a record's value.

    Raises:
        MalformedRecordError: it is no rejection record.
    """
    return decode_value(_DECODER, value, "a rejection record")
