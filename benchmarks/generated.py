"""Thirty days of a busy gateway, made inside the engine: each row is a function of its number, so that tables agree.

Every event leads to two deliveries, and every fourth delivery needs a second attempt: 8,000,000 deliveries make
10,000,000 attempts. Nothing is random, so the same count at the same time makes the same rows.
"""

from dataclasses import dataclass

from runtime.clickhouse import Client

DAYS = 30
DAY_MS = 86_400_000
TOPICS = 20
SUBSCRIPTIONS = 2_000
EVENT_TYPES = 5
SECOND_AFTER_MS = 5_000
CHUNKS = 30
"""A day in each insert, as far as the order of writing shows in the parts."""

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_TIME_CHARS = ", ".join(
    f"substring('{_CROCKFORD}', 1 + bitAnd(bitShiftRight(received_ms, {shift}), 31), 1)" for shift in range(45, -1, -5)
)

# Of the number of an event: `e`. A ULID begins with its time, in the base32 of Crockford; hex digits are among its own.
_EVENTS = f"""
SELECT e, toUInt64({{first_ms:UInt64}} + intDiv(e * {DAYS * DAY_MS}, {{events:UInt64}})) AS received_ms,
       concat({_TIME_CHARS}, hex(sipHash64(e))) AS event_id, sipHash64(e, 1) % {TOPICS} AS topic,
       concat('topic-', toString(topic)) AS topic_id, concat('source-', toString(topic % 10)) AS source_id,
       concat('type.', toString(sipHash64(e, 2) % {EVENT_TYPES})) AS event_type,
       fromUnixTimestamp64Milli(toInt64(received_ms), 'UTC') AS received_at,
       concat('{{"type":"', event_type, '","number":', toString(e), '}}') AS payload
FROM (SELECT number AS e FROM numbers({{from:UInt64}}, {{count:UInt64}}))
"""  # noqa: S608 - numbers of ours

_DELIVERIES = f"""
SELECT *, 2 * e + k AS d, lower(hex(sipHash128(e, k))) AS delivery_id,
       concat('subscription-', toString(topic + {TOPICS} * ((sipHash64(e, 3) + 37 * k) % {SUBSCRIPTIONS // TOPICS})))
           AS subscription_id,
       d % 4 = 0 AS twice, if(twice, 2, 1) AS made, if(sipHash64(d, 4) % 20 = 0, 'FAILED', 'SUCCESS') AS ended,
       concat('https://', subscription_id, '.example/hook') AS target_url
FROM ({_EVENTS}) ARRAY JOIN [0, 1] AS k
"""  # noqa: S608 - as above

_ATTEMPTS = f"""
SELECT *, attempt, attempt = made AS last, if(last, ended, 'RETRYING') AS status,
       multiIf(status = 'SUCCESS', 200, sipHash64(d, 5) % 3 = 0, 0, 500) AS response_status_code,
       toUInt32(exp(3 + 4 * (sipHash64(d, attempt) % 10000) / 10000)) AS duration_ms,
       fromUnixTimestamp64Milli(toInt64(received_ms + 20 + {SECOND_AFTER_MS} * (attempt - 1)), 'UTC') AS started_at
FROM ({_DELIVERIES}) ARRAY JOIN range(1, toUInt8(made + 1)) AS attempt
"""  # noqa: S608 - as above

_TABLES = {
    "events": (
        _EVENTS,
        {
            "event_id": "event_id",
            "content_type": "'application/json'",
            "received_at": "received_at",
            "payload": "payload",
            "payload_bytes": "length(payload)",
            "_partition": "e % 8",
            "_offset": "intDiv(e, 8)",
        },
    ),
    "dispatches": (
        _EVENTS,
        {
            "event_id": "event_id",
            "received_at": "received_at",
            "appended_at": "received_at",
            "dispatched_at": "received_at + INTERVAL 5 MILLISECOND",
            "event_partition": "e % 8",
            "event_offset": "intDiv(e, 8)",
            "matched": "2",
            "_partition": "e % 8",
            "_offset": "intDiv(e, 8)",
        },
    ),
    "deliveries": (
        _DELIVERIES,
        {
            "delivery_id": "delivery_id",
            "event_id": "event_id",
            "subscription_id": "subscription_id",
            "status": "ended",
            "attempts": "made",
            "last_status_code": "if(ended = 'SUCCESS', 200, 500)",
            "target_url": "target_url",
            "created_at": "received_at",
            "completed_at": "received_at + INTERVAL 1 SECOND",
            "generation": "1",
            # As `delivery_version`, of the states' ranks 4 and 3.
            "_version": "bitShiftLeft(toUInt64(if(ended = 'SUCCESS', 4, 3) * 65536 + made), 44) + d",
            "_partition": "topic % 8",
            "_offset": "d",
        },
    ),
    "attempts": (
        _ATTEMPTS,
        {
            "delivery_id": "delivery_id",
            "event_id": "event_id",
            "subscription_id": "subscription_id",
            "kind": "'attempt'",
            "attempt": "attempt",
            "status": "status",
            "response_status_code": "response_status_code",
            "error": "if(response_status_code = 0, 'connect_timeout', '')",
            "reason": "if(status = 'SUCCESS', '', 'http_500')",
            "target_url": "target_url",
            "received_at": "received_at",
            "started_at": "started_at",
            "duration_ms": "duration_ms",
            "generation": "1",
            "_partition": "topic % 8",
            "_offset": "2 * d + attempt",
        },
    ),
}
"""Table to where its rows come from, and its columns beside those that all have."""

_OF_ALL = {"topic_id": "topic_id", "source_id": "source_id", "event_type": "event_type"}


@dataclass(frozen=True)
class Traffic:
    """What was made.

    Attributes:
        events: how many; there are twice as many deliveries, and two and a half times as many attempts.
        until_ms: just after the last of it, epoch milliseconds.
    """

    events: int
    until_ms: int

    @property
    def attempts(self) -> int:
        """How many attempts there are."""
        return self.events * 5 // 2


def generate(client: Client, attempts: int, until_ms: int) -> Traffic:
    """Fills the tables with the thirty days before `until_ms`; a row counts as written a second after its time.

    Args:
        client: a writing client, of empty tables.
        attempts: how many, a multiple of 10.
        until_ms: epoch milliseconds.
    """
    traffic = Traffic(attempts * 2 // 5, until_ms)
    for chunk in range(CHUNKS):
        first, end = (traffic.events * number // CHUNKS for number in (chunk, chunk + 1))
        for table, (source, own) in _TABLES.items():
            columns = own | _OF_ALL
            time = own.get("started_at", "received_at")
            client.command(
                f"INSERT INTO {table} ({', '.join(columns)}, _ingested_at)"  # noqa: S608 - as above
                f" SELECT {', '.join(columns.values())}, {time} + INTERVAL 1 SECOND FROM ({source})",
                parameters={
                    "first_ms": until_ms - DAYS * DAY_MS,
                    "events": traffic.events,
                    "from": first,
                    "count": end - first,
                },
            )
    return traffic
