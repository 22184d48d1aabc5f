"""Which addresses deliveries may reach.

Explicit lists, because `ipaddress.is_global` of Python 3.11 takes cloud metadata addresses, multicast, 6to4 and
NAT64 for global ones. Source: IANA special-purpose address registries (RFC 6890), and the clouds' own pages.
"""

import ipaddress
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_DENIED_V4: tuple[Network, ...] = tuple(
    ipaddress.ip_network(text)
    for text in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
        "168.63.129.16/32",  # Azure's metadata, on a public address
    )
)
_DOTS = str.maketrans("\u3002", ".")
"""Dots in the names of other scripts (IDNA 2003, RFC 3490, section 3.1) that NFKC leaves as they are."""

_GLOBAL_V6: Network = ipaddress.ip_network("2000::/3")
_DENIED_V6: tuple[Network, ...] = tuple(
    ipaddress.ip_network(text) for text in ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")
)


@dataclass(frozen=True, slots=True)
class AddressPolicy:
    """Public unicast addresses, and the networks that the operator opened.

    Args:
        allowed: networks that may be reached although they are private.
    """

    allowed: Sequence[Network] = field(default=())

    @classmethod
    def of(cls, cidrs: Sequence[str]) -> "AddressPolicy":
        """Reads networks such as `10.20.0.0/16`.

        Raises:
            ValueError: one is no network.
        """
        return cls(tuple(ipaddress.ip_network(cidr) for cidr in cidrs))

    def permits(self, text: str) -> bool:
        """Whether an address, as text, may be reached; what is no address may not."""
        try:
            address = _plain(ipaddress.ip_address(text.partition("%")[0]))
        except ValueError:
            return False
        if any(address.version == network.version and address in network for network in self.allowed):
            return True
        if address.version == 4:  # noqa: PLR2004 - IPv4
            return not any(address in network for network in _DENIED_V4)
        return address in _GLOBAL_V6 and not any(address in network for network in _DENIED_V6)

    def refuses_host(self, host: str) -> bool:
        """Whether a URL's host is known, without asking DNS, to lead where deliveries may not go."""
        name = unicodedata.normalize("NFKC", host).translate(_DOTS).rstrip(".").lower()
        if name == "localhost" or name.endswith(".localhost"):  # RFC 6761, section 6.3
            return not self.permits("127.0.0.1")
        literal = literal_address(name)
        return literal is not None and not self.permits(literal)


def _plain(address: Address) -> Address:
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def literal_address(host: str) -> str | None:
    """The address that a host is a spelling of: also `2130706433`, `0x7f.1` and `017700000001`."""
    try:
        return str(ipaddress.ip_address(host.strip("[]")))
    except ValueError:
        pass
    parts = host.split(".")
    try:
        numbers = [_c_integer(part) for part in parts]
    except ValueError:
        return None
    *leading, last = numbers
    if len(parts) > 4 or any(number > 255 for number in leading) or last >= 256 ** (5 - len(parts)):  # noqa: PLR2004 - octets
        return None
    value = last
    for position, number in enumerate(leading):
        value += number << (24 - 8 * position)
    return str(ipaddress.IPv4Address(value))


def _c_integer(text: str) -> int:
    """A number as inet_aton(3) reads it: hexadecimal after 0x, octal after 0."""
    if not text.isascii() or not text.isalnum():
        raise ValueError("no number")  # Python would take 1_0 and +1
    if text[:2] in {"0x", "0X"}:
        return int(text, 16)
    return int(text, 8) if text.startswith("0") and text != "0" else int(text, 10)
