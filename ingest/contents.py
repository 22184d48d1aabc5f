"""What a request holds: one event, with what its envelope says of it, or several."""

from dataclasses import dataclass

from ingest.reception import Reception
from rules import batch, cloud_events
from rules.cloud_events import BATCHED, STRUCTURED, CloudEventError, media_type_of
from rules.told import Item, Told
from rules.verify import Verifier
from runtime.problem import ProblemError

_JSON = "application/json"
_TAKEN = ", ".join(sorted(batch.ARRAY | batch.LINES | {BATCHED}))


@dataclass(frozen=True, slots=True)
class Several:
    """The events of a batch, in order, and the media type of each."""

    items: list[Item]
    content_type: str


def told_of(reception: Reception, verifier: Verifier, body: bytes) -> Told | None:
    """What the envelope of a request's only event says.

    Raises:
        ProblemError: 400, it calls itself a CloudEvent and is none.
    """
    try:
        if media_type_of(reception.content_type) == STRUCTURED:
            return cloud_events.told_by_document(body)
        return cloud_events.told_by_headers(reception.headers) or verifier.told(body)
    except CloudEventError as error:
        errors = [{"field": error.attribute, "message": error.message}]
        raise ProblemError(400, cloud_events.INVALID, str(error), errors=errors) from error


def several_in(reception: Reception, verifier: Verifier, body: bytes) -> Several | None:
    """The events of a batch; `None` when the body is one event.

    Raises:
        ProblemError: 400 it cannot be cut into items, 413 there are too many, 415 nobody knows how to.
    """
    try:
        return _several(reception, verifier, body)
    except batch.NoBatchError as error:
        raise ProblemError(400, detail=str(error)) from error
    except batch.TooManyItemsError as error:
        raise ProblemError(413, "too_many_items", str(error), max_items=batch.MAX_ITEMS) from error


def _several(reception: Reception, verifier: Verifier, body: bytes) -> Several | None:
    media_type = media_type_of(reception.content_type)
    if media_type == BATCHED:
        return Several(cloud_events.batched_items(body), STRUCTURED)
    if not reception.is_batch:
        items = verifier.items(body)
        return None if items is None else Several(items, _JSON)
    if media_type in batch.ARRAY:
        return Several(batch.array_items(body), _JSON)
    if media_type in batch.LINES:
        return Several(batch.line_items(body), _JSON)
    raise ProblemError(415, detail=f"a batch is of type {_TAKEN}, not {media_type[:64] or 'without a type'}")
