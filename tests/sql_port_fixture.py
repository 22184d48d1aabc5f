"""The projections service without a broker: its tables are there and empty, and both ports answer SQL."""

import os
import signal
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from runtime.embedded.broker_files import free_port
from tests.projections_fixture import ADMIN_KEY, DEADLINE_S, until

USER = "analyst"


class SqlService:
    """One projections process that waits for Kafka, on a data directory of its own.

    Args:
        folder: for data and log.
        trusted: over TLS, whom we trust.
        settings: more of them.
    """

    def __init__(self, folder: Path, trusted: ssl.SSLContext | None = None, **settings: object) -> None:
        self.folder = folder
        self._scheme = "https" if trusted else "http"
        self._verify: ssl.SSLContext | bool = trusted or True
        self.port, self.query_port, kafka_port = free_port(), free_port(), free_port()
        chosen = {
            "data_dir": folder / "data",
            "sql_port": self.port,
            "query_port": self.query_port,
            "kafka_port": kafka_port,
            "admin_key": ADMIN_KEY,
            **settings,
        }
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("HOOKLOG_")}
        self._environment = inherited | {f"HOOKLOG_{name.upper()}": str(value) for name, value in chosen.items()}
        self._client = httpx.Client(
            base_url=self.url, auth=(USER, ADMIN_KEY), timeout=60, trust_env=False, verify=self._verify
        )
        self._rest = httpx.Client(headers={"Authorization": f"Bearer {ADMIN_KEY}"}, timeout=60, trust_env=False)

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"{self._scheme}://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Returns when it answers queries."""
        command = "from projections.app import run; from runtime.settings import Settings; run(Settings())"
        with (self.folder / "projections.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", command], env=self._environment, cwd=self.folder, stdout=log, stderr=log
            )
        until(self._answers, "the SQL port")

    def _answers(self) -> bool:
        assert self.process.poll() is None, self.log()
        try:
            return self.ask("SELECT 1").status_code == 200
        except httpx.TransportError:
            return False

    def stop(self) -> int:
        """Asks it to end, and gives its exit code."""
        self._client.close()
        self._rest.close()
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(DEADLINE_S)

    def ask(self, text: str, **params: str) -> httpx.Response:
        """The answer to a POST, with parameters in the URL."""
        return self._client.post("/", params=params, content=text.encode())

    def send(self, method: str = "GET", path: str = "/", **request: Any) -> httpx.Response:
        """The answer to a request without a key, unless it brings one."""
        return httpx.request(method, f"{self.url}{path}", timeout=60, trust_env=False, **request)

    def rest(self, query: str, **document: Any) -> httpx.Response:
        """The answer of the query API to the same."""
        return self._rest.post(
            f"http://127.0.0.1:{self.query_port}/api/v1/sql",
            json={"query": query, **document},
        )

    def log(self) -> str:
        """What it has logged."""
        return (self.folder / "projections.log").read_text()


@pytest.fixture(scope="module")
def sql_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqlService]:
    """A running service."""
    service = SqlService(tmp_path_factory.mktemp("sql"))
    service.start()
    yield service
    assert service.stop() == 0
