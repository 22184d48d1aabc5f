"""Fewer and fuller requests: under a steady flow each one costs the broker and its client more than the records do.

Both keep a time between two requests; the first one after a silence leaves at once. aiokafka 0.14 has no such setting:
its least number of bytes makes the last records of a burst wait for the whole `fetch_max_wait`, and its linger makes
every record wait, also one that comes alone.
"""

import asyncio
import time
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer


def pace_fetches(consumer: AIOKafkaConsumer, pace_s: float) -> None:
    """Keeps a time between the fetches of a consumer.

    Args:
        consumer: has been started.
        pace_s: the least time between two fetches.
    """
    fetcher = consumer._fetcher  # noqa: SLF001 - as the module says
    decide = fetcher._get_actions_per_node  # noqa: SLF001 - as above
    next_s = 0.0

    def paced(assignment: Any) -> Any:
        nonlocal next_s
        now_s = time.monotonic()
        if now_s < next_s:
            return [], {}, next_s - now_s, False, []  # before it decides: with 20 partitions that costs as a fetch does
        actions = decide(assignment)
        if actions[0]:
            next_s = now_s + pace_s
        return actions

    fetcher._get_actions_per_node = paced  # noqa: SLF001 - as above


def pace_sends(producer: AIOKafkaProducer, pace_s: float) -> None:
    """Keeps a time between the requests of a producer to each broker.

    Args:
        producer: has been made.
        pace_s: the least time between two requests.
    """
    sender = producer._sender  # noqa: SLF001 - as the module says
    send = sender._send_produce_req  # noqa: SLF001 - as above
    busy = sender._in_flight  # noqa: SLF001 - as above; nothing is sent to a broker that is in there

    async def paced(node_id: int, batches: Any) -> None:
        began_s = time.monotonic()
        await send(node_id, batches)
        rest_s = pace_s - (time.monotonic() - began_s)
        if rest_s > 0:
            busy.add(node_id)
            try:
                await asyncio.sleep(rest_s)
            finally:
                busy.discard(node_id)

    sender._send_produce_req = paced  # noqa: SLF001 - as above
