"""The command line against ingest and the config agent on streams of their own: what a test prunes is its own."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.ingest_fixture import ADMIN_KEY, Gateway
from tests.kafka_fixture import RunningKafka


@dataclass(frozen=True, slots=True)
class Ended:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def objects(self) -> list[dict[str, Any]]:
        """The JSON objects of its lines."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def object(self) -> dict[str, Any]:
        """The one JSON object."""
        (found,) = self.objects
        return found


class CommandLine:
    """Runs `hooklog` in a folder.

    Args:
        folder: where it runs, with its data.
        settings: `HOOKLOG_*` and other variables, beside which it has none of ours.
    """

    def __init__(self, folder: Path, settings: dict[str, str]) -> None:
        self.folder = folder
        self._settings = {"HOOKLOG_DATA_DIR": str(folder / "data")} | settings

    @property
    def command(self) -> list[str]:
        """The beginning of every command."""
        return [sys.executable, "-m", "cli.main"]

    def environment(self, **more: str) -> dict[str, str]:
        """The variables of a command."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("HOOKLOG_")}
        root = str(Path(__file__).parent.parent)
        return inherited | {"PYTHONPATH": root, "COLUMNS": "200"} | self._settings | more

    def __call__(self, *arguments: str, stdin: str = "", **variables: str) -> Ended:
        """Run a command without a terminal."""
        ended = subprocess.run(
            [*self.command, *arguments],
            cwd=self.folder,
            env=self.environment(**variables),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        return Ended(ended.returncode, ended.stdout, ended.stderr)

    def ok(self, *arguments: str, stdin: str = "", **variables: str) -> Ended:
        """Run a command that must end well."""
        ended = self(*arguments, stdin=stdin, **variables)
        assert ended.code == 0, ended
        return ended

    def write(self, name: str, text: str) -> Path:
        """Write a file below the folder."""
        file = self.folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file


@pytest.fixture(scope="module")
def config_gateway(session_kafka: RunningKafka, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """Ingest and config agent for the commands of one module."""
    if session_kafka.pid is None:
        session_kafka.start()
    running = Gateway(session_kafka, tmp_path_factory.mktemp("gateway"))
    with running.processors(), running.ingest():
        yield running


@pytest.fixture
def hooklog(config_gateway: Gateway, tmp_path: Path) -> CommandLine:
    """The command, in a folder of the test, on a configuration without any record."""
    command = CommandLine(tmp_path, {"HOOKLOG_INGEST_URL": config_gateway.url, "HOOKLOG_ADMIN_KEY": ADMIN_KEY})
    with config_gateway.admin as admin:
        for kind in ("subscriptions", "topics", "sources"):
            for row in admin.get(f"/api/v1/{kind}", params={"limit": 500}).json()["data"]:
                assert admin.delete(f"/api/v1/{kind}/{row['id']}").status_code == 204
    return command
