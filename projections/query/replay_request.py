"""What can be asked to be delivered again. A field that is not here is refused by name, never ignored."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from projections.query.lookups import earliest_ms
from projections.query.parameters import MAX_FILTER_CHARS, DeliveryState, Filter, Moment
from projections.query.span import Span, time_ms
from rules.cel import BadExpressionError, compile_filter
from runtime.problem import ProblemError
from schemas.config import MAX_EXPRESSION_CHARS

DEFAULT_RATE = 50
MAX_RATE = 1_000
"""A second: half of what the stack delivers on two cores, so that what comes new has its place."""

MAX_EVENT_IDS = 1_000
MAX_PATTERNS = 100
MAX_SPAN_MS = 90 * 86_400_000
"""As long as the tables keep events."""

DEFAULT_SPAN_MS = 86_400_000

Mode = Literal["failed", "missing", "all"]
Text = Annotated[str, Field(min_length=1, max_length=MAX_FILTER_CHARS)]


class ReplayRequest(BaseModel):
    """Which events to deliver again, and to whom."""

    model_config = ConfigDict(extra="forbid", strict=True)

    event_ids: list[Text] = Field(default_factory=list, max_length=MAX_EVENT_IDS, description="These, and no others.")
    subscription_id: Filter = Field(None, description="Of this subscription's deliveries.")
    topic_id: Filter = None
    source_id: Filter = None
    event_types: list[Text] = Field(
        default_factory=list, max_length=MAX_PATTERNS, description="Types, or patterns such as `order.*`."
    )
    status: list[Literal["FAILED", "CANCELLED"]] = Field(
        default_factory=list, max_length=2, description="In mode `failed`: how the delivery ended; both by default."
    )
    since: Moment = Field(None, description="Accepted from then on; a day before `until`, at most 90 days before it.")
    until: Moment = Field(None, description="Accepted before then; now.")
    to: Filter = Field(None, description="Subscription that gets them, also one that is new; else each delivery's own.")
    mode: Mode | None = Field(
        None,
        description="`failed`: events whose delivery ended without success. `missing`: events with no delivery to"
        " `to`. `all`: every event. By default `all` with `event_ids`, `missing` with `to` alone, else `failed`.",
    )
    where: Annotated[str, Field(min_length=1, max_length=MAX_EXPRESSION_CHARS)] | None = Field(
        None, description="CEL, as a subscription's `filter`: only events for which it is true; of 100,000 at most."
    )
    rate_per_s: int = Field(DEFAULT_RATE, ge=1, le=MAX_RATE, description="How many in a second at most.")
    new_id: bool = Field(
        default=False, description="Give receivers a new `webhook-id`, so that none takes it for a repetition."
    )
    dry_run: bool = Field(default=False, description="Only count what would be sent.")

    @property
    def chosen_mode(self) -> Mode:
        """The mode, by default what the rest suggests."""
        if self.mode is not None:
            return self.mode
        if self.event_ids:
            return "all"
        return "missing" if self.to and not self.subscription_id else "failed"

    @property
    def states(self) -> list[DeliveryState]:
        """How a delivery must have ended in mode `failed`."""
        return list(self.status) or ["FAILED", "CANCELLED"]

    def check(self) -> None:
        """Whether the fields make sense together.

        Raises:
            ProblemError: 422, naming the field that does not.
        """
        if self.where is not None:
            _check_where(self.where)
        chosen = (self.event_ids, self.subscription_id, self.topic_id, self.source_id, self.event_types)
        if not any((*chosen, self.since, self.to)):
            raise wrong("event_ids", "say which: event_ids, subscription_id, topic_id, source_id, event_types or since")
        if self.chosen_mode == "missing" and not self.to:
            raise wrong("to", "mode missing needs a subscription that events are missing at")
        if self.status and self.chosen_mode != "failed":
            raise wrong("status", f"mode {self.chosen_mode} does not look at it")

    def span(self, now_ms: int) -> Span:
        """The time that it is about; it has an end, so that it does not grow while it is read.

        Raises:
            ProblemError: 422, naming the field that is wrong.
        """
        until_ms = now_ms + 1 if self.until is None else _moment_ms("until", self.until, now_ms)
        if self.since is not None:
            since_ms = _moment_ms("since", self.since, now_ms)
        elif self.event_ids:
            return Span(min(map(earliest_ms, self.event_ids)), until_ms)
        else:
            since_ms = max(0, until_ms - DEFAULT_SPAN_MS)
        if since_ms > until_ms:
            raise wrong("until", "is before since")
        if until_ms - since_ms > MAX_SPAN_MS:
            raise wrong("since", f"the time from since until until is longer than {MAX_SPAN_MS // 86_400_000} days")
        return Span(since_ms, until_ms)


def wrong(field: str, message: str) -> ProblemError:
    """The problem that a field is."""
    return ProblemError(422, detail=f"{field}: {message}", errors=[{"field": f"body.{field}", "message": message}])


def _check_where(text: str) -> None:
    try:
        compile_filter(text)
    except BadExpressionError as error:
        raise wrong("where", str(error)) from error


def _moment_ms(field: str, text: str, now_ms: int) -> int:
    try:
        return time_ms(text, now_ms)
    except ValueError as error:
        raise wrong(field, str(error)) from error
