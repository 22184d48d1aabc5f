"""Pages of config records in the order of their ids; a cursor is the last id of the page before."""

import asyncio
import base64
import binascii
from collections.abc import Callable, Mapping
from typing import Any

from ingest.sorted_ids import SortedIds
from runtime.problem import ProblemError
from schemas.config import Spec
from schemas.ids import RECORD_ID
from schemas.stored import Record

DEFAULT_LIMIT = 50
MAX_LIMIT = 500
"""A page of the largest subscriptions is then 75 MB, and of usual ones 250 KB."""

_LOOKED_AT_ONCE = 500
"""Records that a filter looks at before other requests get a turn: about 0.3 ms."""


async def page(
    ids: SortedIds,
    records: Mapping[str, Record[Spec]],
    *,
    limit: int,
    cursor: str = "",
    wanted: Callable[[Record[Spec]], bool] = lambda _: True,
    shown: Callable[[Record[Spec]], dict[str, Any]],
) -> dict[str, Any]:
    """`{"data": [records], "next_cursor": text or null}`.

    The cursor holds a place in the order, not a number of records: what comes and goes between two pages moves nothing.

    Args:
        ids: of the records to choose from.
        records: by id.
        limit: how many at most.
        cursor: the `next_cursor` of the page before; empty for the first.
        wanted: the filter.
        shown: makes the answer's record of one.

    Raises:
        ProblemError: 400, the cursor is none.
    """
    chosen: list[Record[Spec]] = []
    last = _decoded(cursor) if cursor else ""
    while some := ids.after(last, _LOOKED_AT_ONCE):
        chosen += filter(wanted, (records[record_id] for record_id in some))
        if len(chosen) > limit:
            break
        last = some[-1]
        await asyncio.sleep(0)
    next_cursor = _encoded(chosen[limit - 1].spec.id) if len(chosen) > limit else None
    return {"data": [shown(record) for record in chosen[:limit]], "next_cursor": next_cursor}


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
