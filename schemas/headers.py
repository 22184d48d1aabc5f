"""Kafka record headers: CloudEvents binary mode for what the standard names, `hl-*` for what is ours.

Source: CloudEvents 1.0.2, Kafka protocol binding, section 3.2 (binary content mode).
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache

import orjson

Headers = Sequence[tuple[str, bytes]]
"""Headers as aiokafka takes and gives them; a name may repeat."""

SPEC_VERSION = b"1.0"

MAX_INTEGER = 253_402_300_799_999
"""The last millisecond of the year 9999: no offset, count or time of ours comes near it."""


class MalformedRecordError(ValueError):
    """A record of one of our streams cannot be read: record it as an offender and go on."""


def first_values(headers: Sequence[tuple[str, bytes | None]]) -> dict[str, str]:
    """Header name to its first value, as text; bytes that are no UTF-8 are read as Latin-1, never refused."""
    try:
        return {name: raw.decode() for name, raw in reversed(headers)}  # type: ignore[union-attr] # as below
    except (UnicodeDecodeError, AttributeError):
        return _first_values_of_any(headers)  # a foreign record: bytes of another charset, or none


def _first_values_of_any(headers: Sequence[tuple[str, bytes | None]]) -> dict[str, str]:
    values: dict[str, str] = {}
    for name, raw in headers:
        if name not in values and raw is not None:
            values[name] = _text(raw)
    return values


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def required(values: dict[str, str], name: str) -> str:
    """The value of a header that a record cannot be without.

    Raises:
        MalformedRecordError: it is not there.
    """
    try:
        return values[name]
    except KeyError:
        raise MalformedRecordError(f"header {name} is missing") from None


def integer(values: dict[str, str], name: str, default: int | None = None) -> int:
    """The whole number in a header, from 0 to `MAX_INTEGER`.

    Raises:
        MalformedRecordError: it is missing without a default, or is no whole number.
    """
    text = values.get(name)
    if text is None:
        if default is not None:
            return default
        text = required(values, name)
    try:
        number = int(text)
    except ValueError as error:
        raise MalformedRecordError(f"header {name} is not a whole number: {text!r}") from error
    if not 0 <= number <= MAX_INTEGER:
        raise MalformedRecordError(f"header {name} is out of range: {number}")
    return number


def rfc3339(epoch_ms: int) -> str:
    """Epoch milliseconds as RFC 3339 in UTC, such as `2026-01-02T03:04:05.678Z`."""
    epoch_s, milliseconds = divmod(epoch_ms, 1_000)
    return f"{_to_the_second(epoch_s)}.{milliseconds:03d}Z"


@lru_cache(maxsize=256)  # under load many records share a second
def _to_the_second(epoch_s: int) -> str:
    return datetime.fromtimestamp(epoch_s, UTC).isoformat().removesuffix("+00:00")


def epoch_ms(text: str) -> int:
    """RFC 3339 text as epoch milliseconds.

    Raises:
        MalformedRecordError: the text is no time, or names no zone.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise MalformedRecordError(f"not an RFC 3339 time: {text!r}") from error
    if moment.tzinfo is None:
        raise MalformedRecordError(f"a time without a zone: {text!r}")
    milliseconds = round(moment.timestamp() * 1000)
    if not 0 <= milliseconds <= MAX_INTEGER:
        raise MalformedRecordError(f"a time out of range: {text!r}")
    return milliseconds


def trace_id(traceparent: str) -> str:
    """The trace that a `traceparent` (W3C Trace Context, section 3.2) belongs to, 32 hex digits; empty without one."""
    return traceparent[3:35]


def headers_text(pairs: Sequence[tuple[str, str]]) -> str:
    """A request's headers as one header of a record: JSON, a list of name and value pairs."""
    return orjson.dumps(pairs).decode()


def headers_in(text: str) -> tuple[tuple[str, str], ...]:
    """The pairs in it; none when it cannot be read."""
    try:
        return tuple([(str(name), str(value)) for name, value in orjson.loads(text)])
    except (ValueError, TypeError):
        return ()
