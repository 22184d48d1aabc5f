"""Sends a JSON answer as cheaply as ASGI can."""

from starlette.types import Send


async def send_json(send: Send, status: int, document: bytes, *, close: bool = False) -> None:
    """Sends a whole answer.

    Args:
        send: ASGI's.
        status: HTTP status.
        document: JSON.
        close: whether the connection is to end with it.
    """
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(document))]
    if close:
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": document})
