"""The HTTP client of deliveries: checks the address that it really connects to, follows nothing, reads little."""

import asyncio
import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from processors.deliver.connection import NoAnswerError, Reply, StaleConnectionError
from processors.deliver.connections import Connections
from processors.deliver.resolver import Resolver
from processors.deliver.target import request_of, target_of
from rules.addresses import AddressPolicy
from rules.retry import Answer


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and what came back.

    Attributes:
        answer: the status, or the error.
        body: the beginning of the answer's body, as text.
        started_ms: epoch milliseconds.
        duration_ms: from the start to the end of the answer.
    """

    answer: Answer
    body: str
    started_ms: int
    duration_ms: int


class Egress:
    """Makes requests.

    Args:
        policy: which addresses may be reached.
        now_ms: the clock, epoch milliseconds.
        tls: how certificates are verified, when not by the system's authorities.
    """

    def __init__(self, policy: AddressPolicy, now_ms: Callable[[], int], tls: ssl.SSLContext | None = None) -> None:
        self._policy = policy
        self._now_ms = now_ms
        self._tls = tls
        self._resolver: Resolver | None = None
        self._connections: Connections | None = None

    async def start(self) -> None:
        """Begins; must run in the loop that delivers."""
        self._resolver = Resolver(self._policy)
        self._connections = Connections(self._resolver, self._tls or ssl.create_default_context())

    async def stop(self) -> None:
        """Closes every kept connection."""
        if self._connections is not None:
            self._connections.close()
        if self._resolver is not None:
            self._resolver.close()

    async def post(self, url: str, headers: Sequence[tuple[str, str]], body: bytes, timeout_s: float) -> Exchange:
        """Posts once and never raises for what the endpoint or the network does."""
        started_ms, started = self._now_ms(), time.perf_counter()
        try:
            reply = await self._twice_at_most(url, headers, body, timeout_s)
        except NoAnswerError as error:
            answer, text = Answer(error=str(error)), ""
        except Exception as error:  # noqa: BLE001 - whatever an endpoint does must end in a recorded outcome
            answer, text = Answer(error=type(error).__name__), ""
        else:
            answer = Answer(status_code=reply.status, retry_after=reply.retry_after)
            text = reply.body.decode(errors="replace").replace("\0", "�")
        return Exchange(answer, text, started_ms, round((time.perf_counter() - started) * 1_000))

    async def _twice_at_most(
        self, url: str, headers: Sequence[tuple[str, str]], body: bytes, timeout_s: float
    ) -> Reply:
        if self._connections is None:
            raise NoAnswerError("not_started")
        deadline_s = asyncio.get_running_loop().time() + timeout_s
        target = target_of(url)
        raw = request_of(target, headers, body)
        kept = self._connections.kept(target)
        if kept is not None:
            try:
                return await kept.request(raw, deadline_s)
            except StaleConnectionError:
                pass  # the server had closed it meanwhile (RFC 9112, section 9.3.1): nothing was answered
        connection = await self._connections.new(target, deadline_s)
        return await connection.request(raw, deadline_s)
