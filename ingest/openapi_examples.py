"""Example records of the OpenAPI document; the answers are made of the requests by the code that makes real ones."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from schemas.config import SPECS, SourceSpec, SubscriptionSpec, TopicSpec
from schemas.stored import Record, masked

Document = dict[str, Any]

REQUESTS: Mapping[str, Document] = MappingProxyType(
    {
        SourceSpec.kind: {
            "id": "shop",
            "name": "The shop",
            "auth_type": "hmac",
            "secret": "a-secret-of-both-sides",
            "auth_config": {"header": "X-Shop-Signature"},
        },
        TopicSpec.kind: {
            "id": "orders",
            "source_id": "shop",
            "name": "Orders",
            "event_type": {"pointer": "/type"},
            "ordering_key": {"pointer": "/order/id"},
        },
        SubscriptionSpec.kind: {
            "id": "billing",
            "topic_id": "orders",
            "subscriber_name": "Billing",
            "target_url": "https://billing.example.com/hooks",
            "event_types": ["order.*"],
            "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",  # of the Standard Webhooks specification
            "retry": {"delays_s": [5, 300, 1800]},
        },
    }
)
"""What is posted, by kind."""

PATCHES: Mapping[str, Document] = MappingProxyType(
    {
        SourceSpec.kind: {
            "name": "The new shop",
            "max_body_bytes": 65_536,
            "rate_limit": {"per_second": 50, "burst": 100},
            "allowed_ips": ["192.0.2.0/24", "2001:db8::17"],
        },
        TopicSpec.kind: {"description": "All that happens to an order", "ordering_key": None},
        SubscriptionSpec.kind: {"is_active": False, "headers": {"X-Team": "billing"}, "retry": None},
    }
)
"""Merge patches, by kind; `null` sets back to the default."""


def shown(kind: str) -> Document:
    """The example as GET answers it."""
    spec = SPECS[kind].model_validate(REQUESTS[kind])
    created_at = "2026-01-02T03:04:05.678Z"
    return masked(Record(spec=spec, version=17, generation=17, created_at=created_at, updated_at=created_at))


def created(kind: str) -> Document:
    """The example as the 201 answers it: the secret in the clear."""
    return shown(kind) | {name: REQUESTS[kind][name] for name in ("secret",) if name in REQUESTS[kind]}


def dangling() -> Document:
    """A topic whose source is not there."""
    message = "there is no source shop; it takes effect when there is one"
    warning = {"field": "source_id", "code": "dangling_reference", "message": message}
    return shown(TopicSpec.kind) | {"warnings": [warning]}
