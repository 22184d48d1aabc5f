"""Who plays: two senders, three receivers, and the subscriptions between them."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from cli.traffic.receiver import Behaviour

SECRET_BYTES = 16
RETRY_DELAYS_S = (1, 2, 3)
"""The first retries of an impatient subscription: the demo has no hours to wait."""

DEAD_DELAYS_S = (1, 2)
"""Three attempts, and then a dead letter."""


@dataclass(frozen=True, slots=True)
class Sender:
    """One provider: how it signs, and the topic that its events are posted to."""

    auth_type: str
    topic: str
    secret: str


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One kind of receiver.

    Attributes:
        does: its answers to each event in turn, for people.
        fail_first: so many deliveries of each event are refused.
        status: what is answered after that.
        delays_s: the retry schedule of its subscriptions.
    """

    name: str
    does: str
    fail_first: int
    status: int
    delays_s: Sequence[int]

    def behaviour(self, secret: str) -> Behaviour:
        """How it answers, verifying with a subscription's secret."""
        return Behaviour(secret=secret, status=self.status, fail_first=self.fail_first, fail_status=503)

    @property
    def takes(self) -> bool:
        """Whether it takes every event in the end."""
        return self.status == 200  # noqa: PLR2004 - RFC 9110


HEALTHY = Endpoint("healthy", "200", 0, 200, RETRY_DELAYS_S)
FLAKY = Endpoint("flaky", "503, 503, 200", 2, 200, RETRY_DELAYS_S)
DEAD = Endpoint("dead", "500", 0, 500, DEAD_DELAYS_S)
ENDPOINTS = (HEALTHY, FLAKY, DEAD)


@dataclass(frozen=True, slots=True)
class Subscription:
    """One endpoint's subscription to one topic; `event_type` empty is every type."""

    id: str
    topic_id: str
    endpoint: Endpoint
    event_type: str = ""

    @property
    def path(self) -> str:
        """Where its deliveries arrive."""
        return f"/{self.id}"

    def wants(self, topic_id: str, event_type: str) -> bool:
        """Whether an event is for it, by the demo's own reading."""
        return self.topic_id == topic_id and self.event_type in {"", event_type}


@dataclass(frozen=True, slots=True)
class Cast:
    """All of them.

    Args:
        prefix: before every id, so that a gateway that is in use keeps its own; empty in one that is the demo's.
    """

    prefix: str = ""
    senders: Sequence[Sender] = field(default_factory=lambda: tuple(senders()))

    def topic_id(self, sender: Sender) -> str:
        """The id of a sender's topic."""
        return self.prefix + sender.topic

    def source_id(self, sender: Sender) -> str:
        """The id of a sender's source."""
        return self.prefix + sender.auth_type

    @property
    def topic_ids(self) -> list[str]:
        """The ids of all topics."""
        return [self.topic_id(sender) for sender in self.senders]

    @property
    def subscriptions(self) -> list[Subscription]:
        """Every endpoint with every topic; the healthy one wants only pushes of GitHub's, so that some are skipped."""
        return [
            Subscription(
                f"{self.prefix}{endpoint.name}-{sender.topic}",
                self.topic_id(sender),
                endpoint,
                "push" if endpoint is HEALTHY and sender.auth_type == "github" else "",
            )
            for endpoint in ENDPOINTS
            for sender in self.senders
        ]

    def records(self, base_url: str) -> list[tuple[str, dict[str, Any]]]:
        """The configuration to create, as (kind, document), in this order; to be deleted in the other."""
        sources = [
            ("sources", {"id": self.source_id(sender), "auth_type": sender.auth_type, "secret": sender.secret})
            for sender in self.senders
        ]
        topics = [
            ("topics", {"id": self.topic_id(sender), "source_id": self.source_id(sender)}) for sender in self.senders
        ]
        return sources + topics + [("subscriptions", _document(one, base_url)) for one in self.subscriptions]


def _document(subscription: Subscription, base_url: str) -> dict[str, Any]:
    return {
        "id": subscription.id,
        "topic_id": subscription.topic_id,
        "target_url": base_url + subscription.path,
        "event_types": [subscription.event_type] if subscription.event_type else [],
        "retry": {"delays_s": list(subscription.endpoint.delays_s)},
        "circuit_breaker": False,  # every event's attempts are shown and counted, also at a dead endpoint
    }


def senders() -> list[Sender]:
    """GitHub and Stripe, each with a secret of this run."""
    return [
        Sender("github", "pushes", secrets.token_hex(SECRET_BYTES)),
        Sender("stripe", "payments", f"whsec_{secrets.token_hex(SECRET_BYTES)}"),
    ]
