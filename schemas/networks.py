"""Networks and addresses as people write them: `192.0.2.0/24`, `2001:db8::/32`, or one address."""

import ipaddress

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")
"""IPv4 addresses as a socket of both kinds shows them (RFC 4291, section 2.5.5.2)."""

MAX_NETWORK_CHARS = 49
"""The longest IPv6 address, its IPv4 half in decimal, and a length."""


def parse_network(text: str) -> Network:
    """The network that a text names; one in the IPv4-mapped part of IPv6 is the IPv4 network.

    Raises:
        ValueError: it names none, or an address inside one, which leaves open what is meant.
    """
    if len(text) > MAX_NETWORK_CHARS or "%" in text:
        raise ValueError("is no address or network such as 192.0.2.0/24")
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise ValueError("is no address or network such as 192.0.2.0/24") from None
    if ipaddress.ip_interface(text).ip != network.network_address:
        raise ValueError(f"is an address inside a network; the network is {network}")
    if isinstance(network, ipaddress.IPv6Network) and network.subnet_of(_MAPPED):
        address = int(network.network_address) & 0xFFFF_FFFF
        return ipaddress.IPv4Network((address, network.prefixlen - 96))
    return network


def parse_address(text: str) -> Address:
    """The address that a text is, without its zone; an IPv4-mapped one is the IPv4 address.

    Raises:
        ValueError: it is none.
    """
    address = ipaddress.ip_address(text.partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address
