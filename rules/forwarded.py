"""Whose address a request has that came through proxies: who says so must be trusted, hop by hop."""

import re
from collections.abc import Sequence

from rules.allowed_addresses import lies_in
from schemas.networks import Network, parse_address

MAX_HOPS = 20
"""Proxies of one's own in a row; a longer list is an attempt to keep us busy."""

_ENTRY = re.compile(r"\[([0-9A-Fa-f:.]+)\](?::[0-9]{1,5})?|([0-9.]+)(?::[0-9]{1,5})?|([0-9A-Fa-f:.]+)")
"""Some proxies add the port, and IPv6 is bracketed then."""


def client_address(peer: str, forwarded_for: Sequence[str], trusted: Sequence[Network]) -> str:
    """The address that counts: from the right, the first that is no trusted proxy.

    What stands left of it was written by the client, who may write anything. Where the list ends or cannot be read
    before such an address was found, it is the peer's own, or the last proxy's that could be read when all are trusted.

    Args:
        peer: who is connected to us.
        forwarded_for: the values of `X-Forwarded-For`, in the order received.
        trusted: networks of proxies that append to it whom they talk to.
    """
    if not lies_in(peer, trusted):
        return peer
    address = peer
    entries = ",".join(forwarded_for).split(",")
    for entry in reversed(entries[-MAX_HOPS:]):
        found = _address(entry.strip())
        if found is None:
            return peer
        address = found
        if not lies_in(address, trusted):
            return address
    return address if len(entries) <= MAX_HOPS else peer


def _address(entry: str) -> str | None:
    match = _ENTRY.fullmatch(entry)
    try:
        return str(parse_address(next(filter(None, match.groups())))) if match else None
    except ValueError:
        return None
