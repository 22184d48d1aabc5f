"""Rows as they are shown: times as RFC 3339, and nothing where a zero means nothing."""

import base64
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from schemas.headers import rfc3339

Document = dict[str, Any]

_ZERO_IS_NONE = frozenset({"last_status_code", "response_status_code"})
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def shown_row(row: Mapping[str, Any]) -> Document:
    """A row without its internal columns, whose names begin with an underscore.

    A `payload` must be bytes; `payload_encoding` says whether it is shown as text or, where it is none, as base64.
    """
    document = {name: _shown(name, value) for name, value in row.items() if not name.startswith("_")}
    if isinstance(row.get("payload"), bytes):
        document |= _payload(row["payload"])
    return document


def epoch_ms_of(value: datetime) -> int:
    """A time of a row as epoch milliseconds."""
    return round((value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp() * 1000)


def _shown(name: str, value: Any) -> Any:
    if isinstance(value, datetime):
        moment = value if value.tzinfo else value.replace(tzinfo=UTC)
        return None if moment == _EPOCH else rfc3339(epoch_ms_of(moment))
    return None if name in _ZERO_IS_NONE and value == 0 else value


def _payload(raw: bytes) -> Document:
    try:
        return {"payload": raw.decode(), "payload_encoding": "text"}
    except UnicodeDecodeError:
        return {"payload": base64.b64encode(raw).decode(), "payload_encoding": "base64"}
