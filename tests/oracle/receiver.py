"""Starts the sink and reads its books."""

import base64
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.oracle.http import get
from tests.oracle.sink import Entry

ROOT = Path(__file__).parent.parent.parent


class Receiver:
    """The sink's process, as the test sees it.

    Args:
        keep_bodies: keep every header and body; for small runs.
    """

    def __init__(self, *, keep_bodies: bool = False) -> None:
        self._command = [sys.executable, "-m", "tests.oracle.sink", *(["--bodies"] if keep_bodies else [])]
        self._process: subprocess.Popen[str] | None = None
        self.port = 0

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout
        self.port = int(self._process.stdout.readline())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.communicate(timeout=10)

    def url(self, path: str) -> str:
        """The address of one of its endpoints."""
        return f"http://127.0.0.1:{self.port}{path}"

    async def count(self) -> int:
        """How many requests have come."""
        return int((await get(self.port, "/count")).body)

    async def taken(self) -> int:
        """How many deliveries were taken, repeats not counted."""
        return int((await get(self.port, "/taken")).body)

    async def books(self) -> list[Entry]:
        """Every request that has come, in order."""
        return [Entry(**entry) for entry in (await get(self.port, "/books")).json()]

    async def at(self, path: str) -> list[Entry]:
        """Every request to one endpoint, in order."""
        return [entry for entry in await self.books() if entry.path == path]


def body_of(entry: Entry) -> bytes:
    """The body of a request that was kept."""
    return base64.b64decode(entry.body)
