"""Attempts into rows. They are most of all records, so what both rows of one share is written once."""

import msgspec

from projections.writer.cells import moment, moment_or_none
from projections.writer.states import delivery_version, requests_made
from projections.writer.whole_numbers import INT64, UINT16, UINT32
from schemas.attempt import Attempt, AttemptKind, AttemptStatus, decode_attempt
from schemas.headers import MalformedRecordError


class _Shared(msgspec.Struct, omit_defaults=True, gc=False):
    """Columns of both tables; an empty text is what a column holds that is left out."""

    delivery_id: str
    event_id: str
    subscription_id: str
    topic_id: str
    source_id: str
    event_type: str
    status: str
    next_attempt_at: float
    generation: int
    _partition: int
    _offset: int
    error: str = ""
    reason: str = ""
    target_url: str = ""
    replay_id: str = ""
    config_version: int = 0


class _OfAttempt(msgspec.Struct, omit_defaults=True, gc=False):
    """Columns of `attempts` alone."""

    kind: str
    attempt: int
    received_at: float
    started_at: float
    duration_ms: int = 0
    response_status_code: int = 0
    response_body: str = ""


class _OfDelivery(msgspec.Struct, gc=False):
    """Columns of `deliveries` alone."""

    attempts: int
    last_status_code: int
    created_at: float
    last_attempt_at: float
    completed_at: float
    _version: int


def _defaults(*columns: type[msgspec.Struct]) -> dict[str, str | int]:
    found = [field for of in columns for field in msgspec.structs.fields(of)]
    return {field.name: field.default for field in found if field.default is not msgspec.NODEFAULT}


LEFT_OUT = {"attempts": _defaults(_Shared, _OfAttempt), "deliveries": _defaults(_Shared)}
"""By table, what a row's columns hold that are not in it."""

_encode = msgspec.json.Encoder().encode

# Looking a member up in its class costs as much as writing it.
_ATTEMPT, _PARKED, _LEASE = AttemptKind.ATTEMPT, AttemptKind.PARKED, AttemptKind.LEASE
_RETRYING = AttemptStatus.RETRYING


def attempt_json(value: bytes | None, partition: int, offset: int) -> tuple[bytes, bytes | None] | None:
    """The row of an attempt, and that of the state which its delivery is in after it.

    A parking leaves the state as it was, and tells why it waits. A lease is no business of readers: nothing.

    Raises:
        MalformedRecordError: it is no attempt record.
    """
    attempt = decode_attempt(value)
    if attempt.kind is _LEASE:
        return None
    _check(attempt)
    if attempt.kind is _PARKED:
        status = "RETRYING" if requests_made(attempt) else "PENDING"
        return _joined(_shared(attempt, status, partition, offset), _of_attempt(attempt)), None
    status = attempt.status.value
    shared = _shared(attempt, status, partition, offset)
    return _joined(shared, _of_attempt(attempt)), _joined(shared, _of_delivery(attempt, status, offset))


def _check(attempt: Attempt) -> None:
    # By hand: a loop over the columns would cost as much as all the rest.
    fits = (
        attempt.attempt in UINT16
        and attempt.response_status_code in UINT16
        and attempt.duration_ms in UINT32
        and attempt.generation in INT64
        and attempt.config_version in INT64
    )
    if not fits:
        raise MalformedRecordError("a number of the attempt is out of range")


def _shared(attempt: Attempt, status: str, partition: int, offset: int) -> bytes:
    return _encode(
        _Shared(
            attempt.delivery_id,
            attempt.event_id,
            attempt.subscription_id,
            attempt.topic_id,
            attempt.source_id,
            attempt.event_type,
            status,
            moment_or_none(attempt.next_attempt_ms),
            attempt.generation,
            partition,
            offset,
            attempt.error,
            attempt.reason,
            attempt.target_url,
            attempt.replay_id,
            attempt.config_version,
        )
    )


def _of_attempt(attempt: Attempt) -> bytes:
    return _encode(
        _OfAttempt(
            attempt.kind.value,
            attempt.attempt,
            moment(attempt.received_ms),
            moment(attempt.started_ms),
            attempt.duration_ms,
            attempt.response_status_code,
            attempt.response_body,
        )
    )


def _of_delivery(attempt: Attempt, status: str, offset: int) -> bytes:
    attempts = requests_made(attempt)
    return _encode(
        _OfDelivery(
            attempts,
            attempt.response_status_code,
            moment(attempt.received_ms),
            moment(attempt.started_ms) if attempt.kind is _ATTEMPT else 0,
            0 if attempt.status is _RETRYING else moment(attempt.started_ms + attempt.duration_ms),
            delivery_version(status, attempts, offset),
        )
    )


def _joined(one: bytes, other: bytes) -> bytes:
    """Two JSON objects, neither of them empty, as one."""
    return b"%b,%b" % (one[:-1], other[1:])
