"""What is measured: the whole gateway as an operator runs it, and the least that such a pipeline costs."""

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from benchmarks.bare import ATTEMPTS, EVENTS, Bare
from benchmarks.measure import ROOT
from runtime.embedded.kafka import EmbeddedKafka
from tests.oracle.http import get
from tests.oracle.stack import Stack, free_ports, until
from tests.oracle.team import SECRET, Team

PARTITIONS = 8
"""As many as Hooklog's streams have."""

ENDPOINTS = {
    "none": [],
    "one": ["/ok/one"],
    "once": ["/once/one"],
    "ten": [f"/ok/of-ten-{number}" for number in range(10)],
}
"""Who gets an event, by the kind of its topic."""


class Gateway:
    """Hooklog, with a topic for each of `ENDPOINTS`.

    Args:
        folder: for its data.
        sink: port of the endpoint.
    """

    def __init__(self, folder: Path, sink: int) -> None:
        self.stack = Stack(folder)
        self.port = self.stack.ports["ingest"]
        self._sink = sink
        self._topics: dict[str, str] = {}

    async def start(self) -> None:
        """Starts it and subscribes."""
        await self.stack.up()
        team = Team(self.stack)
        for kind, paths in ENDPOINTS.items():
            self._topics[kind] = await team.github_topic()
            for path in paths:
                await team.subscribe(
                    self._topics[kind],
                    f"http://127.0.0.1:{self._sink}{path}",
                    max_in_flight=100,
                    retry={"delays_s": [1]},
                    circuit_breaker=False,  # every first answer of one is a failure
                )

    async def stop(self) -> None:
        """Ends it."""
        await self.stack.down()

    def pids(self) -> Mapping[str, int]:
        """Every process, the supervisor too."""
        return self.stack.pids()

    def path(self, kind: str) -> str:
        """Where to post."""
        return f"/api/v1/ingest/{self._topics[kind]}"

    def endpoints(self, kind: str) -> Sequence[str]:
        """The paths of those who get it."""
        return ENDPOINTS[kind]

    async def idle(self) -> bool:
        """Whether the projections have everything."""
        metrics = (await get(self.stack.ports["projections"], "/metrics")).body.decode()
        lags = [line for line in metrics.splitlines() if line.startswith("hooklog_projections_lag_records{")]
        return bool(lags) and all(float(line.rpartition(" ")[2]) == 0 for line in lags)


class Floor:
    """The bare pipeline on a broker of its own.

    Args:
        folder: for its data.
        sink: port of the endpoint.
    """

    def __init__(self, folder: Path, sink: int) -> None:
        kafka_port, self.port = free_ports(2)
        self._kafka = EmbeddedKafka(folder / "kafka", kafka_port)
        self._bare = Bare(self._kafka.bootstrap, self.port, sink, SECRET, str(folder / "clickhouse"))
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    async def start(self) -> None:
        """Starts the broker and the three processes."""
        await self._kafka.start()
        admin = AIOKafkaAdminClient(bootstrap_servers=self._bare.bootstrap)
        await admin.start()
        await admin.create_topics([NewTopic(topic, PARTITIONS, 1) for topic in (EVENTS, ATTEMPTS)])
        await admin.close()
        for role in ("ingest", "worker", "projections"):
            self._start(role)
        await until("the bare ingest", self._listens, 30)

    async def change_worker(self) -> None:
        """Goes on with the loop in the place of the worker."""
        await _ended(self._processes.pop("worker"))
        self._start("loop")

    def _start(self, role: str) -> None:
        command = [sys.executable, "-m", "benchmarks.bare", role, json.dumps(asdict(self._bare))]
        self._processes[role] = subprocess.Popen(command, cwd=ROOT)

    async def _listens(self) -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return False
        writer.close()
        return True

    async def stop(self) -> None:
        """Ends everything."""
        for process in self._processes.values():
            await _ended(process)
        await self._kafka.stop()

    def pids(self) -> Mapping[str, int]:
        """The broker and the three: ingest, worker or loop, projections."""
        assert self._kafka.pid is not None
        return {"kafka": self._kafka.pid} | {role: process.pid for role, process in self._processes.items()}

    def path(self, kind: str) -> str:
        """Where to post; it has one topic."""
        return f"/{kind}"

    def endpoints(self, kind: str) -> Sequence[str]:  # noqa: ARG002 - the interface
        """The path of its only endpoint."""
        return ["/ok/bare"]

    async def idle(self) -> bool:
        """It inserts once a second and says nothing; the wait before this question is longer."""
        return True


async def _ended(process: "subprocess.Popen[bytes]") -> None:
    process.send_signal(signal.SIGINT)  # it commits and leaves its group
    await asyncio.to_thread(process.wait, 30)
