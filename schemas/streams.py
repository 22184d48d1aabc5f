"""Every Kafka topic of Hooklog, in one table.

A Kafka topic is a "stream" here, because "topic" is Hooklog's word for a named stream of events of one source.
Everything that creates, reads or writes a stream takes its name and settings from this table.
"""

from dataclasses import dataclass

DAY_MS = 86_400_000

MAX_RECORD_BYTES = 2_097_152
"""2 MiB: a body of the largest allowed size (1.9 MB) with its headers."""

MAX_INTAKE_BYTES = 2_621_440
"""2.5 MiB: intake takes what anybody produces, so that too large a record is refused with a reason, not unseen."""

CONFIG_KINDS = ("sources", "topics", "subscriptions", "keys")


@dataclass(frozen=True, slots=True)
class Stream:
    """One Kafka topic.

    Attributes:
        name: the name without the prefix.
        retention_ms: how long records are kept; `None` for compacted streams.
        single: one partition, because the order over all keys matters.
        delay_s: the constant delay of a retry or park stream, else 0.
        max_record_bytes: the largest record batch that the broker takes.
    """

    name: str
    retention_ms: int | None
    single: bool = False
    delay_s: int = 0
    max_record_bytes: int = MAX_RECORD_BYTES

    @property
    def compacted(self) -> bool:
        """Whether only the newest record of a key is kept."""
        return self.retention_ms is None

    def settings(self) -> dict[str, str]:
        """The Kafka topic configuration of this stream."""
        config = {
            "message.timestamp.type": "LogAppendTime",
            "max.message.bytes": str(self.max_record_bytes),
        }
        if self.compacted:
            # A tombstone outlives the intake record that made it, so a replay of the intake always meets it.
            return config | {"cleanup.policy": "compact", "delete.retention.ms": str(8 * DAY_MS)}
        return config | {"cleanup.policy": "delete", "retention.ms": str(self.retention_ms)}


EVENTS = Stream("events", 30 * DAY_MS)
REJECTIONS = Stream("rejections", 7 * DAY_MS)
DISPATCHES = Stream("dispatches", 30 * DAY_MS)
DELIVERIES = Stream("deliveries", 7 * DAY_MS)
ATTEMPTS = Stream("attempts", 30 * DAY_MS)
DEAD = Stream("dead", 30 * DAY_MS)
REPLAYS = Stream("replays", 30 * DAY_MS)
OPERATIONS = Stream("operations", 30 * DAY_MS)
OUTCOMES = Stream("config.outcomes", 30 * DAY_MS, single=True)

INTAKE = {
    kind: Stream(f"config.{kind}", 7 * DAY_MS, single=True, max_record_bytes=MAX_INTAKE_BYTES) for kind in CONFIG_KINDS
}
TABLES = {kind: Stream(f"tables.{kind}", None, single=True) for kind in CONFIG_KINDS}
HEALTH = Stream("tables.health", None)
"""Since when a subscription only fails, in the partition of its deliveries: their owner alone writes there."""

EXPIRED = Stream("tables.expired", None, single=True)
"""What groups of consumers have missed; every service reads it, and whoever notices writes."""

RETRY_TIERS = tuple(
    Stream(f"retry.{label}", 8 * DAY_MS, delay_s=delay_s)
    for label, delay_s in (
        ("1s", 1),
        ("5s", 5),
        ("30s", 30),
        ("2m", 120),
        ("10m", 600),
        ("1h", 3_600),
        ("6h", 21_600),
        ("24h", 86_400),
    )
)
PARK_TIERS = tuple(
    Stream(f"park.{label}", 8 * DAY_MS, delay_s=delay_s) for label, delay_s in (("5s", 5), ("2m", 120), ("1h", 3_600))
)
"""Where a delivery waits that has no place in flight now: no attempt is used up, and nobody's retry is delayed."""

ALL_STREAMS = (
    *INTAKE.values(),
    *TABLES.values(),
    HEALTH,
    EXPIRED,
    OUTCOMES,
    EVENTS,
    REJECTIONS,
    DISPATCHES,
    DELIVERIES,
    *RETRY_TIERS,
    *PARK_TIERS,
    ATTEMPTS,
    DEAD,
    REPLAYS,
    OPERATIONS,
)


@dataclass(frozen=True, slots=True)
class StreamNames:
    """Turns streams into Kafka topic names under one prefix."""

    prefix: str

    def __call__(self, stream: Stream) -> str:
        """The Kafka topic of a stream, such as `hooklog.events`."""
        return self.prefix + stream.name
