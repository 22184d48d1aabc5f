"""What the history of the configuration can be asked."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from projections.query.cursor import MAX_CURSOR_CHARS
from projections.query.parameters import Filter
from projections.query.span import checked_time

KINDS = ("sources", "topics", "subscriptions")
"""Keys are the business of who has an admin's: `hooklog keys`, or SQL."""

Kind = Literal["sources", "topics", "subscriptions"]

DEFAULT_RECORDS = 100
MAX_RECORDS = 500
"""A record may have 300 KB, authorities and filters included; most have one."""

_TIME = "RFC 3339, epoch milliseconds, or a duration ago such as `-15m`, `-24h`, `-7d`."
Time = Annotated[str, Field(min_length=1, max_length=64), AfterValidator(checked_time)]


class PageQuestion(BaseModel):
    """What is common to all of them."""

    model_config = ConfigDict(extra="forbid")

    limit: int = Field(DEFAULT_RECORDS, ge=1, le=MAX_RECORDS)
    cursor: str | None = Field(
        None, max_length=MAX_CURSOR_CHARS, description="`next_cursor` of the page before; all else must be as it was."
    )


class ConfigQuestion(PageQuestion):
    """The records as they were at a time."""

    at: Time | None = Field(None, description=f"As of then, and now without it: {_TIME}")
    kind: Kind | None = None
    id: Filter = None


class DiffQuestion(PageQuestion):
    """What is not the same at two times."""

    since: Time = Field(alias="from", description=f"The earlier time: {_TIME}")
    until: Time | None = Field(None, alias="to", description="The later one, likewise; now without it.")
    kind: Kind | None = None
    id: Filter = None
