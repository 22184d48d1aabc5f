"""uvicorn's server over TLS: with a bound on the handshake, and with certificates that change while it runs."""

import asyncio
import socket
import sys
from typing import Any

import structlog
import uvicorn

from runtime.tls_files import CLOSE_S, HANDSHAKE_S, ServedTls

log = structlog.get_logger(__name__)

STARTUP_FAILURE = 3
"""Upstream's own status."""

LOOK_TICKS = 50
"""uvicorn makes ten a second; whoever renews a certificate can wait five seconds."""


class HttpsServer(uvicorn.Server):
    """Serves TLS where there is something to serve it with, and otherwise plain HTTP.

    Args:
        config: of uvicorn, without any of its own settings for TLS.
        tls: what connections are made with.
    """

    def __init__(self, config: uvicorn.Config, tls: ServedTls | None) -> None:
        super().__init__(config)
        self._tls = tls

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Starts the application, then listens; as upstream, but that a handshake has a deadline."""
        if self._tls is None:
            await super().startup(sockets)
            return
        await super().startup([])  # the application alone
        try:
            places: list[dict[str, Any]] = [{"sock": sock} for sock in sockets or ()]
            places = places or [{"host": self.config.host, "port": self.config.port}]
            self.servers = [await self._listen(self._tls, place) for place in places]
        except OSError as error:
            log.error("cannot_listen", error=str(error))  # noqa: TRY400 - the reason is all that helps
            await self.lifespan.shutdown()
            sys.exit(STARTUP_FAILURE)

    async def on_tick(self, counter: int) -> bool:
        """Looks now and then whether the certificate is another one."""
        if self._tls is not None and counter % LOOK_TICKS == 0:
            self._tls.look()
        return await super().on_tick(counter)

    async def _listen(self, tls: ServedTls, place: dict[str, Any]) -> asyncio.Server:
        return await asyncio.get_running_loop().create_server(
            self._connection,
            **place,
            backlog=self.config.backlog,
            ssl=tls.context,
            ssl_handshake_timeout=HANDSHAKE_S,
            ssl_shutdown_timeout=CLOSE_S,
        )

    def _connection(self) -> asyncio.Protocol:
        return self.config.http_protocol_class(  # type: ignore[call-arg] # as upstream
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
