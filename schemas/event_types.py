"""What a topic says about its event types: what their bodies look like, and what becomes of one that does not."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

MAX_EVENT_TYPES = 500
"""Of one topic: the largest providers have some hundreds."""

Policy = Literal["accept", "refuse"]


class EventTypeSpec(BaseModel):
    """One event type of a topic."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, serialize_by_alias=True)

    json_schema: dict[str, Any] = Field(alias="schema")
    """JSON Schema 2020-12 of the body; `docs/schemas.md` says what it may hold."""
    description: str = Field(default="", max_length=2_000)
    on_invalid: Policy = "accept"
    """What becomes of a body that is not as the schema says: taken and marked, because a mistake in a schema must lose
    nothing; or refused with 422."""


EventTypes = Annotated[
    dict[Annotated[str, Field(min_length=1, max_length=200)], EventTypeSpec], Field(max_length=MAX_EVENT_TYPES)
]
