"""What the supervisor keeps running: a service of Hooklog's own, or the embedded Kafka."""

import asyncio
import contextlib
import ssl
from asyncio.subprocess import PIPE
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from runtime.embedded.guarded import GuardedProcess
from runtime.embedded.kafka import EmbeddedKafka
from runtime.supervisor.http_probe import Readiness, ask_ready
from runtime.supervisor.output import Output

HURRY_S = 2.0  # for Kafka, when a person has asked twice
LAST_WORDS_S = 1.0  # what a dead child wrote is there at once; its own children may keep the pipe open


@dataclass(frozen=True, slots=True)
class ServiceSpec:
    """One row of the table of services.

    Args:
        name: as in `hooklog status`.
        command: the program and its arguments.
        host: what it binds.
        port: where it answers `/ready`.
        stop_timeout_s: how long it may take to finish what it has begun.
        tls: what it is asked with, where it speaks TLS.
    """

    name: str
    command: tuple[str, ...]
    host: str
    port: int
    stop_timeout_s: float
    tls: ssl.SSLContext | None = None


class Unit(Protocol):
    """A child that can be started, asked, and ended."""

    @property
    def name(self) -> str:
        """As in `hooklog status`."""

    @property
    def port(self) -> int:
        """Where it listens."""

    @property
    def https(self) -> bool:
        """Whether it speaks TLS there."""

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""

    async def start(self) -> None:
        """Start it; raises when that is impossible."""

    async def wait(self) -> int:
        """Wait for its end; the exit code, negative for a signal."""

    async def ask_ready(self) -> Readiness:
        """What it says of itself now."""

    async def stop(self) -> None:
        """Let it finish, then end it."""

    async def kill(self) -> None:
        """End it now."""


class ServiceUnit:
    """A service in a process of its own, its lines copied to the supervisor's output.

    Args:
        spec: the service.
        environment: all of its variables; None means the supervisor's own.
        output: where its lines go.
    """

    def __init__(self, spec: ServiceSpec, environment: Mapping[str, str] | None, output: Output) -> None:
        self.name = spec.name
        self.port = spec.port
        self.https = spec.tls is not None
        self._spec = spec
        self._environment = environment
        self._output = output
        self._process: GuardedProcess | None = None
        self._copying: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        return self._process.pid if self._process else None

    async def start(self) -> None:
        """Start the process; it becomes ready later."""
        self._process = await GuardedProcess.start(self._spec.command, output=PIPE, environment=self._environment)
        if self._process.output:
            self._copying = asyncio.create_task(self._output.copy(self.name, self._process.output))

    async def wait(self) -> int:
        """Wait for its end and its last words."""
        if self._process is None:
            raise RuntimeError(f"{self.name} was never started")
        code = await self._process.wait()
        if self._copying:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._copying, LAST_WORDS_S)
        return code

    async def ask_ready(self) -> Readiness:
        """Ask its port; a process that does not run is not ready, whoever answers there."""
        return await ask_ready(self._spec.host, self.port, self._spec.tls) if self.pid is not None else Readiness(0)

    async def stop(self) -> None:
        """SIGTERM, and SIGKILL when its time is over."""
        if self._process and self.pid is not None:
            await self._process.stop(self._spec.stop_timeout_s)
            await self.wait()

    async def kill(self) -> None:
        """SIGKILL."""
        if self._process and self.pid is not None:
            await self._process.kill()


class KafkaUnit:
    """The embedded Kafka as a child like the others; `start` returns when it is ready."""

    name = "kafka"
    https = False

    def __init__(self, kafka: EmbeddedKafka) -> None:
        self._kafka = kafka

    @property
    def port(self) -> int:
        """Where clients connect."""
        return self._kafka.port

    @property
    def pid(self) -> int | None:
        """The JVM's process id while it runs."""
        return self._kafka.pid

    async def start(self) -> None:
        """Start on the same data, and wait until clients are served."""
        await self._kafka.start()

    async def wait(self) -> int:
        """Wait for its end."""
        return await self._kafka.wait()

    async def ask_ready(self) -> Readiness:
        """Ask for its metadata."""
        return Readiness(200 if await self._kafka.answers() else 0)

    async def stop(self) -> None:
        """SIGTERM, and SIGKILL when its time is over."""
        await self._kafka.stop()

    async def kill(self) -> None:
        """SIGTERM with little patience: a clean end takes half a second and saves three at the next start."""
        await self._kafka.stop(timeout_s=HURRY_S)
