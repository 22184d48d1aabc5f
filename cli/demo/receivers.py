"""The demo's three receivers: one healthy, one that fails at first, one that is dead; each keeps books."""

import contextlib
import socket
from collections.abc import AsyncIterator

from cli.demo.books import Books
from cli.traffic.receiver import Behaviour, Receiver, serving

BACKLOG = 512


class Receivers:
    """All endpoints, on one port.

    Args:
        books: where deliveries are written down.
    """

    def __init__(self, books: Books) -> None:
        self._books = books
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)
        self._behaviours: dict[str, Behaviour] = {}

    @property
    def base_url(self) -> str:
        """What stands before the path of a subscription."""
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def know(self, secrets: dict[str, str]) -> None:
        """Verify each subscription's deliveries with its secret from now on."""
        self._behaviours = {one.path: one.endpoint.behaviour(secrets[one.id]) for one in self._books.cast.subscriptions}

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Receive while the block runs."""
        with self._listener:
            unknown = Behaviour(status=404)
            receiver = Receiver(lambda path: self._behaviours.get(path, unknown), self._books.receptions.append)
            async with serving(receiver, self._listener):
                yield
