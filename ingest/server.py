"""The HTTP server: uvicorn with the limits that it does not set by itself."""

import asyncio
import contextlib
import resource
import signal
from collections.abc import Iterator

import uvicorn
from prometheus_client import Counter
from starlette.types import ASGIApp

from ingest.crowd import Crowd
from ingest.guarded_protocol import GuardedProtocol
from ingest.turned_away import CountedState
from runtime.answer_headers import ANSWER_HEADERS
from runtime.https_server import HttpsServer
from runtime.tls_files import ServedTls

MAX_CONNECTIONS = 4_096
"""Twice what is promised; each costs about 10 KiB while it is idle. Beyond, requests are answered 503."""

SPARE_CONNECTIONS = 1_024
"""Beyond those, for whoever is to be told 503, and for probes; what comes after them is closed unheard."""

CROWDED = 0.75
"""With so many of them open, those that do nothing are asked to make room."""

MAX_OPEN_FILES = 65_536
KEEP_ALIVE_S = 75
"""Longer than the 60 s for which load balancers keep idle connections, so that they hang up first."""

STOP_S = 15
"""Longer than the 10 s that an event waits for Kafka: a stop answers whom it took in."""

CROWDED_KEEP_ALIVE_S = 5
"""As Apache keeps them at any time."""

MAX_CLOSING_S = 0.003
"""Of a tick, for connections that are late: a thousand that came together are late together, and closing all of them at
once held everybody else up for some hundred milliseconds. At about 0.1 ms each that is 300 a second."""

_TICKS_PER_S = 10  # uvicorn's


class Server(HttpsServer):
    """uvicorn's server, whose process ends with status 0 when it was told to stop.

    Args:
        config: uvicorn's.
        state: what all connections share.
        max_connections: beyond which requests are turned away.
        tls: what it speaks TLS with, if it does.
    """

    def __init__(
        self, config: uvicorn.Config, state: CountedState, max_connections: int, tls: ServedTls | None
    ) -> None:
        super().__init__(config, tls)
        self.server_state = state
        self._crowded = max_connections * CROWDED
        self._looked_at: Iterator[object] = iter(())

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
        """Closes late connections: looks at all of them once a second, unless there is too much to close."""
        if not self._close_late() and counter % _TICKS_PER_S == 0:
            self._looked_at = iter(list(self.server_state.connections))
            self._close_late()
        return await super().on_tick(counter)

    def _close_late(self) -> bool:
        """Whether there are connections left that were not looked at."""
        loop, connections = asyncio.get_running_loop(), self.server_state.connections
        now_s = loop.time()
        idle_s = CROWDED_KEEP_ALIVE_S if len(connections) > self._crowded else KEEP_ALIVE_S
        for connection in self._looked_at:
            if isinstance(connection, GuardedProtocol) and connection in connections:
                connection.close_when_late(now_s, idle_s)
            if loop.time() - now_s > MAX_CLOSING_S:
                return True
        return False

    def _stop(self) -> None:
        self.force_exit = self.should_exit
        self.should_exit = True


def build_server(
    app: ASGIApp,
    host: str,
    port: int,
    turned_away: Counter,
    tls: ServedTls | None,
    *,
    max_connections: int = MAX_CONNECTIONS,
) -> Server:
    """A server for an application; port 0 takes a free one.

    Args:
        app: what it serves.
        host: where it listens.
        port: where it listens.
        turned_away: counts whom the server closes, by `why`.
        tls: what it speaks TLS with; `None` is plain HTTP.
        max_connections: beyond which requests are turned away.
    """
    state = CountedState(turned_away, max_connections + SPARE_CONNECTIONS)
    config = uvicorn.Config(
        Crowd(app, state, max_connections),
        host=host,
        port=port,
        http=GuardedProtocol,
        ws="none",
        loop="none",
        lifespan="on",
        access_log=False,
        log_config=None,
        proxy_headers=False,  # only trusted proxies are believed, where the application begins
        server_header=False,
        headers=ANSWER_HEADERS,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=STOP_S,
    )
    return Server(config, state, max_connections, tls)


def raise_open_files_limit() -> None:
    """Lets the process have as many connections as it may: the usual soft limit is 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, MAX_OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
