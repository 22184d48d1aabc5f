"""The demo's own books: what its senders sent, and what its receivers got. They ask the gateway nothing."""

from collections import Counter
from dataclasses import dataclass, field

from cli.demo.cast import Cast, Subscription
from cli.traffic.receiver import Reception, Verdict


@dataclass(frozen=True, slots=True)
class Post:
    """One request and its answer.

    Attributes:
        sha256: of the body.
        forged: whether it was signed with a wrong secret.
        status: of the answer; 0 when none came.
        code: why it was refused, or empty.
        event_id: of a 202.
    """

    topic_id: str
    event_type: str
    sha256: str
    forged: bool
    status: int
    code: str = ""
    event_id: str = ""


@dataclass(slots=True)
class Books:
    """Everything, in the order in which it happened."""

    cast: Cast
    posts: list[Post] = field(default_factory=list)
    receptions: list[Reception] = field(default_factory=list)

    @property
    def accepted(self) -> list[Post]:
        """Posts that were answered with an event's id."""
        return [post for post in self.posts if post.event_id]

    @property
    def refused(self) -> list[Post]:
        """Posts that were answered, but with no event's id."""
        return [post for post in self.posts if post.status and not post.event_id]

    @property
    def forged(self) -> int:
        """Posts with a wrong signature."""
        return sum(post.forged for post in self.posts)

    def wanted(self, subscription: Subscription) -> set[tuple[str, str]]:
        """(event id, SHA-256 of the body) of everything that a subscription is to get."""
        return {
            (post.event_id, post.sha256) for post in self.accepted if subscription.wants(post.topic_id, post.event_type)
        }

    def got(self, subscription: Subscription) -> list[Reception]:
        """What arrived for a subscription."""
        return [reception for reception in self.receptions if reception.path == subscription.path]

    def taken(self, subscription: Subscription) -> set[tuple[str, str]]:
        """As `wanted`, of what arrived and was answered with success."""
        return {(one.webhook_id, one.sha256) for one in self.got(subscription) if one.answered < 300}  # noqa: PLR2004

    @property
    def matches(self) -> int:
        """Deliveries that there must be."""
        return sum(len(self.wanted(subscription)) for subscription in self.cast.subscriptions)

    @property
    def verdicts(self) -> Counter[Verdict]:
        """What the receivers' own verification said."""
        return Counter(reception.verdict for reception in self.receptions)
