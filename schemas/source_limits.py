"""What a source says about who may send, and how much: pure data."""

import math
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from schemas.networks import MAX_NETWORK_CHARS, parse_network

MAX_ALLOWED_NETWORKS = 100
"""The longest list that a provider publishes for its webhooks has some fifty; each is compared with each sender."""

MAX_EVENTS_PER_SECOND = 100_000
"""Several times what one process takes: a higher limit would limit nothing."""

MIN_EVENTS_PER_SECOND = 0.001
MAX_EVENTS_BURST = 1_000_000

_CLOCK_PER_SECOND = 1_000
"""The limit's clock has milliseconds, and a burst is what fits into one of them."""


def _network(text: str) -> str:
    parse_network(text)
    return text


AllowedNetwork = Annotated[str, Field(max_length=MAX_NETWORK_CHARS), AfterValidator(_network)]
"""An address or network, IPv4 or IPv6, kept as it was written."""


class SourceRateLimitSpec(BaseModel):
    """How many events a source may send; each ingest process counts for itself."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    per_second: float = Field(ge=MIN_EVENTS_PER_SECOND, le=MAX_EVENTS_PER_SECOND)
    """In the long run; may be below 1."""
    burst: int | None = Field(default=None, ge=1, le=MAX_EVENTS_BURST)
    """At once, after a silence; unless it is set, those of one second."""

    @property
    def burst_size(self) -> int:
        """How many may be sent at once after a silence."""
        return self.burst or math.ceil(self.per_second)

    @field_validator("burst")
    @classmethod
    def _reaches_the_rate(cls, value: int | None, info: ValidationInfo) -> int | None:
        least = math.ceil(info.data.get("per_second", 0) / _CLOCK_PER_SECOND)
        if value is not None and value < least:
            raise ValueError(f"must be at least {least}, what comes in a millisecond at this rate")
        return value
