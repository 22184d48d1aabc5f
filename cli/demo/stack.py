"""Where the demo plays: a gateway of its own that is gone afterwards, or one that runs."""

import asyncio
import contextlib
import os
import random
import secrets
import shutil
import signal
import socket
import ssl
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from runtime.embedded.guarded import GuardedProcess
from runtime.supervisor.http_probe import ask_ready

if TYPE_CHECKING:
    from runtime.settings import Settings

READY_S = 180.0
"""A start takes ten seconds; the very first one downloads Kafka, and a busy machine is slow."""

ASK_AGAIN_S = 0.1
PATIENCE_S = 2.0
"""For an orderly stop. What this gateway holds is thrown away, so after that it is told to hurry."""

KILL_AFTER_S = 15.0
RETRY_SCALE = 0.5
"""Retries after half a second, one and one and a half: seen on a screen, and over in time."""

LAST_LINES = 12
PORTS = ("INGEST", "QUERY", "PROCESSORS", "KAFKA", "SQL")
FIRST_PORT, LAST_PORT = 20_000, 32_000
"""Below those that outgoing connections are given: another's connection must not take a port before its server does."""


class CannotPlayError(Exception):
    """The demo cannot go on; the message says why."""


@dataclass(frozen=True, slots=True)
class Place:
    """A running gateway: its APIs, the key to them, and its Kafka."""

    ingest_url: str
    query_url: str
    admin_key: str
    bootstrap: str
    kafka_prefix: str = "hooklog."
    verify: ssl.SSLContext | bool = True


def running_place(settings: "Settings") -> Place:
    """Return where the gateway of these settings is.

    Raises:
        CannotPlayError: there is no key to it.
    """
    from cli.gateway import Gateway
    from runtime.secrets_files import SetSecretError, load_admin_key
    from runtime.supervisor.data_lock import holder_pid
    from runtime.supervisor.run_file import RunFile

    gateway = Gateway(settings)
    rows = RunFile(settings.data_dir).read() if holder_pid(settings.data_dir) else {}
    try:
        key = load_admin_key(settings)
    except SetSecretError as error:
        raise CannotPlayError(str(error)) from error
    bootstrap = f"127.0.0.1:{rows['kafka'].port}" if "kafka" in rows else settings.bootstrap
    return Place(gateway.url("ingest"), gateway.url("query"), key, bootstrap, settings.kafka_prefix, gateway.verify)


@contextlib.asynccontextmanager
async def temporary_place(told: Callable[[str], None]) -> AsyncIterator[Place]:
    """Run `hooklog up` on free ports in a new folder; both are gone when the block ends, however it does.

    Args:
        told: hears what is being waited for.

    Raises:
        CannotPlayError: it does not become ready.
    """
    folder = Path(tempfile.mkdtemp(prefix="hooklog-demo-"))
    try:
        ports = dict(zip(PORTS, free_ports(len(PORTS)), strict=True))
        key = secrets.token_urlsafe(16)
        with (folder / "up.log").open("wb") as log:
            # Guarded: it ends when this process does, even when that is killed.
            process = await GuardedProcess.start(
                [sys.executable, "-m", "cli.main", "up"],
                output=log.fileno(),
                cwd=folder,
                environment=_environment(folder, ports, key),
            )
        try:
            await _until_ready(process, folder / "up.log", ports, told)
            url = "http://127.0.0.1:{}".format
            yield Place(url(ports["INGEST"]), url(ports["QUERY"]), key, f"127.0.0.1:{ports['KAFKA']}")
        finally:
            await asyncio.shield(_end(process))
    finally:
        await asyncio.to_thread(_remove, folder)


def _environment(folder: Path, ports: dict[str, int], key: str) -> dict[str, str]:
    # None of the caller's own settings: they are for another gateway, perhaps a cluster.
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("HOOKLOG_")}
    chosen = {f"HOOKLOG_{name}_PORT": str(port) for name, port in ports.items()}
    return {
        **inherited,
        **chosen,
        "HOOKLOG_DATA_DIR": str(folder / "data"),
        "HOOKLOG_ADMIN_KEY": key,
        "HOOKLOG_RETRY_SCALE": str(RETRY_SCALE),
        "HOOKLOG_PARTITIONS": "2",  # fewer to open and to watch; the work is the same
    }


async def _until_ready(process: GuardedProcess, log: Path, ports: dict[str, int], told: Callable[[str], None]) -> None:
    deadline_s = time.monotonic() + READY_S
    for name in ("INGEST", "PROCESSORS", "QUERY"):
        while not (await ask_ready("127.0.0.1", ports[name])).ready:
            if process.pid is None:
                raise CannotPlayError(f"the gateway ended while it started:\n{_tail(log)}")
            if time.monotonic() > deadline_s:
                raise CannotPlayError(f"the gateway is not ready after {READY_S:g} s:\n{_tail(log)}")
            told(_step(log))
            await asyncio.sleep(ASK_AGAIN_S)


def _step(log: Path) -> str:
    """What the supervisor said last, for people."""
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.startswith("hooklog ")]
    return lines[-1].partition("| ")[2] if lines else "starting"


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-LAST_LINES:])


async def _end(process: GuardedProcess) -> None:
    pid = process.pid
    if pid is None:
        return
    ending = asyncio.create_task(process.stop(KILL_AFTER_S))
    await asyncio.wait({ending}, timeout=PATIENCE_S)
    if not ending.done():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)  # the second one: it waits for nobody any more
    await ending


def _remove(folder: Path) -> None:
    deadline_s = time.monotonic() + KILL_AFTER_S
    while folder.exists() and time.monotonic() < deadline_s:
        shutil.rmtree(folder, ignore_errors=True)  # whoever was killed may still be writing


def free_ports(count: int) -> list[int]:
    """Return loopback ports that nobody uses now."""
    found: list[int] = []
    for port in random.SystemRandom().sample(range(FIRST_PORT, LAST_PORT), LAST_PORT - FIRST_PORT):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            found.append(port)
        if len(found) == count:
            break
    return found
