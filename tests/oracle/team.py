"""What teams do before events flow: sources, topics and subscriptions, over REST."""

import itertools
from dataclasses import dataclass, field
from typing import Any

from tests.oracle.stack import Stack

SECRET = "it's a secret to everybody"


@dataclass
class Team:
    """Makes what a test needs, under names that no other test of the stack uses.

    Args:
        stack: where.
    """

    stack: Stack
    _numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    def name(self, what: str) -> str:
        """A new id."""
        return f"{what}-{next(self._numbers)}"

    async def github_topic(self, **source: Any) -> str:
        """A topic whose source is verified as GitHub is; its id."""
        return await self.topic(auth_type="github", secret=SECRET, **source)

    async def topic(self, **source: Any) -> str:
        """A topic with a source of its own; its id."""
        source_id, topic_id = self.name("source"), self.name("topic")
        await self.stack.admin("POST", "/api/v1/sources", {"id": source_id, **source})
        await self.stack.admin("POST", "/api/v1/topics", {"id": topic_id, "source_id": source_id})
        return topic_id

    async def subscribe(self, topic_id: str, target_url: str, port: int = 0, **fields: Any) -> dict[str, Any]:
        """A subscription, as the 201 shows it, secret included."""
        document = {"id": self.name("sub"), "topic_id": topic_id, "target_url": target_url, **fields}
        created: dict[str, Any] = await self.stack.admin("POST", "/api/v1/subscriptions", document, port)
        return created
