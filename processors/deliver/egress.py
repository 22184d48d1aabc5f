"""The HTTP client of deliveries: checks the address that it really connects to, follows nothing, reads little."""

import asyncio
import socket
import time
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

from rules.addresses import AddressPolicy
from rules.retry import Answer

MAX_STORED_BYTES = 4_096
"""Of an answer's body: enough to see what an endpoint complained about."""

MAX_READ_BYTES = 65_536
"""An answer up to here is read to its end, so that its connection can be used again; beyond it is cut off."""

CONNECT_TIMEOUT_S = 5.0
KEEPALIVE_S = 4.0
"""Below the five seconds after which common servers close an idle connection, so that we close it first."""


_reused: ContextVar[list[bool]] = ContextVar("hooklog_reused_connection")
"""One flag for each request: whether it went over a connection that had been used before."""


class AddressRefusedError(OSError):
    """The target's address is one that deliveries may not reach."""


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
    """

    def __init__(self, policy: AddressPolicy, now_ms: Callable[[], int]) -> None:
        self._policy = policy
        self._now_ms = now_ms
        self._transport: AiohttpTransport | None = None

    async def start(self) -> None:
        """Opens the client; must run in the loop that delivers."""
        connector = aiohttp.TCPConnector(
            limit=0,  # the lanes limit
            keepalive_timeout=KEEPALIVE_S,
            ttl_dns_cache=30,
            socket_factory=self._socket,
        )
        session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
            trust_env=False,
            trace_configs=[_noting_reuse()],
        )
        self._transport = AiohttpTransport(client=session)

    async def stop(self) -> None:
        """Closes every connection."""
        if self._transport is not None:
            await self._transport.aclose()

    async def post(self, url: str, headers: Sequence[tuple[str, str]], body: bytes, timeout_s: float) -> Exchange:
        """Posts once and never raises for what the endpoint or the network does."""
        started_ms, started = self._now_ms(), time.perf_counter()
        answer, text = await self._exchange(url, headers, body, timeout_s)
        return Exchange(answer, text, started_ms, round((time.perf_counter() - started) * 1_000))

    async def _exchange(
        self, url: str, headers: Sequence[tuple[str, str]], body: bytes, timeout_s: float
    ) -> tuple[Answer, str]:
        try:
            async with asyncio.timeout(timeout_s):
                return await self._twice_at_most(_request(url, headers, body, timeout_s))
        except TimeoutError:
            return Answer(error="timeout"), ""
        except Exception as error:  # noqa: BLE001 - whatever an endpoint does must end in a recorded outcome
            return Answer(error=_name(error)), ""

    async def _twice_at_most(self, request: httpx.Request) -> tuple[Answer, str]:
        reused = [False]
        _reused.set(reused)
        try:
            return await self._once(request)
        except httpx.TransportError as error:
            if not reused[0] or not isinstance(error.__cause__, aiohttp.ServerDisconnectedError):
                raise
            # A kept connection that the server had closed meanwhile (RFC 9112, section 9.3.1): nothing was answered.
            return await self._once(request)

    async def _once(self, request: httpx.Request) -> tuple[Answer, str]:
        if self._transport is None:
            raise OSError("the client has not started")
        response = await self._transport.handle_async_request(request)
        try:
            retry_after = response.headers.get("retry-after", "")
            return Answer(status_code=response.status_code, retry_after=retry_after), await _beginning(response)
        finally:
            await response.aclose()

    def _socket(self, address: Any) -> socket.socket:
        # Called for each address that is about to be connected to, after DNS: a name cannot change its mind here.
        family, kind, protocol, _, sockaddr = address
        if not self._policy.permits(sockaddr[0]):
            raise AddressRefusedError(f"{sockaddr[0]} is not an address that deliveries may reach")
        return socket.socket(family, kind, protocol)


def _noting_reuse() -> aiohttp.TraceConfig:
    async def reused(*_: Any) -> None:
        _reused.get()[0] = True

    trace = aiohttp.TraceConfig()
    trace.on_connection_reuseconn.append(reused)
    return trace


def _request(url: str, headers: Sequence[tuple[str, str]], body: bytes, timeout_s: float) -> httpx.Request:
    # Latin-1, as HTTP/1.1 carries any byte: a sender's odd content type must not make an event undeliverable.
    raw = [(name.encode("latin-1", "replace"), value.encode("latin-1", "replace")) for name, value in headers]
    connect_s = min(CONNECT_TIMEOUT_S, timeout_s)
    return httpx.Request("POST", _url(url), headers=raw, content=body, extensions={"timeout": {"connect": connect_s}})


@lru_cache(maxsize=4_096)  # endpoints are few and their URLs cost a tenth of a request to parse
def _url(text: str) -> httpx.URL:
    return httpx.URL(text)


async def _beginning(response: httpx.Response) -> str:
    kept, read = bytearray(), 0
    async for chunk in response.aiter_raw():
        kept += chunk[: MAX_STORED_BYTES - len(kept)]
        read += len(chunk)
        if read > MAX_READ_BYTES:
            break
    return kept.decode(errors="replace").replace("\0", "�")


_NAMES: tuple[tuple[type[BaseException], str], ...] = (
    (AddressRefusedError, "address_refused"),
    (aiohttp.ConnectionTimeoutError, "connect_timeout"),
    (aiohttp.ClientConnectorDNSError, "dns"),
    (aiohttp.ClientSSLError, "tls"),
    (aiohttp.ClientConnectorError, "connect"),
    (aiohttp.ServerDisconnectedError, "disconnected"),
    (aiohttp.ClientOSError, "connection_lost"),
    (aiohttp.ClientResponseError, "malformed_response"),
    (aiohttp.ClientPayloadError, "malformed_response"),
    (aiohttp.InvalidURL, "invalid_url"),
)


def _name(error: Exception) -> str:
    """The failure in a word, for people and statistics."""
    chain = [error, error.__cause__, getattr(error.__cause__, "os_error", None)]
    for kind, name in _NAMES:
        if any(isinstance(link, kind) for link in chain):
            return name
    return type(error).__name__
