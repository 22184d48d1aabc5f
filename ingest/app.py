"""The composition root of ingest: reads the settings, builds every part, and serves until it is told to stop."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from importlib.metadata import entry_points, version

import structlog
import uvloop
from fastapi import FastAPI

from ingest.http_app import Access, build_app
from ingest.parts import Parts
from ingest.server import Server, build_server, raise_open_files_limit
from rules.verify.plugins import GROUP, add_plugins
from runtime.garbage import settle
from runtime.keyring import Keyring
from runtime.secrets_files import load_admin_key, load_encryption_keys
from runtime.settings import Settings
from runtime.telemetry import configure_logging
from runtime.tls_files import served_tls

log = structlog.get_logger(__name__)


def run(settings: Settings) -> None:
    """Serves until SIGINT or SIGTERM.

    Raises:
        SetSecretError: a secret is missing.
        UnusableKeyringError: the encryption keys cannot be used.
        UnusableTlsFilesError: certificate, key or authorities cannot be used.
        PluginError: a verifier that is installed cannot be used.
        SystemExit: with status 1, the port is taken or a part failed; the log says which.
    """
    configure_logging(settings.log_level)
    add_plugins(entry_points(group=GROUP))
    settle()
    raise_open_files_limit()
    service = IngestService(settings)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(service.serve(handle_signals=True))


class IngestService:
    """One ingest process, or as much of it as fits into a thread.

    Args:
        settings: of the process.

    Attributes:
        server: set `should_exit` to stop.
    """

    def __init__(self, settings: Settings) -> None:
        self._parts = Parts(settings, Keyring.parse(load_encryption_keys(settings)))
        access = Access(load_admin_key(settings), settings.allowed_host_names, settings.trusted_networks)
        app = build_app(self._parts, access, version("hooklog"), self._lifespan)
        tls = served_tls(settings, self._parts.registry)
        turned_away = self._parts.metrics.turned_away
        self.server: Server = build_server(app, settings.host, settings.ingest_port, turned_away, tls)
        self._failure: BaseException | None = None

    async def serve(self, *, handle_signals: bool = False) -> None:
        """Serves until told to stop.

        Raises:
            SystemExit: with status 1, the port is taken or a part failed.
        """
        if handle_signals:
            self.server.stop_on_signals()
        await self.server.serve()
        if self._failure is not None:
            raise SystemExit(1) from self._failure

    @asynccontextmanager
    async def _lifespan(self, _: FastAPI) -> AsyncIterator[None]:
        # In the background: health is answered, and readiness denied, while Kafka is away.
        starting = asyncio.create_task(self._start())
        try:
            yield
        finally:
            starting.cancel()
            with suppress(asyncio.CancelledError):
                await starting
            await self._parts.stop()

    async def _start(self) -> None:
        try:
            await self._parts.start()
        except Exception as error:
            log.exception("ingest_start_failed")
            self._failure = error
            self.server.should_exit = True  # the supervisor starts it again
