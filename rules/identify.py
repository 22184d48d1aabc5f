"""What an event is: its type, the sender's own id of it, and the key whose events keep their order."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qsl

import orjson

from rules.request_headers import RequestHeaders
from rules.told import Told
from rules.verify.verifier import Place
from schemas.config import DedupRule, EventTypeRule, TopicSpec

UNKNOWN = "unknown"

MAX_EVENT_TYPE_CHARS = 200
"""What a subscription's pattern may have; a longer type could be matched by none."""

MAX_KEY_CHARS = 256
"""Of dedup ids and ordering keys, which are Kafka keys and dedup state; longer ones are hashed."""

MAX_FORM_FIELDS = 1_000
"""Twilio sends some thirty."""

_BODY_TYPE_POINTERS = ("/type", "/event_type", "/event")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_INDEX = re.compile(r"0|[1-9][0-9]{0,6}")  # RFC 6901, section 4; no body has ten million items


@dataclass(frozen=True, slots=True)
class Identity:
    """What an event is.

    Attributes:
        event_type: at most `MAX_EVENT_TYPE_CHARS`, never empty.
        dedup_id: the sender's own id, or empty.
        ordering_key: events of the same key keep their order; empty is no key.
    """

    event_type: str
    dedup_id: str
    ordering_key: str

    def partition_key(self, event_id: str) -> str:
        """The Kafka key: the same for events that must meet in one partition."""
        return self.ordering_key or self.dedup_id or event_id


def identify(
    topic: TopicSpec,
    headers: RequestHeaders,
    body: bytes,
    *,
    event_type: Place | None = None,
    dedup_id: Place | None = None,
    told: Told | None = None,
    item: str = "",
) -> Identity:
    """Finds out what an event is; a body that is no JSON has no values, and is as welcome.

    Args:
        topic: its rules come first.
        headers: of the request.
        body: parsed only when a value is looked for in it.
        event_type: where the provider puts the type of an event.
        dedup_id: where the provider puts its id of an event.
        told: what the event's envelope says; it comes after the provider's places.
        item: of one event of several, what tells it from the others of its request: added to ids in headers, which
            they share.
    """
    request = _Request(headers, body, item)
    pointer = topic.ordering_key.pointer if topic.ordering_key else None
    return Identity(
        event_type=next(filter(None, _event_types(topic.event_type, event_type, told, request)), UNKNOWN),
        dedup_id=next(filter(None, _dedup_ids(topic.dedup_id, dedup_id, told, request)), ""),
        ordering_key="" if pointer is None else _key(request.at(pointer)),
    )


def _event_types(
    rule: EventTypeRule | None, provider: Place | None, told: Told | None, request: "_Request"
) -> Iterator[str]:
    # A generator, so that the body is parsed only when no header tells.
    if rule is not None:
        yield _event_type(rule.const or request.value(rule.header, rule.pointer))
    if provider is not None:
        yield _event_type(request.of_provider(provider))
    if told is not None:
        yield _event_type(told.event_type)
    yield _event_type(request.headers.text("ce-type"))  # CloudEvents 1.0.2, HTTP binding, section 3.1
    for pointer in _BODY_TYPE_POINTERS:
        yield _event_type(request.at(pointer))


def _dedup_ids(rule: DedupRule | None, provider: Place | None, told: Told | None, request: "_Request") -> Iterator[str]:
    if rule is not None:
        yield _key(request.own(request.value(rule.header, rule.pointer), rule.header))
    if provider is not None:
        yield _key(request.own(request.of_provider(provider), provider.header))
    if told is not None:
        yield _key(told.dedup_id)
    for header in ("webhook-id", "idempotency-key"):
        yield _key(request.own(request.headers.text(header), header))


class _Request:
    """Looks values up, parsing the body at most once."""

    def __init__(self, headers: RequestHeaders, body: bytes, item: str) -> None:
        self.headers = headers
        self._body = body
        self._item = item

    def value(self, header: str | None, pointer: str | None) -> str:
        if header:
            return self.headers.text(header)
        return "" if pointer is None else self.at(pointer)

    def own(self, value: str, header: str | None) -> str:
        """An id; of one in a header, which the events of a batch share, with what tells this event from the others."""
        return f"{value} {self._item}" if header and value and self._item else value

    def of_provider(self, place: Place) -> str:
        """The value where a provider puts it."""
        if place.form:
            return next(filter(None, (self._form.get(name, "") for name in place.form)), "")
        return self.value(place.header, place.pointer)

    def at(self, pointer: str) -> str:
        """The text or whole number that a JSON pointer (RFC 6901) leads to, as text; else empty."""
        value = self._json
        for part in pointer.split("/")[1:]:
            value = _step(value, part.replace("~1", "/").replace("~0", "~"))
        if isinstance(value, bool) or not isinstance(value, str | int):
            return ""
        return str(value)

    @cached_property
    def _form(self) -> dict[str, str]:
        try:
            return dict(parse_qsl(self._body.decode("ascii"), max_num_fields=MAX_FORM_FIELDS))
        except ValueError:  # not ASCII, or more fields
            return {}

    @cached_property
    def _json(self) -> Any:
        try:
            return orjson.loads(self._body)
        except orjson.JSONDecodeError:
            return None


def _step(value: Any, part: str) -> Any:
    if isinstance(value, dict):
        return value.get(part)
    if isinstance(value, list) and _INDEX.fullmatch(part) and int(part) < len(value):
        return value[int(part)]
    return None


def _event_type(text: str) -> str:
    # Too long or unprintable is as good as none: cut off, it would be another type.
    return "" if len(text) > MAX_EVENT_TYPE_CHARS or _CONTROL.search(text) else text


def _key(text: str) -> str:
    # Hashed, not cut off and not ignored: cut off, two events may look like one and the second would be lost;
    # ignored, a repeated event would be delivered twice.
    return text if len(text) <= MAX_KEY_CHARS else f"sha256:{sha256(text.encode()).hexdigest()}"
