"""`run.json`: which processes run on a data directory, for `hooklog status`."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class ServiceRow:
    """One service's process id (None between two lives), its port, and whether it speaks TLS there."""

    pid: int | None
    port: int
    https: bool = False


class RunFile:
    """The file in one data directory; written whole or not at all."""

    def __init__(self, data_dir: Path) -> None:
        self._file = data_dir / "run.json"

    def write(self, services: dict[str, ServiceRow]) -> None:
        """Replace the file."""
        document = {"pid": os.getpid(), "services": {name: asdict(row) for name, row in services.items()}}
        draft = self._file.with_suffix(".new")
        draft.write_text(json.dumps(document), encoding="utf-8")
        draft.replace(self._file)

    def read(self) -> dict[str, ServiceRow]:
        """Return the services of the last write; empty when there is no (whole) file."""
        try:
            document: dict[str, Any] = json.loads(self._file.read_text(encoding="utf-8"))
            return {name: ServiceRow(**row) for name, row in document["services"].items()}
        except (OSError, ValueError, KeyError, TypeError):
            return {}

    def remove(self) -> None:
        """Remove the file: nothing runs here any more."""
        self._file.unlink(missing_ok=True)
