"""An API key as the config records hold it: who it is, what it may do, and the hash of it, never the key."""

from datetime import UTC, datetime
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from schemas.ids import RECORD_ID

Role = Literal["viewer", "editor", "admin"]

ROLES: tuple[Role, ...] = ("viewer", "editor", "admin")
"""Each may do what those before it may."""

MAX_NAME_CHARS = 100
"""It stands in the history of every record that the key changes."""


def includes(role: Role, needed: Role) -> bool:
    """Whether a role may do what needs another."""
    return ROLES.index(role) >= ROLES.index(needed)


def check_moment(text: str) -> str:
    """A time with its zone (RFC 3339), written in UTC; or a `ValueError`."""
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("is no time, such as 2027-01-02T03:04:05Z") from None
    if when.tzinfo is None:
        raise ValueError("has no zone: add Z, or +01:00")
    try:
        return when.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    except OverflowError:
        raise ValueError("is beyond the calendar") from None


def _name(text: str) -> str:
    if not text.isprintable():
        raise ValueError("must not have control characters")
    return text


def _key_id(text: str) -> str:
    if not RECORD_ID.fullmatch(text):
        raise ValueError("must be 1 to 64 characters of A-Z a-z 0-9 . _ -")
    return text


KeyName = Annotated[str, Field(min_length=1, max_length=MAX_NAME_CHARS), AfterValidator(_name)]
Moment = Annotated[str, Field(max_length=40), AfterValidator(check_moment)]


class KeySpec(BaseModel):
    """One API key. A key that is revoked is deleted, so that what is there is what opens."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    kind: ClassVar[str] = "keys"

    id: Annotated[str, AfterValidator(_key_id)]
    name: KeyName
    role: Role
    hash: str = Field(pattern=r"^[0-9a-f]{64}$")
    """SHA-256 of the key, in hex; `runtime/api_key.py` says why that is enough."""
    expires_at: Moment | None = None
    """RFC 3339; from then on it opens nothing. Without it the key never expires."""

    def has_expired(self, now_ms: int) -> bool:
        """Whether it opens nothing any more at that time, epoch milliseconds."""
        return self.expires_at is not None and datetime.fromisoformat(self.expires_at).timestamp() * 1_000 <= now_ms
