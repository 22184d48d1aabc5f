"""How an answer is packed: gzip, which HTTP knows, or ClickHouse's own blocks, which `compress=1` asks for.

Source of the blocks: `CompressedWriteBuffer.cpp` of ClickHouse; each is a checksum, method, two sizes, and LZ4.
"""

import gzip
import struct
from collections.abc import Iterator
from typing import Literal

import lz4.block
from clickhouse_cityhash.cityhash import CityHash128

Packing = Literal["none", "gzip", "blocks"]

GZIP_FROM_BYTES = 1_024
"""Below that a packet is a packet."""

GZIP_LEVEL = 1
"""A fifth of the work of the usual 6, for rows that are a tenth larger."""

BLOCK_BYTES = 1_048_576
"""ClickHouse's own; its clients hold a block at a time."""

_LZ4 = 0x82
_HEAD_BYTES = 9  # counted in the packed size
_MASK = (1 << 64) - 1


def packed(rows: bytes, packing: Packing) -> tuple[bytes, dict[str, str]]:
    """The body, and headers that say how it is packed; blocks have none: who asked for them knows."""
    if packing == "blocks":
        return b"".join(_blocks(rows)), {}
    if packing == "gzip" and len(rows) >= GZIP_FROM_BYTES:
        return gzip.compress(rows, GZIP_LEVEL), {"Content-Encoding": "gzip"}
    return rows, {}


def _blocks(rows: bytes) -> Iterator[bytes]:
    for start in range(0, len(rows), BLOCK_BYTES):
        plain = rows[start : start + BLOCK_BYTES]
        squeezed = lz4.block.compress(plain, store_size=False)
        block = struct.pack("<BII", _LZ4, len(squeezed) + _HEAD_BYTES, len(plain)) + squeezed
        checksum = CityHash128(block)
        yield struct.pack("<QQ", checksum >> 64 & _MASK, checksum & _MASK) + block
