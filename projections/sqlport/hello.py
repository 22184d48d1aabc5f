"""The first question of ClickHouse's client for Go, which Grafana's plug-in is made of.

It asks for the server's revision in a block of the native protocol, of the revision that it speaks itself; told that
ours is 0, it takes plain Native from then on, which is what the engine writes.
Source: `conn_http.go` of clickhouse-go, `queryHello`.
"""

import re

NAME = "Hooklog"

_HELLO = re.compile(r"\s*SELECT displayName\(\), version\(\), revision\(\), timezone\(\)\s*", re.IGNORECASE)
_BLOCK_INFO = b"\x01\x00\x02\xff\xff\xff\xff\x00"  # not overflowed, no bucket, end
_MAX_TEXT_BYTES = 127  # of a length of one byte


def is_hello(query: str, client_protocol_version: str) -> bool:
    """Whether a request is that question."""
    return bool(client_protocol_version) and _HELLO.fullmatch(query) is not None


def hello_block(version: str, timezone: str) -> bytes:
    """The answer: one row of four columns."""
    columns = [
        ("displayName()", "String", _text(NAME)),
        ("version()", "String", _text(version)),
        ("revision()", "UInt32", bytes(4)),
        ("timezone()", "String", _text(timezone)),
    ]
    head = _BLOCK_INFO + bytes([len(columns), 1])
    # The byte between type and data: the column is not written in a way of its own.
    return head + b"".join(_text(name) + _text(kind) + b"\x00" + data for name, kind, data in columns)


def _text(text: str) -> bytes:
    encoded = text.encode()[:_MAX_TEXT_BYTES]
    return bytes([len(encoded)]) + encoded
