"""Ingest as a process of its own, which a test may measure, stop in its tracks, and kill."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import psutil

from runtime.embedded.broker_files import free_port
from tests.ingest_fixture import ADMIN_KEY, DEADLINE_S, KEYS, Gateway, answers, wait_until

MIB = 1_048_576
_PROGRAM = "from ingest.app import run; from runtime.settings import Settings; run(Settings())"


@dataclass
class IngestProcess:
    """One process on the streams of a gateway.

    Attributes:
        port: the same after every start.
    """

    gateway: Gateway
    port: int = field(default_factory=free_port)
    _child: "subprocess.Popen[bytes] | None" = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self._child is not None
        return self._child.pid

    @property
    def alive(self) -> bool:
        return self._child is not None and self._child.poll() is None

    def rss_mib(self) -> float:
        """Its resident memory."""
        return float(psutil.Process(self.pid).memory_info().rss / MIB)

    def start(self) -> None:
        """Starts it; returns at once."""
        settings = self.gateway.settings
        variables = {
            "HOOKLOG_KAFKA_BOOTSTRAP": settings.kafka_bootstrap,
            "HOOKLOG_KAFKA_PREFIX": settings.kafka_prefix,
            "HOOKLOG_PARTITIONS": str(settings.partitions),
            "HOOKLOG_DATA_DIR": str(settings.data_dir),
            "HOOKLOG_INGEST_PORT": str(self.port),
            "HOOKLOG_ADMIN_KEY": ADMIN_KEY,
            "HOOKLOG_ENCRYPTION_KEYS": KEYS,
        }
        with (settings.data_dir / f"ingest-{self.port}.log").open("ab") as log:
            self._child = subprocess.Popen(
                [sys.executable, "-c", _PROGRAM], env=os.environ | variables, stdout=log, stderr=log
            )

    def wait_ready(self) -> None:
        wait_until(lambda: answers(f"{self.url}/ready", 200))

    def kill(self) -> None:
        """As a crash does."""
        os.kill(self.pid, signal.SIGKILL)
        assert self._child is not None
        self._child.wait(DEADLINE_S)

    def stop(self) -> None:
        """Asks it to end, and sees to it."""
        if self._child is not None and self.alive:
            self._child.terminate()
            try:
                self._child.wait(DEADLINE_S)
            finally:
                self._child.kill()


@contextmanager
def ingest_processes(gateway: Gateway, count: int) -> Iterator[list[IngestProcess]]:
    """So many of them, ready; the first one has the gateway's own port."""
    processes = [
        IngestProcess(gateway, gateway.settings.ingest_port),
        *(IngestProcess(gateway) for _ in range(1, count)),
    ]
    try:
        for process in processes:
            process.start()
        for process in processes:
            process.wait_ready()
        yield processes
    finally:
        for process in processes:
            process.stop()
