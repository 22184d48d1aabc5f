"""Fewer fetches: what a consumer asks for too often costs the broker and itself more than the records do."""

import time
from typing import Any

from aiokafka import AIOKafkaConsumer


def pace_fetches(consumer: AIOKafkaConsumer, pace_s: float) -> None:
    """Keeps a time between a started consumer's fetches; the first one after a silence leaves at once.

    aiokafka 0.14 asks again as soon as an answer has been read, so records that come one by one cost a request each.
    Its only setting, a least number of bytes, makes the last records of a burst wait for the whole `fetch_max_wait`.

    Args:
        consumer: has been started.
        pace_s: the least time between two fetches.
    """
    fetcher = consumer._fetcher  # noqa: SLF001 - aiokafka has no setting for it
    decide = fetcher._get_actions_per_node  # noqa: SLF001 - as above
    next_s = 0.0

    def paced(assignment: Any) -> Any:
        nonlocal next_s
        fetches, resets, wait_s, stale, resumed = decide(assignment)
        if fetches:
            now_s = time.monotonic()
            if now_s < next_s:
                return [], resets, min(wait_s, next_s - now_s), stale, resumed
            next_s = now_s + pace_s
        return fetches, resets, wait_s, stale, resumed

    fetcher._get_actions_per_node = paced  # noqa: SLF001 - as above
