"""Takes the client's address from `X-Forwarded-For`, when a trusted proxy says so."""

from collections.abc import Callable

from starlette.types import ASGIApp, Receive, Scope, Send


class TrustedProxies:
    """Pure ASGI: what comes after it sees the client where the proxy was.

    uvicorn's own takes what is no address for one, and also believes in other headers.

    Args:
        app: what needs the client's address.
        client_address: of the peer's address and the values of `X-Forwarded-For`, as `rules.forwarded` has it.
    """

    def __init__(self, app: ASGIApp, client_address: Callable[[str, list[str]], str]) -> None:
        self._app = app
        self._client_address = client_address

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the request on."""
        if scope["type"] == "http" and scope.get("client"):
            said = [value.decode("latin-1") for name, value in scope["headers"] if name == b"x-forwarded-for"]
            peer, port = scope["client"]
            address = self._client_address(peer, said) if said else peer
            scope["client"] = (address, port if address == peer else 0)
        await self._app(scope, receive, send)
