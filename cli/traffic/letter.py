"""What `hooklog send` posts: the body and headers of one event, made as its source would make them."""

import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from rules.verify import Place, signed_headers, verifier_of

Headers = list[tuple[str, str]]


SIGN_THEIR_ID = frozenset({"standard_webhooks", "svix"})
"""Providers whose signature covers the event's id: whoever signs makes it, anew each time."""


class CannotPlaceError(ValueError):
    """The event's type or id has no place in this request; the message says which and why."""


@dataclass(frozen=True, slots=True)
class Sender:
    """How a source proves itself, and where it and its topic look for an event's type and id.

    Args:
        auth_type: of the source.
        auth_config: of the source.
        secrets: what to sign with; none for a source that verifies nothing.
        event_type: the topic's own rule, as the API shows it, or `None`.
        dedup_id: as above.
    """

    auth_type: str
    auth_config: Mapping[str, Any] = field(default_factory=dict)
    secrets: Sequence[str] = ()
    event_type: Mapping[str, Any] | None = None
    dedup_id: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Letter:
    """One event that may be posted many times, signed anew each time.

    Args:
        sender: signs it.
        body: the exact bytes.
        content_type: their media type.
        headers: those of the provider.
        fresh_id: a header that gets a new id each time, or empty.
        own_headers: what the person typed; it replaces whatever has the same name.
        is_signed: whether to sign at all.
    """

    sender: Sender
    body: bytes
    content_type: str
    headers: Sequence[tuple[str, str]] = ()
    fresh_id: str = ""
    own_headers: Sequence[tuple[str, str]] = ()
    is_signed: bool = True

    def unsigned(self) -> "Letter":
        """The same without a signature."""
        return replace(self, is_signed=False)

    def sealed(self, now_s: float | None = None) -> Headers:
        """Return all headers for one request, signed for the time (epoch seconds).

        Raises:
            CannotSignError: nobody can sign as the source demands.
        """
        headers = [("Content-Type", self.content_type), *self.headers]
        if self.fresh_id:
            headers.append((self.fresh_id, str(uuid.uuid4())))
        if self.is_signed:
            sender = self.sender
            at_s = time.time() if now_s is None else now_s
            # Before the others: an id that the signature covers is the signature's.
            headers = _replaced(
                headers,
                signed_headers(
                    sender.auth_type, sender.secrets, sender.auth_config, self.body, at_s, self.content_type
                ),
            )
        return _replaced(headers, self.own_headers)


def compose(
    sender: Sender,
    body: bytes,
    content_type: str,
    *,
    event_type: str = "",
    dedup_id: str = "",
    own_headers: Sequence[tuple[str, str]] = (),
) -> Letter:
    """Write the letter: the type and the id stand where the topic, else the provider, looks for them.

    Raises:
        CannotPlaceError: one of them cannot stand there.
    """
    verifier = verifier_of(sender.auth_type)
    headers: Headers = []
    if event_type:
        place = _place(sender.event_type, verifier.event_type if verifier else None, Place(header="ce-type"))
        if place is None:
            if (sender.event_type or {}).get("const") != event_type:
                raise CannotPlaceError(f"every event of this topic is {(sender.event_type or {}).get('const')}")
        else:
            body, headers = _put(place, event_type, body, headers)
    if dedup_id and sender.auth_type in SIGN_THEIR_ID:
        raise CannotPlaceError(f"the signature of {sender.auth_type} covers the id, so it cannot be chosen")
    id_place = _place(sender.dedup_id, verifier.dedup_id if verifier else None, Place(header="webhook-id"))
    if dedup_id and id_place is not None:
        body, headers = _put(id_place, dedup_id, body, headers)
    provider_id = verifier.dedup_id.header if verifier and verifier.dedup_id else ""
    fresh_id = "" if dedup_id or sender.auth_type in SIGN_THEIR_ID else provider_id
    return Letter(sender, body, content_type, headers, fresh_id, own_headers)


def _place(rule: Mapping[str, Any] | None, provider: Place | None, otherwise: Place) -> Place | None:
    """Where a value stands; `None` when the topic's rule is a constant."""
    if rule:
        found = Place(header=rule.get("header") or "", pointer=rule.get("pointer") or "")
        return found if found.header or found.pointer else None
    return provider or otherwise


def _put(place: Place, value: str, body: bytes, headers: Headers) -> tuple[bytes, Headers]:
    if place.header:
        return body, [*headers, (place.header, value)]
    *path, last = [part.replace("~1", "/").replace("~0", "~") for part in place.pointer.split("/")[1:]]
    try:
        document = parent = orjson.loads(body)
        for part in path:
            parent = parent[part]
        parent[last] = value
    except (orjson.JSONDecodeError, KeyError, TypeError):
        raise CannotPlaceError(f"{value} belongs at {place.pointer} of the body, and there is no such place") from None
    return orjson.dumps(document), headers


def _replaced(headers: Headers, others: Sequence[tuple[str, str]]) -> Headers:
    names = {name.lower() for name, _ in others}
    return [*((name, value) for name, value in headers if name.lower() not in names), *others]
