"""The HTTP server: uvicorn with the limits that it does not set by itself."""

import asyncio
import contextlib
import resource
import signal
from collections.abc import Iterator

import uvicorn
from starlette.types import ASGIApp

from ingest.guarded_protocol import GuardedProtocol
from runtime.answer_headers import ANSWER_HEADERS
from runtime.https_server import HttpsServer
from runtime.tls_files import ServedTls

MAX_CONNECTIONS = 4_096
"""Twice what is promised; each costs about 10 KiB while it is idle."""

MAX_OPEN_FILES = 65_536
KEEP_ALIVE_S = 75
"""Longer than the 60 s for which load balancers keep idle connections, so that they hang up first."""

STOP_S = 15
"""Longer than the 10 s that an event waits for Kafka: a stop answers whom it took in."""

_TICKS_PER_S = 10  # uvicorn's


class Server(HttpsServer):
    """uvicorn's server, whose process ends with status 0 when it was told to stop."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leaves the signals to `stop_on_signals`: uvicorn raises them again, which would kill the process."""
        yield

    def stop_on_signals(self) -> None:
        """SIGINT and SIGTERM begin an orderly stop, a second one hurries it; only in a main thread."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop)

    async def on_tick(self, counter: int) -> bool:
        """Closes late connections, once a second."""
        if counter % _TICKS_PER_S == 0:
            now_s = asyncio.get_running_loop().time()
            for connection in list(self.server_state.connections):
                if isinstance(connection, GuardedProtocol):
                    connection.close_when_late(now_s)
        return await super().on_tick(counter)

    def _stop(self) -> None:
        self.force_exit = self.should_exit
        self.should_exit = True


def build_server(app: ASGIApp, host: str, port: int, tls: ServedTls | None) -> Server:
    """A server for an application; port 0 takes a free one."""
    return Server(
        uvicorn.Config(
            app,
            host=host,
            port=port,
            http=GuardedProtocol,
            ws="none",
            loop="none",
            lifespan="on",
            access_log=False,
            log_config=None,
            proxy_headers=False,  # the peer's address is recorded; a header could be forged
            server_header=False,
            headers=ANSWER_HEADERS,
            limit_concurrency=MAX_CONNECTIONS,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=STOP_S,
        ),
        tls,
    )


def raise_open_files_limit() -> None:
    """Lets the process have as many connections as it may: the usual soft limit is 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, MAX_OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
