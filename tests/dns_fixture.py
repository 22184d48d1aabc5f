"""A name server on loopback that says what a test wants, or nothing."""

import asyncio
import ipaddress
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

_A, _AAAA = 1, 28
_TYPES = {4: _A, 6: _AAAA}
_NO_SUCH_NAME = 3


class DnsServer(asyncio.DatagramProtocol):
    """Answers over UDP (RFC 1035).

    Attributes:
        names: by name, its addresses; of none at all, the server never answers.
        ttl_s: of every answer.
        asked: names that were asked for, in order, each once a question.
    """

    def __init__(self) -> None:
        self.names: dict[str, list[str]] = {}
        self.ttl_s = 0
        self.asked: list[str] = []
        self._transport: asyncio.DatagramTransport

    @property
    def address(self) -> str:
        """`address:port`."""
        return "127.0.0.1:{}".format(self._transport.get_extra_info("sockname")[1])

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Answers one question."""
        labels, end = [], 12
        while size := data[end]:
            labels.append(data[end + 1 : end + 1 + size].decode())
            end += 1 + size
        name, kind = ".".join(labels).lower(), int.from_bytes(data[end + 1 : end + 3], "big")
        self.asked.append(name)
        addresses = self.names.get(name)
        if addresses == []:
            return
        packed = [ipaddress.ip_address(text) for text in addresses or []]
        found = [address.packed for address in packed if _TYPES[address.version] == kind]
        code = 0 if addresses else _NO_SUCH_NAME
        head = data[:2] + bytes([0x81, 0x80 | code]) + b"\0\1" + len(found).to_bytes(2, "big") + b"\0\0\0\0"
        record = b"\xc0\x0c" + kind.to_bytes(2, "big") + b"\0\1" + self.ttl_s.to_bytes(4, "big")
        answers = b"".join(record + len(one).to_bytes(2, "big") + one for one in found)
        self._transport.sendto(head + data[12 : end + 5] + answers, addr)


@asynccontextmanager
async def name_server(**names: str) -> AsyncIterator[DnsServer]:
    """A running server; the names given are of the domain `test`."""
    loop = asyncio.get_running_loop()
    transport, server = await loop.create_datagram_endpoint(DnsServer, local_addr=("127.0.0.1", 0))
    server.names = {f"{name}.test": addresses.split() for name, addresses in names.items()}
    try:
        yield server
    finally:
        transport.close()
