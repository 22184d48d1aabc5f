"""Which addresses are turned away before their requests cost anything: those whose requests keep failing."""

import ipaddress
from collections import OrderedDict
from dataclasses import dataclass
from functools import lru_cache

from rules.rate_limit import RateLimit
from schemas.networks import parse_address

MAX_ADDRESSES = 50_000
"""About 15 MB. The one unused longest is forgotten first, and starts anew."""

PROOF_MS = 86_400_000
"""A day: many a sender posts once a night."""

_V6_PREFIX = 64
"""One network of one customer (RFC 6177): who has one address of it has all of them."""


@dataclass(slots=True)
class _Address:
    failures: RateLimit
    proved_until_ms: int = 0


class AddressGuard:
    """Counts the failures of each address.

    Whoever proved a secret is let in for a day, whatever fails beside it: many senders share an address, and turning a
    forger away must not turn away who sends from the same provider.

    Args:
        per_minute: failures that an address may have in a minute, over a long time, and at once; above 0.
    """

    def __init__(self, per_minute: int) -> None:
        self._per_minute = per_minute
        self._addresses: OrderedDict[str, _Address] = OrderedDict()

    def __len__(self) -> int:
        return len(self._addresses)

    def shut(self, address: str, now_ms: int) -> RateLimit | None:
        """The limit that an address has used up, or `None`: it may try.

        Args:
            address: of a client; loopback, and what is no address, is never turned away.
            now_ms: milliseconds of a clock that never goes back.
        """
        known = self._addresses.get(_key(address))
        if known is None or known.proved_until_ms > now_ms:
            return None
        return known.failures if known.failures.wait_s(now_ms) else None

    def failed(self, address: str, now_ms: int) -> None:
        """Notes that a request from an address was refused."""
        if key := _key(address):
            self._known(key).failures.take(now_ms)

    def proved(self, address: str, now_ms: int) -> None:
        """Notes that a request from an address was made by somebody who has the secret."""
        if key := _key(address):
            self._known(key).proved_until_ms = now_ms + PROOF_MS

    def _known(self, key: str) -> _Address:
        known = self._addresses.get(key)
        if known is None:
            known = self._addresses[key] = _Address(RateLimit(self._per_minute / 60, self._per_minute))
            if len(self._addresses) > MAX_ADDRESSES:
                self._addresses.popitem(last=False)
        self._addresses.move_to_end(key)
        return known


@lru_cache(maxsize=4_096)  # as many as there are connections
def _key(text: str) -> str:
    try:
        address = parse_address(text)
    except ValueError:
        return ""
    if address.is_loopback:
        return ""
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.IPv6Network((int(address), _V6_PREFIX), strict=False))
    return str(address)
