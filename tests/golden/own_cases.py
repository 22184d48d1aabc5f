"""As `cases`: the records in which Hooklog remembers what it must not forget."""

from schemas.expired import Expired
from schemas.health import Health
from tests.golden.cases import RECEIVED_MS

HEALTH = {
    "health": Health(subscription_id="billing", version=42, since_ms=1_767_323_045_678, failures=10, warned_percent=75),
}

EXPIRED = {
    "expired": Expired(
        group="processors",
        stream="events",
        partition=3,
        first=17,
        next=59,
        count=42,
        noticed_ms=RECEIVED_MS,
        acknowledged_ms=RECEIVED_MS + 60_000,
    ),
}
