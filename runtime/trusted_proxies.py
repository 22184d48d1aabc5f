"""Takes the client's address from `X-Forwarded-For`, when a trusted proxy says so."""

from collections.abc import Sequence

from starlette.types import ASGIApp, Receive, Scope, Send

from rules.forwarded import client_address
from schemas.networks import Network


class TrustedProxies:
    """Pure ASGI: what comes after it sees the client where the proxy was.

    uvicorn's own takes what is no address for one, and also believes in other headers.

    Args:
        app: what needs the client's address.
        trusted: networks of the proxies.
    """

    def __init__(self, app: ASGIApp, trusted: Sequence[Network]) -> None:
        self._app = app
        self._trusted = trusted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the request on."""
        if scope["type"] == "http" and scope.get("client"):
            said = [value.decode("latin-1") for name, value in scope["headers"] if name == b"x-forwarded-for"]
            peer, port = scope["client"]
            address = client_address(peer, said, self._trusted) if said else peer
            scope["client"] = (address, port if address == peer else 0)
        await self._app(scope, receive, send)
