"""The request of a delivery: the exact bytes received, and the headers that a receiver verifies it by."""

from collections.abc import Sequence
from importlib.metadata import version

from rules.sign import standard_headers
from schemas.config import SubscriptionSpec
from schemas.delivery import Delivery

USER_AGENT = f"Hooklog/{version('hooklog')}"
WEBHOOK_VERSION = "1.0"


def headers_of(delivery: Delivery, subscription: SubscriptionSpec, now_s: int) -> list[tuple[str, str]]:
    """Standard Webhooks headers, then Hooklog's, then the subscription's own.

    Args:
        delivery: what is delivered.
        subscription: how, as it is now.
        now_s: epoch seconds: the time that is signed.
    """
    secrets: Sequence[str] = subscription.all_secrets if subscription.signing == "standard" else ()
    headers = [
        ("content-type", delivery.content_type or "application/octet-stream"),
        ("user-agent", USER_AGENT),
        ("accept-encoding", "identity"),  # what comes back is stored as it comes
        *standard_headers(secrets, delivery.webhook_id or delivery.event_id, now_s, delivery.body),
        ("x-webhook-version", WEBHOOK_VERSION),
    ]
    if delivery.attempt > 1:
        headers.append(("x-retry-attempt", str(delivery.attempt - 1)))
    if delivery.traceparent:
        headers.append(("traceparent", delivery.traceparent))
    return headers + list(subscription.headers.items())
