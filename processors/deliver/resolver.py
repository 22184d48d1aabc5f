"""DNS whose answers are checked: a host's addresses that deliveries may reach."""

import asyncio
import ipaddress
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from processors.deliver.connection import NoAnswerError
from rules.addresses import AddressPolicy

TTL_S = 30.0
"""How long an answer is used: a name that moves is followed within that time. The addresses stay checked."""

MAX_NAMES = 4_096
MAX_ADDRESSES = 8
"""Of a name: each is tried for its share of the connect timeout."""

LOOKUPS = 32
"""Threads: a name server that does not answer holds one for up to ten seconds, and holds up nobody else's names."""


@dataclass(frozen=True, slots=True)
class _Known:
    addresses: list[str]
    until_s: float


class Resolver:
    """Asks the system's resolver, in threads.

    Args:
        policy: which addresses may be reached.
    """

    def __init__(self, policy: AddressPolicy) -> None:
        self._policy = policy
        self._known: dict[str, _Known] = {}
        self._asking: dict[str, asyncio.Task[list[str]]] = {}
        self._threads = ThreadPoolExecutor(LOOKUPS, thread_name_prefix="dns")

    def close(self) -> None:
        """Waits for nobody."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def addresses(self, host: str, port: int) -> list[str]:
        """The addresses to connect to, in the order to try.

        Raises:
            NoAnswerError: there is none, or none that may be reached.
        """
        known = self._known.get(host)
        if known is not None and time.monotonic() < known.until_s:
            return known.addresses
        asking = self._asking.get(host)
        if asking is None:
            asking = self._asking[host] = asyncio.create_task(self._ask(host, port))
            asking.add_done_callback(lambda _: self._asking.pop(host, None))
        return await asyncio.shield(asking)  # others may wait for the same answer

    async def _ask(self, host: str, port: int) -> list[str]:
        found = [host] if _is_address(host) else await self._lookup(host, port)
        permitted = [address for address in found if self._policy.permits(address)][:MAX_ADDRESSES]
        if not permitted:
            raise NoAnswerError("address_refused")
        while len(self._known) >= MAX_NAMES:
            del self._known[next(iter(self._known))]
        self._known[host] = _Known(permitted, time.monotonic() + TTL_S)
        return permitted

    async def _lookup(self, host: str, port: int) -> list[str]:
        loop = asyncio.get_running_loop()
        try:
            found = await loop.run_in_executor(self._threads, _getaddrinfo, host, port)
        except (OSError, UnicodeError):
            raise NoAnswerError("dns") from None
        return found


def _getaddrinfo(host: str, port: int) -> list[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
