"""Connections to endpoints: kept for the next request, made to addresses that were checked after DNS."""

import asyncio
import ssl
from collections import OrderedDict, deque
from dataclasses import dataclass

from processors.deliver.connection import Connection, NoAnswerError
from processors.deliver.resolver import Resolver
from processors.deliver.target import Target
from processors.deliver.tls import TlsContexts
from processors.deliver.tls_reason import word_of
from schemas.tls import TlsSpec

CONNECT_TIMEOUT_S = 5.0
"""DNS, TCP and TLS together: the slowest of them take a second."""

KEEP_S = 30.0
"""A TLS handshake costs a millisecond of CPU and two round trips. Servers close idle connections after 5 (node, which
says so) to 75 seconds (nginx); one that closes as a request leaves is tried again."""

MAX_KEPT = 1_000
"""Idle connections: open files and about 10 KiB each; the one that waited longest gives way."""

MAX_AGE_S = 300.0
"""A connection in constant use never asks DNS again; after five minutes it makes way for one that did."""

_SWEEP_S = 1.0

Key = tuple[bool, str, int, TlsSpec | None]
"""TLS, host, port and settings: what one subscription trusts or shows is nothing to another."""


@dataclass(frozen=True, slots=True)
class _Way:
    """How to connect, whichever the address."""

    target: Target
    settings: TlsSpec | None
    tls: ssl.SSLContext | None

    @property
    def key(self) -> Key:
        """Where the connection is kept."""
        return (*self.target.key, self.settings)

    @property
    def server_name(self) -> str:
        """Whose certificate it must be."""
        named = self.settings.server_name if self.settings else None
        return (named or self.target.host).rstrip(".")


class Connections:
    """Makes and keeps connections.

    Args:
        resolver: which addresses a host has, checked.
        contexts: how certificates are verified.
        max_age_s: how long a connection is used.
    """

    def __init__(self, resolver: Resolver, contexts: TlsContexts, max_age_s: float = MAX_AGE_S) -> None:
        self._loop = asyncio.get_running_loop()
        self._resolver = resolver
        self._contexts = contexts
        self._max_age_s = max_age_s
        self._idle: OrderedDict[Connection, Key] = OrderedDict()  # the longest idle first
        self._by_key: dict[Key, deque[Connection]] = {}
        self._sweep: asyncio.TimerHandle | None = None

    def kept(self, target: Target, settings: TlsSpec | None) -> Connection | None:
        """A kept connection made with these settings, the latest used first, or `None`."""
        while idle := self._by_key.get((*target.key, settings)):
            connection = idle[-1]
            self._forget(connection)
            if not connection.closed and self._loop.time() < connection.idle_until_s:
                return connection
            connection.close()
        return None

    async def new(self, target: Target, settings: TlsSpec | None, deadline_s: float) -> Connection:
        """A new connection.

        Raises:
            NoAnswerError: there is none to be had.
        """
        try:
            async with asyncio.timeout_at(min(deadline_s, self._loop.time() + CONNECT_TIMEOUT_S)) as limit:
                tls = await self._contexts.of(settings) if target.tls else None
                addresses = await self._resolver.addresses(target.host)
                return await self._to_one_of(addresses, _Way(target, settings, tls), limit.when() or deadline_s)
        except TimeoutError:
            raise NoAnswerError("connect_timeout") from None

    async def _to_one_of(self, addresses: list[str], way: "_Way", deadline_s: float) -> Connection:
        for left, address in zip(range(len(addresses), 0, -1), list(addresses), strict=True):
            # An address that swallows packets leaves time for those after it.
            share_s = (deadline_s - self._loop.time()) / left
            try:
                async with asyncio.timeout(share_s):
                    return await self._to(address, way)
            except (NoAnswerError, TimeoutError):
                if left == 1:
                    raise
        raise NoAnswerError("dns")

    async def _to(self, address: str, way: "_Way") -> Connection:
        key, retire_s = way.key, self._loop.time() + self._max_age_s
        try:
            _, connection = await self._loop.create_connection(
                lambda: Connection(self._loop, lambda used: self._keep(key, used), KEEP_S, retire_s),
                address,
                way.target.port,
                ssl=way.tls,
                server_hostname=way.server_name if way.tls else None,
            )
        except ssl.SSLError as error:  # a certificate for another name is one
            raise NoAnswerError(word_of(error)) from None
        except OSError:
            raise NoAnswerError("connect") from None
        return connection

    def _keep(self, key: Key, connection: Connection) -> None:
        self._idle[connection] = key
        self._by_key.setdefault(key, deque()).append(connection)
        if len(self._idle) > MAX_KEPT:
            self._drop(next(iter(self._idle)))
        if self._sweep is None:
            self._sweep = self._loop.call_later(_SWEEP_S, self._close_idle)

    def _drop(self, connection: Connection) -> None:
        self._forget(connection)
        connection.close()

    def _forget(self, connection: Connection) -> None:
        key = self._idle.pop(connection)
        idle = self._by_key[key]
        if idle[-1] is connection:
            idle.pop()
        else:
            idle.remove(connection)
        if not idle:
            del self._by_key[key]  # an endpoint that never keeps one again would stay for ever

    def _close_idle(self) -> None:
        now_s = self._loop.time()
        for connection in [one for one in self._idle if one.closed or one.idle_until_s <= now_s]:
            self._drop(connection)
        self._sweep = self._loop.call_later(_SWEEP_S, self._close_idle) if self._idle else None

    def close(self) -> None:
        """Closes what is kept."""
        if self._sweep is not None:
            self._sweep.cancel()
        for connection in list(self._idle):
            self._drop(connection)
