"""A whole Hooklog as an operator runs it: `hooklog up`, and more processes beside it.

Everything runs on free ports in a folder of its own, is talked to over HTTP, Kafka and the command line only, and is
ended by its process id. What it printed is kept in the folder, and its end is shown when something fails.
"""

import asyncio
import base64
import contextlib
import json
import os
import random
import secrets
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.oracle.http import Answer, NoAnswerError, get, send_json

HOOKLOG = str(Path(sys.executable).parent / "hooklog")

READY_S = 120.0
"""A first start downloads Kafka; a busy machine is slow."""

POLL_S = 0.1
TAIL_LINES = 25
TAIL_CHARS = 300
SUPERVISED = ("kafka", "ingest", "processors", "projections")


class NotInTimeError(Exception):
    """Something that had to come did not; the message says what, and what was seen last."""


class Stack:
    """`hooklog up` in a folder, and extra services beside it.

    Args:
        folder: for data and logs.
        settings: more `HOOKLOG_*` variables, without the prefix and in lower case.
    """

    def __init__(self, folder: Path, **settings: object) -> None:
        self.folder = folder
        self.admin_key = secrets.token_urlsafe(16)
        self.ports = dict(zip((*SUPERVISED, "sql"), free_ports(len(SUPERVISED) + 1), strict=True))
        self._settings = {
            "data_dir": folder / "data",
            "admin_key": self.admin_key,
            "encryption_keys": f"test:{base64.b64encode(secrets.token_bytes(32)).decode()}",
            "kafka_port": self.ports["kafka"],
            "ingest_port": self.ports["ingest"],
            "processors_port": self.ports["processors"],
            "query_port": self.ports["projections"],
            "sql_port": self.ports["sql"],
            **settings,
        }
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._kinds: dict[str, str] = {}
        self.stopped: set[str] = set()  # extra services that are down on purpose

    @property
    def bootstrap(self) -> str:
        """Where Kafka is."""
        return f"127.0.0.1:{self.ports['kafka']}"

    async def up(self) -> None:
        """Starts everything; returns when it is ready."""
        self._start("up", "up", {})
        await self.ready(*SUPERVISED[1:])

    async def add(self, name: str, kind: str) -> None:
        """Starts one more `ingest` or `processors` beside the supervised ones; does not wait."""
        self._kinds[name] = kind
        self.ports.setdefault(name, free_ports(1)[0])
        self.start(name)

    def start(self, name: str) -> None:
        """Starts an extra service again, unless it runs."""
        running = self._processes.get(name)
        if running is not None and running.poll() is None:
            return
        self.stopped.discard(name)
        kind = self._kinds[name]
        self._start(name, kind, {f"{kind}_port": self.ports[name]})

    def revive(self) -> list[str]:
        """Starts extra services that have ended by themselves, as a process manager does; their names."""
        ended = [name for name in self._kinds if self._processes[name].poll() is not None]
        fallen = [name for name in ended if name not in self.stopped]
        for name in fallen:
            self.start(name)
        return fallen

    def _start(self, name: str, command: str, changes: dict[str, object]) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            self._processes[name] = subprocess.Popen(
                [HOOKLOG, command],
                env=self.environment(changes),
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # a Ctrl-C in the terminal is the test's, not theirs
            )

    def environment(self, changes: dict[str, object] | None = None) -> dict[str, str]:
        """The variables of a process."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("HOOKLOG_")}
        chosen = {f"HOOKLOG_{name.upper()}": str(value) for name, value in (self._settings | (changes or {})).items()}
        return inherited | chosen

    async def run(self, *arguments: str) -> str:
        """What a command of `hooklog` prints; it may fail."""
        process = await asyncio.create_subprocess_exec(
            HOOKLOG, *arguments, env=self.environment(), cwd=self.folder, stdout=subprocess.PIPE
        )
        output, _ = await process.communicate()
        return output.decode()

    def pids(self) -> dict[str, int]:
        """The process ids of what runs now, by name."""
        # Read as a file, because a command takes seconds on a machine that is busy being tested.
        run_file = json.loads((self.folder / "data" / "run.json").read_text())
        supervised = {name: item["pid"] for name, item in run_file["services"].items() if item["pid"]}
        alive = {name: process for name, process in self._processes.items() if process.poll() is None}
        return supervised | {name: process.pid for name, process in alive.items()}

    async def kill9(self, name: str) -> None:
        """Kills a process as a crash would; a supervised one comes back by itself."""
        await self._signal(name, signal.SIGKILL)

    async def sigterm(self, name: str) -> None:
        """Asks a process to end, and waits until it has."""
        await self._signal(name, signal.SIGTERM)

    async def freeze(self, name: str, for_s: float) -> None:
        """Stops a process in its tracks for a while, as a paused machine is; it goes on and knows nothing of it."""
        with contextlib.suppress(KeyError, ProcessLookupError):  # it is down at this moment, or was ended meanwhile
            pid = self.pids()[name]
            os.kill(pid, signal.SIGSTOP)
            await asyncio.sleep(for_s)
            os.kill(pid, signal.SIGCONT)

    async def _signal(self, name: str, number: signal.Signals) -> None:
        process = self._processes.get(name)
        if process is None:
            with contextlib.suppress(KeyError, ProcessLookupError):  # it is down at this moment
                os.kill(self.pids()[name], number)
            return
        self.stopped.add(name)
        process.send_signal(number)
        await asyncio.to_thread(process.wait, 60)

    async def ready(self, *names: str, within_s: float = READY_S) -> None:
        """Returns when `/ready` of all of them says yes.

        Raises:
            NotInTimeError: one does not.
        """
        deadline = time.monotonic() + within_s
        for name in names:
            while (seen := await self._ready(name)) != "ready":
                up = self._processes["up"]
                if time.monotonic() > deadline or up.poll() is not None:
                    raise NotInTimeError(f"{name} is not ready: {seen}\n{self.tails()}")
                await asyncio.sleep(POLL_S)

    async def _ready(self, name: str) -> str:
        try:
            answer = await get(self.ports[name], "/ready", timeout_s=5)
        except NoAnswerError as error:
            return str(error)
        return "ready" if answer.status == 200 else answer.body.decode(errors="replace")

    async def admin(self, method: str, path: str, document: Any = None, port: int = 0) -> Any:
        """A call with the admin key; its JSON answer.

        Raises:
            AssertionError: the answer is no success.
        """
        answer = await self.call(method, path, document, port)
        assert 200 <= answer.status < 300, (answer.status, answer.body)
        return answer.json() if answer.body else None

    async def call(self, method: str, path: str, document: Any = None, port: int = 0) -> Answer:
        """A call with the admin key, whatever its answer."""
        headers = {"Authorization": f"Bearer {self.admin_key}"}
        return await send_json(method, port or self.ports["ingest"], path, document, headers)

    async def query(self, path: str) -> Any:
        """A call to the read side; its JSON answer."""
        return await self.admin("GET", path, port=self.ports["projections"])

    async def sql(self, statement: str) -> list[dict[str, Any]]:
        """The rows of a statement, as the read side tells them."""
        asked = {"query": statement, "format": "json"}
        answer = await self.call("POST", "/api/v1/sql", asked, self.ports["projections"])
        assert answer.status == 200, (statement, answer.body)
        return [json.loads(line.decode(errors="replace")) for line in answer.body.splitlines()]

    def tails(self) -> str:
        """The end of what every process printed."""
        shown = []
        for log in sorted(self.folder.glob("*.log")):
            lines = log.read_text(errors="replace").splitlines()
            shown += [f"--- {log.name}", *(line[:TAIL_CHARS] for line in lines[-TAIL_LINES:])]
        return "\n".join(shown)

    async def down(self) -> None:
        """Ends everything, extra services first."""
        for name in sorted(self._processes, key=lambda item: item == "up"):
            await asyncio.to_thread(_end, self._processes[name])


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
    try:
        process.wait(60)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def free_ports(count: int) -> list[int]:
    """Ports that nobody uses at this moment, below those that outgoing connections are given."""
    found: list[int] = []
    candidates = random.Random().sample(range(20_000, 32_000), 200)
    while len(found) < count:
        port = candidates.pop()
        with socket.socket() as listener, contextlib.suppress(OSError):
            listener.bind(("127.0.0.1", port))
            found.append(port)
    return found


async def until(what: str, check: Any, within_s: float = 30.0, every_s: float = 0.05) -> Any:
    """The first result of `check` that is true.

    Raises:
        NotInTimeError: none was.
    """
    deadline = time.monotonic() + within_s
    while not (result := await check()):
        if time.monotonic() > deadline:
            raise NotInTimeError(f"{what}: not within {within_s} s, last seen {result!r}")
        await asyncio.sleep(every_s)
    return result
