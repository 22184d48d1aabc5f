"""A server for one of the two ports: which `Host` is answered, who may say addresses, and TLS are alike on both."""

import contextlib
from collections.abc import Iterator

import uvicorn
from starlette.types import ASGIApp

from rules.forwarded import client_address
from runtime.answer_headers import ANSWER_HEADERS
from runtime.hosts import AllowedHosts
from runtime.https_server import HttpsServer
from runtime.settings import Settings
from runtime.tls_files import ServedTls
from runtime.trusted_proxies import TrustedProxies

CLOSE_S = 3
"""What a stop waits for answers on their way."""


class UnsignalledServer(HttpsServer):
    """Leaves the signals to the service, which has more to stop than a server."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Captures none."""
        yield


def http_server(settings: Settings, app: ASGIApp, tls: ServedTls | None) -> UnsignalledServer:
    """The server; its sockets are given to `serve`.

    Args:
        settings: of this process.
        app: what answers.
        tls: what connections are made with; `None` is plain HTTP.
    """
    proxies = settings.trusted_networks
    return UnsignalledServer(
        uvicorn.Config(
            TrustedProxies(app, lambda peer, said: client_address(peer, said, proxies)),
            ws="none",
            lifespan="off",
            access_log=False,
            log_config=None,
            proxy_headers=False,
            server_header=False,
            headers=ANSWER_HEADERS,
            timeout_graceful_shutdown=CLOSE_S,
        ),
        tls,
    )


def only_our_hosts(settings: Settings, app: ASGIApp) -> ASGIApp:
    """Refuses requests that a web page made by rebinding its name."""
    return AllowedHosts(app, settings.allowed_host_names)
