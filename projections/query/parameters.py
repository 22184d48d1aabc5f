"""What a list can be asked. A parameter that is not here is refused by name, never ignored."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from projections.query.cursor import MAX_CURSOR_CHARS
from projections.query.step import Step, step_of

DEFAULT_LIMIT = 50
MAX_LIMIT = 500
"""A page of attempts with long answers is then some megabytes."""

DEFAULT_BUCKETS = 500
MAX_BUCKETS = 1_000
"""An hour each of one subscription for a month is 744."""

MAX_FILTER_CHARS = 512
"""Longer than any id or type of ours."""

DEFAULT_SAMPLE = 200
MAX_SAMPLE = 1_000
"""Events of a type: a field that one in a thousand has is then found two times in three."""

MAX_STATUS_CODE = 999

MAX_STEP_CHARS = 6
"""Of `minute`, and of the seconds of a day."""

DELIVERY_STATES = ("PENDING", "RETRYING", "SUCCESS", "FAILED", "CANCELLED")
DeliveryState = Literal["PENDING", "RETRYING", "SUCCESS", "FAILED", "CANCELLED"]


Filter = Annotated[str | None, Field(min_length=1, max_length=MAX_FILTER_CHARS)]
Moment = Annotated[
    str | None,
    Field(max_length=64, description="RFC 3339, epoch milliseconds, or a duration ago such as `-15m`, `-24h`, `-7d`."),
]
EventType = Annotated[
    str | None,
    Field(min_length=1, max_length=MAX_FILTER_CHARS, description="Exact, or a pattern: `*` is any run of characters."),
]


def _known_step(text: str) -> str:
    step_of(text)
    return text


class Question(BaseModel):
    """What every question over a time can be asked with."""

    model_config = ConfigDict(extra="forbid")

    since: Moment = Field(None, description="From then on; a day before `until`, and at most 31 days before it.")
    until: Moment = Field(None, description="Until just before then; without it there is no end.")


class ListQuestion(Question):
    """What every list can be asked with."""

    limit: int = Field(DEFAULT_LIMIT, ge=1, le=MAX_LIMIT)
    cursor: str | None = Field(
        None, max_length=MAX_CURSOR_CHARS, description="`next_cursor` of the page before; all else must be as it was."
    )
    order: Literal["desc", "asc"] = Field("desc", description="Newest first, or oldest first.")


class EventsQuestion(ListQuestion):
    """Accepted events."""

    topic_id: Filter = None
    source_id: Filter = None
    event_type: EventType = None
    status: Literal["RECEIVED", "QUEUED"] | None = Field(None, description="QUEUED once it was dispatched.")
    dedup_id: Filter = None
    schema_valid: bool | None = Field(None, description="Whether the body was as the schema of its type says, if any.")
    duplicate: bool | None = Field(None, description="Of what was dispatched: whether it had been sent before.")
    payload: bool = Field(default=False, description="Whether rows have their payload.")


class DeliveriesQuestion(ListQuestion):
    """Deliveries, in the state that they are in."""

    status: list[DeliveryState] = Field(default_factory=list, max_length=len(DELIVERY_STATES))
    subscription_id: Filter = None
    topic_id: Filter = None
    event_id: Filter = None
    source_id: Filter = None
    event_type: EventType = None
    reason: Filter = None
    replay_id: Filter = None


class AttemptsQuestion(ListQuestion):
    """Attempts, ends without one, and why one waits (`parked`)."""

    delivery_id: Filter = None
    event_id: Filter = None
    subscription_id: Filter = None
    topic_id: Filter = None
    status: Literal["SUCCESS", "RETRYING", "FAILED", "CANCELLED"] | None = None
    kind: Literal["attempt", "outcome", "parked"] | None = None
    response_status_code: int | None = Field(None, ge=0, le=MAX_STATUS_CODE, description="0 is no answer.")


class RejectionsQuestion(ListQuestion):
    """Refused requests."""

    source_id: Filter = None
    topic_id: Filter = None
    code: Filter = None
    payload: bool = Field(default=False, description="Whether rows have the beginning of the body.")


class OperationsQuestion(ListQuestion):
    """What happened to Hooklog itself."""

    kind: Filter = Field(None, description="Such as `dead_letter` or `breaker.opened`.")
    subject_kind: Literal["source", "topic", "subscription", "stream"] | None = None
    subject_id: Filter = None
    topic_id: Filter = None
    subscription_id: Filter = None
    event_id: Filter = None
    delivery_id: Filter = None


class StatsQuestion(ListQuestion):
    """Figures by step."""

    since: Moment = Field(
        None, description="From then on; a day before `until`, and at most 31 days before it, two years by whole hours."
    )
    limit: int = Field(DEFAULT_BUCKETS, ge=1, le=MAX_BUCKETS)
    step: Annotated[str, AfterValidator(_known_step)] = Field(
        "hour",
        max_length=MAX_STEP_CHARS,
        description="`minute`, `hour`, `day`, `week` (from Monday), or a number of seconds that divides a day.",
    )
    subscription_id: Filter = None
    topic_id: Filter = None

    @property
    def chosen_step(self) -> Step:
        """The step that is asked for."""
        return step_of(self.step)


class OverviewQuestion(Question):
    """Totals."""

    topic_id: Filter = None


class DriftQuestion(Question):
    """Where the events of a topic have come apart from its schemas."""

    topic_id: str = Field(min_length=1, max_length=MAX_FILTER_CHARS)
    event_type: EventType = None
    sample: int = Field(
        DEFAULT_SAMPLE, ge=1, le=MAX_SAMPLE, description="How many events of each type are looked at; 1,500 in all."
    )
    every_field: bool = Field(default=False, description="Also those fields that are as they should be.")
    draft: bool = Field(default=False, description="A draft of a schema for each type, made of what was seen.")
