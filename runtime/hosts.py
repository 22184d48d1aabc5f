"""Refuses requests whose `Host` is not ours: a web page that rebinds its name to loopback gets nothing."""

import ipaddress
from functools import lru_cache

from starlette.types import ASGIApp, Receive, Scope, Send

from runtime.problem import ProblemError

MAX_HOST_BYTES = 512
"""A name has at most 253 characters (RFC 1035, section 2.3.4); what is longer is not remembered below."""


class AllowedHosts:
    """Pure ASGI: loopback names, the address that is bound, and the configured names pass.

    Args:
        app: what to protect.
        names: extra host names, without ports.
    """

    def __init__(self, app: ASGIApp, names: list[str]) -> None:
        self._app = app
        self._names = {"localhost", *(name.lower() for name in names)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the request on, or answers 421 (RFC 9110, section 15.5.20)."""
        if scope["type"] != "http" or self._allowed(scope):
            await self._app(scope, receive, send)
        else:
            await ProblemError(421, detail="add the name to HOOKLOG_ALLOWED_HOSTS").response()(scope, receive, send)

    def _allowed(self, scope: Scope) -> bool:
        for name, value in scope["headers"]:
            if name == b"host":
                if len(value) > MAX_HOST_BYTES:
                    return False
                host = _host_name(value)
                return host in self._names or _is_address(host)
        return False


@lru_cache(maxsize=1_024)  # a service is called by few names; more are parsed again, no more
def _host_name(value: bytes) -> str:
    host = value.decode("latin-1").lower()
    return host.rpartition("]")[0].lstrip("[") if host.startswith("[") else host.partition(":")[0]


@lru_cache(maxsize=1_024)  # as above
def _is_address(name: str) -> bool:
    # Rebinding needs a name: a browser that was given an address sends that address.
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
