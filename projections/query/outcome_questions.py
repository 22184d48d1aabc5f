"""What the figures of what came of events can be asked with."""

from typing import Literal

from pydantic import Field

from projections.query.parameters import EventType, Filter, Question

DEFAULT_ERRORS = 50
MAX_ERRORS = 500
"""Groups: whoever has more looks at one subscription."""


class ErrorsQuestion(Question):
    """What goes wrong most."""

    per: Literal["all", "subscription", "topic"] = Field("all", description="Whether groups are divided by it.")
    limit: int = Field(DEFAULT_ERRORS, ge=1, le=MAX_ERRORS)
    subscription_id: Filter = None
    topic_id: Filter = None
    source_id: Filter = None
    event_type: EventType = None
    reason: Filter = None


class FunnelQuestion(Question):
    """What became of all that came."""

    topic_id: Filter = None
    source_id: Filter = None
