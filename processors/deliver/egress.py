"""The HTTP client of deliveries: checks the address that it really connects to, follows nothing, reads little."""

import asyncio
import ssl
import time
from collections.abc import Callable, Sequence

import msgspec

from processors.deliver.connection import NoAnswerError, Reply, StaleConnectionError
from processors.deliver.connections import MAX_AGE_S, Connections
from processors.deliver.resolver import Resolver
from processors.deliver.target import request_of, target_of
from processors.deliver.tls import TlsContexts
from rules.addresses import AddressPolicy
from rules.retry import Answer
from schemas.tls import TlsSpec


class Exchange(msgspec.Struct, frozen=True):
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
        dns: name servers, `address` or `address:port`, instead of the system's.
        authorities: how certificates are verified, when not by the system's authorities.
        max_age_s: how long a connection is used at most.
    """

    def __init__(
        self,
        policy: AddressPolicy,
        now_ms: Callable[[], int],
        dns: Sequence[str] = (),
        authorities: ssl.SSLContext | None = None,
        max_age_s: float = MAX_AGE_S,
    ) -> None:
        self._policy = policy
        self._now_ms = now_ms
        self._dns = dns
        self._authorities = authorities
        self._max_age_s = max_age_s
        self._resolver: Resolver | None = None
        self._connections: Connections | None = None

    async def start(self) -> None:
        """Begins; must run in the loop that delivers."""
        self._resolver = Resolver(self._policy, self._dns)
        contexts = TlsContexts(self._authorities or ssl.create_default_context())
        self._connections = Connections(self._resolver, contexts, self._max_age_s)

    async def stop(self) -> None:
        """Closes every kept connection."""
        if self._connections is not None:
            self._connections.close()
        if self._resolver is not None:
            await self._resolver.close()

    async def post(
        self,
        url: str,
        headers: Sequence[tuple[str, str]],
        body: bytes,
        timeout_s: float,
        settings: TlsSpec | None = None,
    ) -> Exchange:
        """Posts once and never raises for what the endpoint or the network does.

        Args:
            url: where to.
            headers: all of them but `Host` and `Content-Length`.
            body: as it is.
            timeout_s: from DNS to the last byte.
            settings: TLS as the subscription wants it.
        """
        started_ms, started = self._now_ms(), time.perf_counter()
        try:
            reply = await self._twice_at_most(url, headers, body, timeout_s, settings)
        except NoAnswerError as error:
            answer, text = Answer(error=str(error)), ""
        except Exception as error:  # noqa: BLE001 - whatever an endpoint does must end in a recorded outcome
            answer, text = Answer(error=type(error).__name__), ""
        else:
            answer = Answer(status_code=reply.status, retry_after=reply.retry_after)
            text = reply.body.decode(errors="replace").replace("\0", "�")
        return Exchange(answer, text, started_ms, round((time.perf_counter() - started) * 1_000))

    async def _twice_at_most(
        self,
        url: str,
        headers: Sequence[tuple[str, str]],
        body: bytes,
        timeout_s: float,
        settings: TlsSpec | None,
    ) -> Reply:
        if self._connections is None:
            raise NoAnswerError("not_started")
        deadline_s = asyncio.get_running_loop().time() + timeout_s
        target = target_of(url)
        raw = request_of(target, headers, body)
        kept = self._connections.kept(target, settings)
        if kept is not None:
            try:
                return await kept.request(raw, deadline_s)
            except StaleConnectionError:
                pass  # the server had closed it meanwhile (RFC 9112, section 9.3.1): nothing was answered
        connection = await self._connections.new(target, settings, deadline_s)
        return await connection.request(raw, deadline_s)
