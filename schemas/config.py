"""What teams write: sources, topics and subscriptions, as they are produced, posted, stored and shown.

A `*Spec` is what a person may say; a stored record is the spec with its secrets encrypted and stamped by the
config agent with `created_at, updated_at, version, generation`.
"""

import math
import re
from typing import Annotated, Any, ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from schemas.event_types import EventTypes, Policy
from schemas.ids import RECORD_ID, RESERVED_PREFIX
from schemas.key import KeySpec
from schemas.retry import RetrySpec
from schemas.source_limits import MAX_ALLOWED_NETWORKS, AllowedNetwork, SourceRateLimitSpec
from schemas.tls import TlsSpec

MAX_SECRETS = 10
"""Rotation needs two; ten leave room, and bound the work of checking a forged signature."""

MAX_SECRET_CHARS = 1_024
MAX_HEADERS = 32
MAX_HEADER_CHARS = 4_096
MAX_EVENT_TYPE_PATTERNS = 100

MAX_EXPRESSION_CHARS = 2_048
"""Of a filter or transform; in bytes it is counted where it is compiled."""
MAX_PER_SECOND = 1_000
"""One worker makes no more requests than this to one endpoint; a higher limit would limit nothing."""

MIN_PER_SECOND = 0.001
"""One in a quarter of an hour: below that a delivery grows too old in a queue of a few hundred."""

MAX_BURST = 10_000
DEFAULT_DISABLE_AFTER_DAYS = 5.0
"""As Stripe and Svix: long enough for a long weekend's outage, and shorter than the six days that a delivery lives."""

ALL_TOPICS = "*"
"""In `topic_id` of a subscription: whatever the topic, but not the operations."""

OPERATIONS_TOPIC = "hooklog.operations"
"""In `topic_id` of a subscription: what happens to Hooklog itself. No topic has this id."""

RESERVED_HEADERS = frozenset(
    {
        "host",
        "content-length",
        "content-type",
        "transfer-encoding",
        "connection",
        "keep-alive",
        "upgrade",
        "te",
        "trailer",
        "expect",
        "proxy-authorization",
        "proxy-connection",
        "user-agent",
        "traceparent",
        "tracestate",
        "x-retry-attempt",
        "x-webhook-version",
        "x-webhook-signature",
    }
)
"""Header names that Hooklog or HTTP itself sets; `webhook-*` is refused as well."""

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}")  # RFC 9110, section 5.6.2
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")  # RFC 9110, section 5.5
_JSON_POINTER = re.compile(r"(?:/(?:[^~/]|~0|~1)*)*")  # RFC 6901


def check_id(value: str) -> str:
    """A record id, or a `ValueError` that says what one looks like."""
    if not RECORD_ID.fullmatch(value):
        raise ValueError("must be 1 to 64 characters of A-Z a-z 0-9 . _ -")
    return value


def _header_name(value: str) -> str:
    if not _HEADER_NAME.fullmatch(value):
        raise ValueError("is not a header name")
    return value


def _header_fault(name: str, text: str) -> str:
    if name.lower() in RESERVED_HEADERS or name.lower().startswith("webhook-"):
        return "is reserved"
    return "" if _HEADER_VALUE.fullmatch(text) else "has a value that no HTTP header may have"


def _pointer(value: str) -> str:
    if not _JSON_POINTER.fullmatch(value):
        raise ValueError("is not a JSON pointer (RFC 6901), such as /data/id")
    return value


def check_unreserved(record_id: str) -> None:
    """Passes an id that a record may have.

    Raises:
        ValueError: it is one of Hooklog's own.
    """
    if record_id.startswith(RESERVED_PREFIX):
        raise ValueError(f"begins with {RESERVED_PREFIX}, as only Hooklog's own ids do")


RecordId = Annotated[str, BeforeValidator(lambda value: check_id(value) if isinstance(value, str) else value)]
HeaderName = Annotated[
    str, Field(max_length=128), BeforeValidator(lambda v: _header_name(v) if isinstance(v, str) else v)
]
JsonPointer = Annotated[str, Field(max_length=512), BeforeValidator(lambda v: _pointer(v) if isinstance(v, str) else v)]
Secret = Annotated[str, Field(min_length=1, max_length=MAX_SECRET_CHARS)]


class _Strict(BaseModel):
    # An unknown field is refused: a misspelt filter that is silently ignored delivers to the wrong people.
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class _WithSecrets(_Strict):
    secret: Secret | None = None
    secrets: list[Secret] = Field(default_factory=list, max_length=MAX_SECRETS)

    @property
    def all_secrets(self) -> list[str]:
        """Every secret, the one to sign with first."""
        return ([self.secret] if self.secret else []) + list(self.secrets)


class SourceSpec(_WithSecrets):
    """Who sends, and how to verify it."""

    kind: ClassVar[str] = "sources"

    id: RecordId
    name: str = Field(default="", max_length=200)
    auth_type: str = Field(max_length=64)
    """The name of a provider in `rules/verify`; the config agent refuses one that does not exist."""
    auth_config: dict[str, Any] = Field(default_factory=dict)
    max_body_bytes: int | None = Field(default=None, ge=1)
    """Lower than the server's own limit, for this source alone."""
    rate_limit: SourceRateLimitSpec | None = None
    """Of verified requests, in each ingest process; no limit unless it is set."""
    allowed_ips: list[AllowedNetwork] = Field(default_factory=list, max_length=MAX_ALLOWED_NETWORKS)
    """Addresses and networks that may send; empty is everybody."""


class EventTypeRule(_Strict):
    """Where the type of an event stands; the first of the three that is set decides."""

    header: HeaderName | None = None
    pointer: JsonPointer | None = None
    const: str | None = Field(default=None, min_length=1, max_length=200)

    @model_validator(mode="after")
    def _one(self) -> "EventTypeRule":
        if sum(value is not None for value in (self.header, self.pointer, self.const)) != 1:
            raise ValueError("set one of header, pointer, const")
        return self


