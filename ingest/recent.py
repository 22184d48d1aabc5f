"""What this process accepted lately, so that a sender can be told that it repeats itself."""

from collections import OrderedDict

from rules.dedup import WINDOW_MS
from schemas.event import Event
from schemas.ids import dedup_hash

MAX_RECENT = 50_000
"""About 8 MB. It is a hint: the dispatch record decides, and knows what every process accepted."""


class RecentIds:
    """Senders' ids of accepted events, the newest of them."""

    def __init__(self) -> None:
        self._accepted_ms: OrderedDict[bytes, int] = OrderedDict()

    def repeats(self, event: Event, key: str) -> bool:
        """Whether an accepted event is known to repeat another; it is known itself from now on."""
        if not event.dedup_id:
            return False
        known = dedup_hash(event.topic_id, event.dedup_id, key.encode())
        first_ms = self._accepted_ms.get(known)
        if first_ms is not None and event.received_ms - first_ms < WINDOW_MS:
            return True
        self._accepted_ms[known] = event.received_ms
        self._accepted_ms.move_to_end(known)
        if len(self._accepted_ms) > MAX_RECENT:
            self._accepted_ms.popitem(last=False)
        return False
