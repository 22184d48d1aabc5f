"""DNS whose answers are checked: a host's addresses that deliveries may reach."""

import asyncio
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass

import aiodns

from processors.deliver.connection import NoAnswerError
from rules.addresses import AddressPolicy, literal_address

MAX_TTL_S = 30.0
"""However long an answer says that it holds: a name that moves is followed within that time."""

MIN_TTL_S = 1.0
"""However short: a busy endpoint does not ask for each connection."""

MAX_NAMES = 4_096
MAX_ADDRESSES = 8
"""Of a name: each is tried for its share of the connect timeout."""

MAX_ASKED = 2_048
"""Names that are asked for at a time. A worker has 500 requests in flight; were each for another silent name, each
question would outlive its request by three others."""

TRY_S = 1.5
"""A name server that was never asked has this long for its first answer, and twice as long with each further try; one
that answers is measured, and then has five times what it took, at least a quarter of a second."""

TRIES = 4
"""From a quarter of a second on, they take four seconds together: nearly the whole connect timeout."""


@dataclass(frozen=True, slots=True)
class _Known:
    addresses: list[str]
    until_s: float


class Resolver:
    """Asks name servers without a thread for each name: what does not answer holds up nobody.

    The hosts file and `localhost` are answered as everywhere. It is c-ares, as in curl and Node.

    Args:
        policy: which addresses may be reached.
        servers: name servers, `address` or `address:port`; none are the system's.
    """

    def __init__(self, policy: AddressPolicy, servers: Sequence[str] = ()) -> None:
        self._policy = policy
        self._known: dict[str, _Known] = {}
        self._asking: dict[str, asyncio.Task[list[str]]] = {}
        self._closed = False
        self._dns = aiodns.DNSResolver(nameservers=list(servers) or None, timeout=TRY_S, tries=TRIES)

    async def close(self) -> None:
        """Waits for nobody: whoever still asks is told that there is no answer."""
        self._closed = True
        await self._dns.close()

    async def addresses(self, host: str) -> list[str]:
        """The addresses to connect to, in the order to try.

        Raises:
            NoAnswerError: there is none, or none that may be reached.
        """
        known = self._known.get(host)
        if known is not None and time.monotonic() < known.until_s:
            return known.addresses
        asking = self._asking.get(host)
        if asking is None:
            if len(self._asking) >= MAX_ASKED:
                raise NoAnswerError("dns_busy")
            asking = self._asking[host] = asyncio.create_task(self._ask(host))
            asking.add_done_callback(lambda done: self._forget(host, done))
        return await asyncio.shield(asking)  # others may wait for the same answer

    def _forget(self, host: str, done: asyncio.Task[list[str]]) -> None:
        del self._asking[host]
        if not done.cancelled():
            done.exception()  # whoever asked may have left; what nobody looks at, asyncio logs as an error

    async def _ask(self, host: str) -> list[str]:
        literal = literal_address(host.rstrip("."))
        found, ttl_s = ([literal], MAX_TTL_S) if literal else await self._lookup(host)
        permitted = [address for address in found if self._policy.permits(address)][:MAX_ADDRESSES]
        if not permitted:
            raise NoAnswerError("address_refused")
        while len(self._known) >= MAX_NAMES:
            del self._known[next(iter(self._known))]
        self._known[host] = _Known(permitted, time.monotonic() + min(max(ttl_s, MIN_TTL_S), MAX_TTL_S))
        return permitted

    async def _lookup(self, host: str) -> tuple[list[str], float]:
        if self._closed:
            raise NoAnswerError("dns")
        try:
            found = await self._dns.getaddrinfo(host, family=socket.AF_UNSPEC, type=socket.SOCK_STREAM)
        except aiodns.error.DNSError as error:
            slow = error.args[0] == aiodns.error.ARES_ETIMEOUT
            raise NoAnswerError("dns_timeout" if slow else "dns") from None
        if not found.nodes:
            raise NoAnswerError("dns")
        addresses = dict.fromkeys(_text(node.addr[0]) for node in found.nodes)
        return list(addresses), min(node.ttl for node in found.nodes)


def _text(address: str | bytes) -> str:
    return address.decode("ascii") if isinstance(address, bytes) else address
