"""Every command of docs/ways-in.md prints what the page shows."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ingest_fixture import ADMIN_KEY, Gateway, gateway
from tests.tour import Shell, steps_of

__all__ = ["gateway"]

PAGE = (Path(__file__).parent.parent / "docs" / "ways-in.md").read_text()


@pytest.fixture
def shell(gateway: Gateway, tmp_path: Path) -> Iterator[Shell]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("HOOKLOG_")}
    running = Shell(
        tmp_path,
        inherited
        | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "COLUMNS": "400",
            "HOOKLOG_DATA_DIR": str(tmp_path / "data"),
            "HOOKLOG_INGEST_URL": gateway.url,
            "HOOKLOG_ADMIN_KEY": ADMIN_KEY,
        },
    )
    yield running
    running.end()


def test_every_command_of_the_page_prints_what_it_shows(gateway: Gateway, shell: Shell) -> None:
    steps = list(steps_of(PAGE))
    assert len(steps) > 12
    for step in steps:
        command = step.command.replace("8000", str(gateway.settings.ingest_port))
        complaint = shell.complaint(step, step.expected, command)
        assert not complaint, complaint
