"""What `benchmarks.ingest` measures: Hooklog's ingest and the ordinary route, on one broker that nobody else reads."""

import asyncio
import json
import os
import secrets
import signal
import subprocess
import sys
from base64 import b64encode
from dataclasses import asdict
from pathlib import Path

from benchmarks.measure import ROOT
from benchmarks.ordinary import Ordinary
from runtime.embedded.kafka import EmbeddedKafka
from runtime.settings import Settings
from runtime.streams import create_streams
from tests.oracle.http import NoAnswerError, get, send_json
from tests.oracle.stack import HOOKLOG, free_ports, until

SECRET = "it's a secret to everybody"  # noqa: S105 - of GitHub's documentation
TOPIC = "bench"
READY_S = 60.0


class WaysIn:
    """A broker, Hooklog's ingest and the ordinary route; the config agent runs only until the topic is there.

    Args:
        folder: for data and logs.

    Attributes:
        ports: by name: hooklog, and the ordinary route bare and hardened.
    """

    def __init__(self, folder: Path) -> None:
        kafka, hooklog, bare, hardened, self._agent_port = free_ports(5)
        self.ports = {"hooklog": hooklog, "bare": bare, "hardened": hardened}
        self._folder = folder
        self._kafka = EmbeddedKafka(folder / "kafka", kafka)
        self._settings = Settings(
            data_dir=folder / "data",
            kafka_bootstrap=self._kafka.bootstrap,
            admin_key=secrets.token_urlsafe(16),
            encryption_keys=f"bench:{b64encode(bytes(32)).decode()}",
            ingest_port=hooklog,
            processors_port=self._agent_port,
        )
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    async def start(self) -> None:
        """Starts everything; returns when all take events."""
        self._settings.data_dir.mkdir()
        await self._kafka.start()
        await create_streams(self._settings)
        self._start("agent", [HOOKLOG, "processors"])
        self._start("hooklog", [HOOKLOG, "ingest"])
        for name in ("bare", "hardened"):
            told = Ordinary(self._kafka.bootstrap, self.ports[name], SECRET, name == "hardened")
            self._start(name, [sys.executable, "-m", "benchmarks.ordinary", json.dumps(asdict(told))])
        for port, path in ((self._agent_port, "/ready"), (self.ports["hooklog"], "/ready")):
            await until(f"port {port}", lambda port=port, path=path: _answers(port, path), READY_S)
        for name in ("bare", "hardened"):
            await until(name, lambda name=name: _answers(self.ports[name], "/openapi.json"), READY_S)
        await self._put("sources", auth_type="github", secret=SECRET)
        await self._put("topics", source_id=TOPIC)
        await self._end("agent")

    async def _put(self, kind: str, **document: str) -> None:
        authorized = {"Authorization": f"Bearer {self._settings.admin_key}"}
        path = f"/api/v1/{kind}/{TOPIC}"
        answer = await send_json("PUT", self.ports["hooklog"], path, document, authorized)
        assert answer.status == 201, answer.body

    def _start(self, name: str, command: list[str]) -> None:
        chosen = self._settings.model_dump(exclude_none=True).items()
        variables = {f"HOOKLOG_{key.upper()}": str(value) for key, value in chosen}
        with (self._folder / f"{name}.log").open("ab") as log:
            self._processes[name] = subprocess.Popen(
                command, env=os.environ | variables, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def pids(self) -> dict[str, int]:
        """Of all three and the broker."""
        assert self._kafka.pid is not None
        return {"kafka": self._kafka.pid} | {name: process.pid for name, process in self._processes.items()}

    async def stop(self) -> None:
        """Ends everything."""
        for name in list(self._processes):
            await self._end(name)
        await self._kafka.stop()

    async def _end(self, name: str) -> None:
        process = self._processes.pop(name)
        process.send_signal(signal.SIGTERM)
        await asyncio.to_thread(process.wait, 30)


async def _answers(port: int, path: str) -> bool:
    try:
        return (await get(port, path, timeout_s=5)).status == 200
    except NoAnswerError:
        return False