class DedupRule(_Strict):
    """Where the sender's own id of an event stands."""

    header: HeaderName | None = None
    pointer: JsonPointer | None = None

    @model_validator(mode="after")
    def _one(self) -> "DedupRule":
        if (self.header is None) == (self.pointer is None):
            raise ValueError("set one of header, pointer")
        return self


class OrderingKeyRule(_Strict):
    """Where the value stands whose events keep their order. It must come from the body, which is signed."""

    pointer: JsonPointer


class TopicSpec(_Strict):
    """A named stream of events of one source."""

    kind: ClassVar[str] = "topics"

    id: RecordId
    source_id: RecordId
    name: str = Field(default="", max_length=200)
    description: str = Field(default="", max_length=2_000)
    event_type: EventTypeRule | None = None
    dedup_id: DedupRule | None = None
    ordering_key: OrderingKeyRule | None = None
    event_types: EventTypes = Field(default_factory=dict)
    """What the bodies of each type look like, by the exact name of the type."""
    on_unknown_type: Policy = "accept"
    """What becomes of an event whose type is none of `event_types`; without any of these, every type is taken."""


class RateLimitSpec(_Strict):
    """How fast requests may be made."""

    per_second: float = Field(ge=MIN_PER_SECOND, le=MAX_PER_SECOND)
    """In the long run; may be below 1."""
    burst: int | None = Field(default=None, ge=1, le=MAX_BURST)
    """At once, after a silence; unless it is set, those of one second."""

    @property
    def burst_size(self) -> int:
        """How many may be made at once after a silence."""
        return self.burst or math.ceil(self.per_second)


class SubscriptionSpec(_WithSecrets):
    """Which events go where, and how."""

    kind: ClassVar[str] = "subscriptions"

    id: RecordId
    topic_id: Annotated[str, BeforeValidator(lambda v: v if v == ALL_TOPICS or not isinstance(v, str) else check_id(v))]
    subscriber_name: str = Field(default="", max_length=200)
    target_url: str = Field(max_length=2_048)
    is_active: bool = True
    event_types: list[Annotated[str, Field(min_length=1, max_length=200)]] = Field(
        default_factory=list, max_length=MAX_EVENT_TYPE_PATTERNS
    )
    """Types or patterns such as `order.*`; empty is every type."""
    filter: str = Field(default="", max_length=MAX_EXPRESSION_CHARS)
    """CEL: an event goes only where it is true; empty is every event."""
    transform: str = Field(default="", max_length=MAX_EXPRESSION_CHARS)
    """CEL: its value is sent as JSON instead of the body; empty sends the body."""
    format: Literal["raw", "envelope", "cloudevents"] = "raw"
    """What is sent: the body itself; or JSON with id, type, topic, source, timestamp and data; or a CloudEvent."""
    headers: dict[HeaderName, Annotated[str, Field(max_length=MAX_HEADER_CHARS)]] = Field(
        default_factory=dict, max_length=MAX_HEADERS
    )
    """Their values may be credentials, so they are kept and shown as secrets are."""
    signing: Literal["standard", "none"] = "standard"
    retry: RetrySpec | None = None
    timeout_s: float = Field(default=15.0, ge=1, le=60)
    """Standard Webhooks asks for 15 to 30 s; beyond 60 s a dead endpoint holds its place in flight too long."""
    max_in_flight: int = Field(default=20, ge=1, le=200)
    """Also how many requests a crash may repeat at this endpoint."""
    tls: TlsSpec | None = None
    rate_limit: RateLimitSpec | None = None
    """No limit unless it is set."""
    circuit_breaker: bool = True
    """Whether an endpoint that only fails is left alone for a while. Without it every delivery has its attempts when
    its retry policy says so, whatever came of the others."""
    disable_after_days: float = Field(default=DEFAULT_DISABLE_AFTER_DAYS, ge=0, le=30)
    """Days without one success, while attempts fail, after which the subscription is made inactive; 0 is never."""

    @property
    def target_host(self) -> str:
        """The host that the URL names."""
        return urlsplit(self.target_url).hostname or ""

    @property
    def is_https(self) -> bool:
        """Whether the endpoint speaks TLS."""
        return urlsplit(self.target_url).scheme == "https"

    @field_validator("target_url")
    @classmethod
    def _url(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("must be an http or https URL with a host")
        if parts.username is not None or parts.password is not None:
            raise ValueError("must not carry credentials; use headers")
        if parts.fragment or any(ord(char) <= ord(" ") or ord(char) == 0x7F for char in value):  # noqa: PLR2004 - DEL
            raise ValueError("must not carry a fragment, blanks or control characters")
        _ = parts.port  # raises ValueError for a port that is none
        return value

    @field_validator("headers")
    @classmethod
    def _headers(cls, value: dict[str, str]) -> dict[str, str]:
        wrong = [f"{name} {fault}" for name, text in value.items() if (fault := _header_fault(name, text))]
        if len({name.lower() for name in value}) < len(value):
            wrong.append("a name stands twice, in other capitals")
        if wrong:
            raise ValueError("; ".join(wrong))
        return value


Spec = SourceSpec | TopicSpec | SubscriptionSpec | KeySpec
SPECS: dict[str, type[Spec]] = {spec.kind: spec for spec in (SourceSpec, TopicSpec, SubscriptionSpec)}
"""What teams write. Keys are stored in the same way, but nobody writes one as a document."""

STORED_SPECS: dict[str, type[Spec]] = SPECS | {KeySpec.kind: KeySpec}
"""What the config agent decides about, and the tables hold."""
