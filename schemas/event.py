"""An accepted request: the raw body is the record's value, byte for byte; everything else is in headers."""

import msgspec

from schemas.headers import SPEC_VERSION, Headers, epoch_ms, first_values, headers_in, headers_text, required, rfc3339

_KNOWN = {
    "ce_specversion",
    "ce_id",
    "ce_source",
    "ce_type",
    "ce_time",
    "content-type",
    "traceparent",
    "hl-topic",
    "hl-dedup-id",
    "hl-source-ip",
    "hl-schema-fault",
    "hl-request-headers",
}


class Event(msgspec.Struct, frozen=True):
    """One accepted request.

    Attributes:
        received_ms: epoch milliseconds at which ingest had read it.
        dedup_id: the sender's own id of it, or empty.
        schema_fault: where the body is not as the schema of its type says, and how; empty where it is or none says.
        request_headers: name and value pairs as received, credentials redacted.
        extra: headers of the record that Hooklog does not know; they are kept.
    """

    event_id: str
    topic_id: str
    source_id: str
    event_type: str
    received_ms: int
    body: bytes
    content_type: str = ""
    source_ip: str = ""
    dedup_id: str = ""
    traceparent: str = ""
    schema_fault: str = ""
    request_headers: tuple[tuple[str, str], ...] = ()
    extra: tuple[tuple[str, bytes], ...] = ()


def encode_event(event: Event) -> list[tuple[str, bytes]]:
    """The headers of an event's record; its value is `event.body` as it is."""
    headers = [
        ("ce_specversion", SPEC_VERSION),
        ("ce_id", event.event_id.encode()),
        ("ce_source", event.source_id.encode()),
        ("ce_type", event.event_type.encode()),
        ("ce_time", rfc3339(event.received_ms).encode()),
        ("content-type", event.content_type.encode()),
        ("hl-topic", event.topic_id.encode()),
        ("hl-source-ip", event.source_ip.encode()),
        ("hl-request-headers", headers_text(event.request_headers).encode()),
    ]
    if event.dedup_id:
        headers.append(("hl-dedup-id", event.dedup_id.encode()))
    if event.schema_fault:
        headers.append(("hl-schema-fault", event.schema_fault.encode()))
    if event.traceparent:
        headers.append(("traceparent", event.traceparent.encode()))
    return headers + list(event.extra)


def decode_event(value: bytes | None, headers: Headers) -> Event:
    """The event in a record.

    Raises:
        MalformedRecordError: a header is missing or cannot be read.
    """
    values = first_values(headers)
    return Event(
        event_id=required(values, "ce_id"),
        topic_id=required(values, "hl-topic"),
        source_id=required(values, "ce_source"),
        event_type=required(values, "ce_type"),
        received_ms=epoch_ms(required(values, "ce_time")),
        body=value or b"",
        content_type=values.get("content-type", ""),
        source_ip=values.get("hl-source-ip", ""),
        dedup_id=values.get("hl-dedup-id", ""),
        traceparent=values.get("traceparent", ""),
        schema_fault=values.get("hl-schema-fault", ""),
        request_headers=headers_in(values.get("hl-request-headers", "[]")),
        extra=tuple((name, raw) for name, raw in headers if name not in _KNOWN),
    )
