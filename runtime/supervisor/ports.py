"""Finds out before anything starts whether its ports are free, and who has those that are not."""

import contextlib
import errno
import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import psutil

SETTLE_S = 1.0  # a stack that was killed with -9 leaves its ports within milliseconds, not at once
RETRY_S = 0.05
COMMAND_SHOWN = 100  # characters of the owner's command line: enough to know it by


class FreePortError(Exception):
    """A port is taken; the message names it, its owner, and the variable that chooses another."""


@dataclass(frozen=True, slots=True)
class PortUse:
    """A port that will be needed, by whom, and the variable that sets it."""

    host: str
    port: int
    service: str
    variable: str


def require_free_ports(uses: Sequence[PortUse]) -> None:
    """Check every port, waiting up to a second for a port that is being given back.

    Raises:
        FreePortError: ports are taken, cannot be bound, or two services have the same one.
    """
    problems = [*_shared(uses)]
    deadline_s = time.monotonic() + SETTLE_S
    for use in uses:
        error = _bind_error(use)
        while error and error.errno == errno.EADDRINUSE and time.monotonic() < deadline_s:
            time.sleep(RETRY_S)
            error = _bind_error(use)
        if error:
            problems.append(_problem(use, error))
    if problems:
        raise FreePortError("\n".join(problems))


def _shared(uses: Sequence[PortUse]) -> list[str]:
    by_port: dict[int, PortUse] = {}
    problems = []
    for use in uses:
        other = by_port.setdefault(use.port, use)
        if other is not use:
            problems.append(f"{other.variable} and {use.variable} are both {use.port}: change one of them")
    return problems


def _bind_error(use: PortUse) -> OSError | None:
    family = socket.AF_INET6 if ":" in use.host else socket.AF_INET
    with socket.socket(family) as probe:
        # As the servers do it: connections that are closing do not count as taken.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((use.host, use.port))
        except OSError as error:
            return error
    return None


def _problem(use: PortUse, error: OSError) -> str:
    what = f"port {use.port} of {use.host} (for {use.service})"
    if error.errno != errno.EADDRINUSE:
        return f"{what} cannot be used: {error.strerror or error}; set {use.variable} or HOOKLOG_HOST"
    return f"{what} is taken by {port_owner(use.port)}; stop that, or set {use.variable}"


def port_owner(port: int) -> str:
    """Name the process that listens on a TCP port, as well as this user may know it."""
    pid = _listener(port)
    if pid is None:
        return "a process of another user"
    try:
        process = psutil.Process(pid)
        command = " ".join(process.cmdline()) or process.name()
    except psutil.Error:
        return f"pid {pid}"
    return f"pid {pid} ({command[:COMMAND_SHOWN]})"


def _listener(port: int) -> int | None:
    return next((pid for listening, pid in _listeners() if listening == port and pid), None)


def _listeners() -> Iterator[tuple[int, int | None]]:
    """Yield (port, process id) of every listening socket that this user may see."""
    try:
        for item in psutil.net_connections("tcp"):
            if item.status == psutil.CONN_LISTEN:
                yield item.laddr.port, item.pid
    except psutil.AccessDenied:  # macOS shows only one's own, one process at a time
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                for item in process.net_connections("tcp"):
                    if item.status == psutil.CONN_LISTEN:
                        yield item.laddr.port, process.pid
