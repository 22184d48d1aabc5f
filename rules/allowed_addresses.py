"""Whether an address may send for a source."""

from collections.abc import Sequence
from functools import lru_cache

from schemas.networks import Address, Network, parse_address, parse_network


def is_allowed(address: str, allowed: Sequence[str]) -> bool:
    """Whether an address lies in one of the networks; what is no address lies in none.

    Args:
        address: as a socket shows it; an IPv4-mapped one counts as IPv4.
        allowed: addresses and networks of a source; none are all there are.
    """
    return not allowed or _is_listed(address, tuple(allowed))


def lies_in(address: str, networks: Sequence[Network]) -> bool:
    """Whether an address lies in one of the networks; what is no address lies in none."""
    try:
        plain = _address(address)
    except ValueError:
        return False
    return any(plain.version == network.version and plain in network for network in networks)


@lru_cache(maxsize=4_096)  # as many as there are connections: senders come again, and a long list takes 50 us
def _is_listed(address: str, allowed: tuple[str, ...]) -> bool:
    return lies_in(address, [_network(text) for text in allowed])


@lru_cache(maxsize=10_000)  # a hundred long lists; more are parsed again
def _network(text: str) -> Network:
    return parse_network(text)


@lru_cache(maxsize=4_096)
def _address(text: str) -> Address:
    return parse_address(text)
