"""Pages of config records in the order of their ids; a cursor is the last id of the page before."""

import base64
import binascii
from bisect import bisect_right
from collections.abc import Mapping
from typing import Any

from runtime.problem import ProblemError
from schemas.config import Spec
from schemas.ids import RECORD_ID
from schemas.stored import Record, masked

DEFAULT_LIMIT = 50
MAX_LIMIT = 500
"""A page of the largest subscriptions is then 75 MB, and of usual ones 250 KB."""


def page(records: Mapping[str, Record[Spec]], limit: int, cursor: str) -> dict[str, Any]:
    """`{"data": [records, masked], "next_cursor": text or null}`.

    Args:
        records: by id.
        limit: how many at most.
        cursor: the `next_cursor` of the page before; empty for the first.

    Raises:
        ProblemError: 400, the cursor is none.
    """
    ids = sorted(records)
    start = bisect_right(ids, _decoded(cursor)) if cursor else 0
    chosen = ids[start : start + limit]
    more = start + limit < len(ids)
    return {
        "data": [masked(records[record_id]) for record_id in chosen],
        "next_cursor": _encoded(chosen[-1]) if more else None,
    }


def _encoded(record_id: str) -> str:
    return base64.urlsafe_b64encode(record_id.encode()).decode().rstrip("=")


def _decoded(cursor: str) -> str:
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
    except (binascii.Error, UnicodeError, ValueError):
        text = ""
    if not RECORD_ID.fullmatch(text):
        raise ProblemError(400, detail="the cursor is none of ours; leave it out to begin again")
    return text
