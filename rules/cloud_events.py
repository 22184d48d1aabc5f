"""CloudEvents over HTTP: what a request or a document says of itself, and whether it may call itself so.

Source: CloudEvents 1.0.2, sections 3.1 (required attributes) and "Type System"; HTTP protocol binding 1.0.2,
sections 3.1 (binary), 3.2 (structured) and 3.3 (batched); JSON event format 1.0.2, sections 2 and 4.
"""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

import orjson

from rules.batch import array_items
from rules.request_headers import RequestHeaders
from rules.told import Item, Told

STRUCTURED = "application/cloudevents+json"
BATCHED = "application/cloudevents-batch+json"
SPEC_VERSION = "1.0"

INVALID = "cloudevent_invalid"

_REQUIRED = ("specversion", "id", "source", "type")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')  # RFC 9110, section 5.6.4
_ESCAPED = re.compile(r"\\(.)")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")  # which a String has not: CloudEvents 1.0.2, "Type System"
_BLANK = re.compile(r"\s")  # which a URI-reference has not: RFC 3986


class CloudEventError(ValueError):
    """Refuse the event: it says that it is a CloudEvent, and is none.

    Attributes:
        attribute: the first that is missing or wrong; empty when the whole is no object.
        message: what is wrong with it.
    """

    def __init__(self, attribute: str, message: str) -> None:
        super().__init__(f"CloudEvents attribute {attribute} {message}" if attribute else message)
        self.attribute = attribute
        self.message = message


def media_type_of(content_type: str) -> str:
    """The type and subtype alone, in lower case."""
    return content_type.partition(";")[0].strip().lower()


def told_by_headers(headers: RequestHeaders) -> Told | None:
    """What a CloudEvent in binary mode says of itself; `None` of a request that is none.

    `ce-specversion` or `ce-id` makes it one: a lone `ce-type` is a hint that senders of other forms give as well.

    Raises:
        CloudEventError: a required attribute is missing or wrong.
    """
    if not headers.all("ce-specversion") and not headers.all("ce-id"):
        return None
    return _told({name: _decoded(name, headers.text(f"ce-{name}")) for name in _REQUIRED if headers.all(f"ce-{name}")})


def told_by_document(body: bytes) -> Told:
    """What a CloudEvent in structured mode says of itself.

    Raises:
        CloudEventError: it is no JSON object, or a required attribute is missing or wrong.
    """
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise CloudEventError("", f"the body is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise CloudEventError("", "a CloudEvent is a JSON object")
    return _told(document)


def batched_items(body: bytes) -> list[Item]:
    """The events of a JSON batch; one that may not call itself so has a fault.

    Raises:
        NoBatchError: it is no JSON array.
        TooManyItemsError: there are too many.
    """
    return [_item(item.body) for item in array_items(body)]


def _item(body: bytes) -> Item:
    try:
        return Item(body, told_by_document(body))
    except CloudEventError as error:
        return Item(body, fault=str(error), fault_code=INVALID)


def _told(attributes: Mapping[str, Any]) -> Told:
    for name in _REQUIRED:
        if name not in attributes:
            raise CloudEventError(name, "is missing")
        _require_text(name, attributes[name])
    if attributes["specversion"] != SPEC_VERSION:
        raise CloudEventError("specversion", f"must be {SPEC_VERSION}: no other version is known here")
    if _BLANK.search(attributes["source"]):
        raise CloudEventError("source", "must be a URI-reference (RFC 3986), which has no blanks")
    # An id is unique only within its source: CloudEvents 1.0.2, section 3.1.1.
    return Told(attributes["type"], f"{attributes['source']} {attributes['id']}")


def _require_text(name: str, value: Any) -> None:
    if not isinstance(value, str):
        raise CloudEventError(name, "must be text")
    if not value:
        raise CloudEventError(name, "must not be empty")
    if _CONTROL.search(value):
        raise CloudEventError(name, "must have no control characters")


def _decoded(name: str, value: str) -> str:
    """A header's value as the attribute: out of its quotes, then percent-decoded once (HTTP binding, 3.1.3.2)."""
    quoted = _QUOTED.fullmatch(value)
    text = _ESCAPED.sub(r"\1", quoted[1]) if quoted else value
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError as error:
        raise CloudEventError(name, "is percent-encoded, and the bytes are not UTF-8") from error
