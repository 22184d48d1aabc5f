"""Sends a JSON answer as cheaply as ASGI can."""

from collections.abc import Mapping
from types import MappingProxyType

from starlette.types import Send

_NONE: Mapping[str, str] = MappingProxyType({})


async def send_json(
    send: Send, status: int, document: bytes, headers: Mapping[str, str] = _NONE, *, close: bool = False
) -> None:
    """Sends a whole answer.

    Args:
        send: ASGI's.
        status: HTTP status.
        document: JSON.
        headers: more of them.
        close: whether the connection is to end with it.
    """
    pairs = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(document))]
    pairs += [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    if close:
        pairs.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": status, "headers": pairs})
    await send({"type": "http.response.body", "body": document})
