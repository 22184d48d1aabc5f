"""What is wrong with the head of a request that a parser took: what proxies before us might read in another way.

The parser (llhttp) refuses by itself: two lengths, a length beside `Transfer-Encoding`, folded lines, bare line feeds,
control characters, and blanks where none may be.
"""

from collections.abc import Sequence
from typing import NamedTuple

MAX_HEAD_BYTES = 32_768
"""As nginx takes by default; providers send 2 KiB."""

MAX_HEADER_LINES = 100
"""As Apache takes by default; proxies and providers together send about thirty."""

_LINE_BYTES = 4
"""Colon, blank and line end."""


class HeadFault(NamedTuple):
    """Why a request is refused before anybody looks at it.

    Attributes:
        status: to be answered.
        code: stable, for programs.
        detail: for people.
    """

    status: int
    code: str
    detail: str


MALFORMED = HeadFault(400, "malformed", "this is no HTTP/1.1 request")
TOO_LARGE = HeadFault(431, "head_too_large", f"the head may have at most {MAX_HEAD_BYTES} bytes")
TOO_MANY = HeadFault(431, "head_too_large", f"the head may have at most {MAX_HEADER_LINES} header lines")
TOO_SLOW = HeadFault(408, "head_too_slow", "the head came too slowly")
TOO_MUCH_FRAMING = HeadFault(400, "malformed", "the chunks have more framing than body")
_HOST = HeadFault(400, "malformed", "a request has one Host header")
_CODING = HeadFault(501, "transfer_coding", "Transfer-Encoding is not taken, except chunked once, over HTTP/1.1")
_VERSION = HeadFault(505, "http_version", "only HTTP/1.1 and HTTP/1.0 are taken")
_CONNECT = HeadFault(501, "connect", "this is no proxy")
_OFFER = frozenset({b"upgrade", b"http2-settings"})
_HTTP_1_1 = "1.1"


def head_fault(method: bytes, version: str, url: bytes, headers: Sequence[tuple[bytes, bytes]]) -> HeadFault | None:
    """The first fault of a head, or `None`.

    Args:
        method: as received.
        version: of HTTP.
        url: the target as received.
        headers: lower-cased names and values.
    """
    if len(headers) > MAX_HEADER_LINES:
        return TOO_MANY
    if len(url) + sum([len(name) + len(value) + _LINE_BYTES for name, value in headers]) > MAX_HEAD_BYTES:
        return TOO_LARGE
    if method == b"CONNECT":
        return _CONNECT
    return _form_fault(version, headers)


def _form_fault(version: str, headers: Sequence[tuple[bytes, bytes]]) -> HeadFault | None:
    newest = version == _HTTP_1_1
    if not newest and version != "1.0":
        return _VERSION
    names = [name for name, _ in headers]
    if names.count(b"host") != 1 and (newest or b"host" in names):  # RFC 9112, section 3.2
        return _HOST
    if b"transfer-encoding" in names:  # RFC 9112, section 6.1
        codings = [value.strip().lower() for name, value in headers if name == b"transfer-encoding"]
        return None if newest and codings == [b"chunked"] else _CODING
    return None


def without_offer(method: bytes, version: str, url: bytes, headers: Sequence[tuple[bytes, bytes]]) -> bytes:
    """The head of a request as it would be without the offer to speak another protocol.

    Args:
        method: as received.
        version: of HTTP.
        url: the target as received.
        headers: lower-cased names and values, as a parser took them: without line ends.
    """
    lines = [b"%b %b HTTP/%b" % (method, url, version.encode())]
    for name, value in headers:
        if name == b"connection":
            kept = [token for token in value.split(b",") if token.strip().lower() not in _OFFER]
            lines += [b"connection: " + b",".join(kept)] if kept else []
        elif name not in _OFFER:
            lines.append(b"%b: %b" % (name, value))
    return b"\r\n".join([*lines, b"", b""])
