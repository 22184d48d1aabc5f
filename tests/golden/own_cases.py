"""As `cases`: the records in which Hooklog remembers what it must not forget."""

from schemas.expired import Expired
from schemas.health import Health
from schemas.key import KeySpec
from schemas.stored import Record
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

KEYS = {
    "table_key": Record(
        spec=KeySpec(
            id="01JGKC6Y3XSPA7QZ0N8M4T5R2V",
            name="ci",
            role="editor",
            hash="9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
            expires_at="2027-01-02T03:04:05.000Z",
        ),
        version=42,
        generation=17,
        created_at="2026-01-02T03:04:05.678Z",
        updated_at="2026-01-03T03:04:05.678Z",
    ),
}
