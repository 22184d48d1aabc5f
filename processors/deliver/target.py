"""A target URL, taken apart once, and the head of a request to it."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import httpx

from processors.deliver.connection import NoAnswerError

MAX_PORT = 65_535
_PORTS = {"http": 80, "https": 443}
_NO_CONTROLS = bytes(code if code >= ord(" ") and code != 0x7F else ord(" ") for code in range(256))  # noqa: PLR2004 - DEL
"""A line break in a value would begin another header: nothing below a blank is sent, whoever produced the event."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where a request goes.

    Attributes:
        host: the name or address, in ASCII; also what a certificate must be for.
        start: the request line and `Host`.
    """

    tls: bool
    host: str
    port: int
    start: bytes

    @property
    def key(self) -> tuple[bool, str, int]:
        """Requests with the same key can share a connection."""
        return (self.tls, self.host, self.port)


@lru_cache(maxsize=4_096)  # endpoints are few, and taking a URL apart costs as much as a request
def target_of(text: str) -> Target:
    """The target that a URL names; a fragment and credentials in it are not sent.

    Raises:
        NoAnswerError: it is no URL that a request can go to.
    """
    try:
        url = httpx.URL(text)
        tls, host = url.scheme == "https", url.raw_host.decode("ascii")
        port = url.port or _PORTS[url.scheme]
    except (httpx.InvalidURL, KeyError, ValueError):
        raise NoAnswerError("invalid_url") from None
    if not host or not 0 < port <= MAX_PORT:
        raise NoAnswerError("invalid_url")
    named = f"[{host}]" if ":" in host else host
    if port != _PORTS[url.scheme]:
        named = f"{named}:{port}"
    start = b"POST %b HTTP/1.1\r\nhost: %b\r\n" % (url.raw_path.translate(_NO_CONTROLS), named.encode("ascii"))
    return Target(tls, host, port, start)


def request_of(target: Target, headers: Sequence[tuple[str, str]], body: bytes) -> bytes:
    """The bytes of a request with exactly these headers, beside `Host` and `Content-Length`.

    Latin-1, as HTTP/1.1 carries any byte: a sender's odd content type must not make an event undeliverable.
    """
    lines = [f"{name}: {value}".encode("latin-1", "replace").translate(_NO_CONTROLS) for name, value in headers]
    lines.append(b"content-length: %d\r\n\r\n" % len(body))
    return target.start + b"\r\n".join(lines) + body
