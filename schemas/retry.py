"""The retry policy of a subscription, as people write it, and what holds where they say nothing."""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

DEFAULT_DELAYS_S: tuple[float, ...] = (5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)
"""5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 14 h, 20 h, 24 h (Standard Webhooks, "Retry schedule"): 10 attempts."""

DEFAULT_FACTOR = 2.0
"""What an exponential policy leaves out is as in the default schedule: its first delay, its longest, its number."""

MAX_RETRIES = 50
"""More do not fit into six days at any pace that is worth having, and each one is a record for six weeks."""

MIN_DELAY_S = 1
"""The shortest retry stream."""

MAX_DELAY_S = 604_800
"""Seven days: the retry streams keep records for eight."""

MAX_FACTOR = 100
"""From one second to a day in three steps; more is a mistake."""

MAX_AGE_S = 518_400
"""Six days: the streams that carry a delivery keep their records for seven."""

DelayS = Annotated[float, Field(ge=MIN_DELAY_S, le=MAX_DELAY_S)]


class RetrySpec(BaseModel):
    """When to try again, and for how long. A field that is left out is as in the default.

    Either a schedule: `delays_s`, or the default one. Or exponential, when `strategy` says so or `base_delay_s` or
    `factor` is set: `base_delay_s`, then each delay `factor` times the one before. `max_retries` cuts both,
    `max_delay_s` bounds every delay of both. A schedule is never made longer than it is: more retries than it has
    delays are refused. Fields that contradict each other are refused, the later one by name.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    strategy: Literal["schedule", "exponential"] | None = None
    delays_s: Annotated[list[DelayS], Field(max_length=MAX_RETRIES)] | None = None
    """Seconds between one attempt and the next; an empty list never retries."""
    base_delay_s: DelayS | None = None
    """Seconds before the first retry."""
    factor: float | None = Field(default=None, ge=1, le=MAX_FACTOR)
    max_retries: int | None = Field(default=None, ge=0, le=MAX_RETRIES)
    """Attempts after the first one."""
    max_delay_s: DelayS | None = None
    """No delay is longer; what `Retry-After` asks for may be."""
    max_age_s: float | None = Field(default=None, ge=1, le=MAX_AGE_S)
    """Seconds from the event, or from its replay, after which no attempt is made."""

    @property
    def exponential(self) -> bool:
        """Whether the delays grow by a factor."""
        return _exponential(self.strategy, self.base_delay_s, self.factor)

    @property
    def schedule_s(self) -> Sequence[float]:
        """The delays of a schedule before anything cuts them."""
        return DEFAULT_DELAYS_S if self.delays_s is None else self.delays_s

    # A check looks at the fields before it, so that the refusal names one field and not the whole policy.

    @field_validator("delays_s")
    @classmethod
    def _delays(cls, value: list[float] | None, info: ValidationInfo) -> list[float] | None:
        if value is not None and info.data.get("strategy") == "exponential":
            raise ValueError("belongs to strategy schedule, but the strategy is exponential")
        return value

    @field_validator("base_delay_s", "factor")
    @classmethod
    def _growth(cls, value: float | None, info: ValidationInfo) -> float | None:
        if value is None:
            return value
        if info.data.get("strategy") == "schedule":
            raise ValueError("belongs to strategy exponential, but the strategy is schedule")
        if info.data.get("delays_s") is not None:
            raise ValueError("belongs to strategy exponential, but delays_s is a schedule")
        return value

    @field_validator("max_retries")
    @classmethod
    def _retries(cls, value: int | None, info: ValidationInfo) -> int | None:
        known = info.data
        if value is None or not {"strategy", "delays_s", "base_delay_s", "factor"} <= known.keys():
            return value  # another field is wrong already
        if _exponential(known["strategy"], known["base_delay_s"], known["factor"]):
            return value
        schedule = DEFAULT_DELAYS_S if known["delays_s"] is None else known["delays_s"]
        if value > len(schedule):
            raise ValueError(f"is more than the {len(schedule)} delays of the schedule; list more in delays_s")
        return value

    @field_validator("max_delay_s")
    @classmethod
    def _longest(cls, value: float | None, info: ValidationInfo) -> float | None:
        base_delay_s = info.data.get("base_delay_s")
        if value is not None and base_delay_s is not None and value < base_delay_s:
            raise ValueError("is below base_delay_s")
        return value


def _exponential(strategy: str | None, base_delay_s: float | None, factor: float | None) -> bool:
    return strategy == "exponential" or base_delay_s is not None or factor is not None
