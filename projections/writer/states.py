"""The state of a delivery only moves forward, in whatever order its records are read."""

from schemas.attempt import Attempt, AttemptKind

_RANKS = {"PENDING": 1, "RETRYING": 2, "FAILED": 3, "CANCELLED": 3, "SUCCESS": 4}

_ATTEMPTS_BITS = 16
_OFFSET_BITS = 44
"""17 trillion records in one partition: 190 years at 3,000 a second."""


def delivery_version(status: str, attempts: int, offset: int) -> int:
    """Which row of a delivery stays: the one with the highest state, then most attempts, then the last offset.

    The offset decides only between records of one delivery, which share a partition, so that the answer does
    not depend on the order of inserts.

    Args:
        status: PENDING, RETRYING, FAILED, CANCELLED or SUCCESS.
        attempts: requests made so far.
        offset: of the record.
    """
    attempts = min(attempts, (1 << _ATTEMPTS_BITS) - 1)
    return (_RANKS[status] << _ATTEMPTS_BITS | attempts) << _OFFSET_BITS | offset


def requests_made(attempt: Attempt) -> int:
    """How many requests a delivery has made when this record was written."""
    return attempt.attempt if attempt.kind is AttemptKind.ATTEMPT else max(attempt.attempt - 1, 0)
