"""What a batch is answered: every item with its outcome, and a status that promises no more than all of them keep."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import orjson

from ingest.accept import RETRY_AFTER_S
from ingest.batch import NOT_STORED, QUEUED, REFUSED, Outcome
from runtime.problem import ProblemError

ACCEPTED = 202


def shown(outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    """The items of the answer."""
    return [_shown(index, outcome) for index, outcome in enumerate(outcomes)]


def accepted_document(outcomes: Sequence[Outcome]) -> bytes:
    """The answer when every item is stored."""
    return orjson.dumps({"items": shown(outcomes)})


def problem_of(outcomes: Sequence[Outcome]) -> ProblemError | None:
    """The answer when an item is not stored, of the highest status that one of them has; `None` when all are.

    A sender that looks at the status alone must not believe that an item is stored which is not.
    """
    status = max((one.http_status for one in outcomes), default=ACCEPTED)
    if status == ACCEPTED:
        return None
    counts = Counter(one.status for one in outcomes)
    stored = f"{counts[QUEUED]} of {len(outcomes)} items are stored"
    if counts[NOT_STORED]:
        detail = f"{stored}; send again those that are {NOT_STORED}, or all of them"
        headers = {"Retry-After": str(RETRY_AFTER_S)}
        return ProblemError(status, "items_not_stored", detail, headers=headers, items=shown(outcomes))
    return ProblemError(status, "items_refused", f"{stored}; the others are {REFUSED}", items=shown(outcomes))


def _shown(index: int, outcome: Outcome) -> dict[str, Any]:
    document: dict[str, Any] = {
        "index": index,
        "event_id": outcome.event.event_id if outcome.event else None,
        "status": outcome.status,
        "code": outcome.code or None,
    }
    if outcome.detail:
        document["detail"] = outcome.detail
    return document | {"duplicate": True} if outcome.duplicate else document
