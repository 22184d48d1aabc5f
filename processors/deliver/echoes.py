"""Endpoints that answer with what they were sent: what they were shown in confidence is not kept with their answer."""

from collections.abc import Iterable

from schemas.stored import MASK

MIN_SECRET_CHARS = 8
"""A shorter value may stand in an answer by chance; whoever chose it has little to lose."""


def without_echoes(answer: str, header_values: Iterable[str]) -> str:
    """An answer in which header values of the subscription, and longer words of theirs, are masked.

    Args:
        answer: the beginning of the endpoint's answer.
        header_values: what the subscription adds to each request, such as `Bearer …`.
    """
    for value in header_values:
        for secret in (value, *value.split()):
            if len(secret) >= MIN_SECRET_CHARS:
                answer = answer.replace(secret, MASK)
    return answer
