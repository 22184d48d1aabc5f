"""One request on its way to becoming an event."""

import time
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from starlette.types import Receive, Scope

from ingest.body import BodyBudget, BodyReader, nothing
from ingest.exchange import READY_BODY
from ingest.redact import kept_headers
from ingest.source_rules import SourceRules
from rules.admission import allowance
from rules.request_headers import RequestHeaders

MAX_CONTENT_TYPE_CHARS = 256
"""A media type with its parameters; RFC 6838 allows 127 characters for each half of the type alone."""


@dataclass(slots=True)
class Reception:
    """What is known of a request so far.

    Attributes:
        topic_id: as the URL says; of a URL that names a source, empty until the topic is chosen.
        is_batch: whether the URL says that the body holds several events.
        wanted_source: the source that the URL names instead of a topic, else empty.
        path: of the URL, as received.
        query: of the URL, as received, without the question mark.
        source_ip: the peer's address; headers can be forged.
        started_s: `time.perf_counter` when its headers were there.
        source_id: whose rules apply; empty until the topic is found.
        credentials: lower-cased names of the headers that its provider says hold credentials; `None` while nobody
            knows whose rules apply.
        prompt_answer: what the sender must hear whatever comes of its request, made of the beginning of the body; while
            nobody knows whose rules apply, an admission review is allowed.
        secrets: of the source; of all whose rules applied.
        is_trial: made by Hooklog for somebody who may change the source: from whatever address they ask.
        quota: response headers that tell the sender what is left of its rate limit.
    """

    topic_id: str
    headers: RequestHeaders
    source_ip: str
    body: BodyReader
    is_batch: bool = False
    wanted_source: str = ""
    path: bytes = b""
    query: bytes = b""
    started_s: float = field(default_factory=time.perf_counter)
    source_id: str = ""
    credentials: AbstractSet[str] | None = None
    prompt_answer: Callable[[bytes], bytes | None] = allowance
    secrets: tuple[str, ...] = field(default=(), repr=False)
    is_trial: bool = False
    quota: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, scope: Scope, receive: Receive, budget: BodyBudget) -> "Reception":
        """The request of an ASGI scope whose route has a `topic_id` or a `source_id`."""
        params = scope["path_params"]
        headers = RequestHeaders(scope["headers"])
        client = scope.get("client")
        return cls(
            topic_id=params.get("topic_id", ""),
            is_batch="batch" in params,
            wanted_source=params.get("source_id", ""),
            headers=headers,
            source_ip=client[0] if client else "",
            body=BodyReader(receive, headers, budget, take_ready=scope.get(READY_BODY, nothing)),
            path=scope.get("raw_path") or scope["path"].encode(),
            query=scope.get("query_string", b""),
        )

    def at_source(self, rules: SourceRules) -> None:
        """Notes whose rules apply; what held a credential by the rules noted before is still taken for one."""
        self.source_id = rules.spec.id
        self.prompt_answer = rules.verifier.prompt_answer
        self.credentials = rules.credentials | (self.credentials or frozenset())
        self.secrets += rules.secrets

    @property
    def content_type(self) -> str:
        """The `Content-Type`, as sent."""
        return self.headers.text("content-type")

    def kept_headers(self) -> tuple[tuple[str, str], ...]:
        """The headers that may be stored."""
        return kept_headers(self.headers, self.credentials, self.secrets)

    def elapsed_s(self) -> float:
        """Seconds since its headers were there."""
        return time.perf_counter() - self.started_s
