"""A flood: as many deliveries for one subscription as it takes, straight into the stream of what is due."""

import time
from typing import Any

from rules.ladder import Ladder
from runtime.kafka import Appender, Outgoing
from schemas.delivery import Delivery, encode_delivery
from schemas.streams import DELIVERIES, RETRY_TIERS, StreamNames

CHUNK = 2_000


async def flood(
    bootstrap: str, subscription: dict[str, Any], count: int, body: bytes = b"{}", *, retried_in_s: int = 0
) -> None:
    """Appends `count` deliveries, as dispatch would, or as deliver does with those that failed once.

    Args:
        bootstrap: `host:port`.
        subscription: as the API shows it.
        count: how many.
        body: of each.
        retried_in_s: when their second attempt is due; 0 is the first one, now.
    """
    stream = Ladder(RETRY_TIERS).next_tier(retried_in_s * 1_000) or DELIVERIES
    appender = Appender(bootstrap, StreamNames("hooklog."), pace_s=0.005)
    await appender.start()
    key = subscription["id"].encode()
    for first in range(0, count, CHUNK):
        items = [_delivery(subscription, number, body) for number in range(first, min(first + CHUNK, count))]
        if retried_in_s:
            due_ms = time.time_ns() // 1_000_000 + retried_in_s * 1_000
            items = [item.next_attempt(due_ms, "http_503") for item in items]
        await appender.append_all([Outgoing(stream, body, key, encode_delivery(item)) for item in items])
    await appender.stop()


def _delivery(subscription: dict[str, Any], number: int, body: bytes) -> Delivery:
    return Delivery(
        delivery_id=f"{subscription['id']}-{number}",
        event_id=f"flood-{number}",
        subscription_id=subscription["id"],
        topic_id=subscription["topic_id"],
        source_id="flood",
        event_type="push",
        generation=subscription["generation"],
        config_version=subscription["version"],
        received_ms=time.time_ns() // 1_000_000,
        body=body,
        content_type="application/json",
    )
