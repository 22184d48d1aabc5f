"""The README's tour does what it shows, command by command."""

import asyncio
import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.oracle.stack import Stack, free_ports
from tests.tour import Shell, matches, steps_of

pytestmark = pytest.mark.stack

ROOT = Path(__file__).parent.parent
ENVIRONMENT = Path(sys.executable).parent.parent

KCAT = """#!{python}
# What the tour uses of kcat, for machines that have none.
import asyncio, sys
from tests.oracle.kafka_reader import produce
arguments = sys.argv[1:]
key, _, value = sys.stdin.readline().rstrip("\\n").partition(":")
bootstrap, stream = (arguments[arguments.index(name) + 1] for name in ("-b", "-t"))
asyncio.run(produce(bootstrap, stream, key.encode(), value.encode()))
"""


@pytest.fixture
def newcomer(tmp_path: Path) -> Iterator[Stack]:
    """A gateway as `make up` leaves it: with a key that it made, in a folder that has the environment."""
    (tmp_path / ".venv").symlink_to(ENVIRONMENT)
    stack = Stack(tmp_path, data_dir=tmp_path / ".hooklog", admin_key="", encryption_keys="")
    try:
        asyncio.run(stack.up())
        yield stack
    finally:
        asyncio.run(stack.down())


def with_kcat(environment: dict[str, str], folder: Path) -> dict[str, str]:
    """The environment, with a kcat of ours when there is none."""
    if shutil.which("kcat"):
        return environment
    command = folder / "bin" / "kcat"
    command.parent.mkdir()
    command.write_text(KCAT.format(python=sys.executable))
    command.chmod(0o755)
    path = f"{command.parent}{os.pathsep}{environment['PATH']}"
    return environment | {"PATH": path, "PYTHONPATH": f"{ROOT}{os.pathsep}{environment.get('PYTHONPATH', '')}"}


def test_every_command_of_the_tour_prints_what_the_readme_shows(newcomer: Stack) -> None:
    ports = {"8000": "ingest", "8080": "projections", "8081": "processors", "9092": "kafka"}
    moved = {told: str(newcomer.ports[name]) for told, name in ports.items()} | {"9000": str(free_ports(1)[0])}

    def here(text: str) -> str:
        return re.sub(r"\b(8000|8080|8081|9092|9000)\b", lambda port: moved[port[0]], text)

    environment = with_kcat(newcomer.environment(), newcomer.folder)
    shell = Shell(newcomer.folder, environment | {"COLUMNS": "400"})
    try:
        steps = [step for step in steps_of((ROOT / "README.md").read_text()) if step.command != "make up"]
        assert len(steps) > 10
        for step in steps:
            complaint = shell.complaint(step, [here(line) for line in step.expected], here(step.command))
            assert not complaint, complaint
    finally:
        shell.end()


def test_the_comparison_tells_forms_from_facts() -> None:
    expected = ['{"event_id":"01M80QK7NHKW4FFQZ5T9BTJRYB","status":"QUEUED"}', "...", "took 12 ms"]
    assert matches(expected, ['{"event_id":"01M87DC0787C0S47GQHF3QQKQA","status":"QUEUED"}', "took 9 ms"])
    assert matches(expected, ['{"event_id":"01M87DC0787C0S47GQHF3QQKQA","status":"QUEUED"}', "and", "took 0.5 s"])
    assert not matches(expected, ['{"event_id":"01M87DC0787C0S47GQHF3QQKQA","status":"LOST"}', "took 9 ms"])
    assert not matches(expected, ['{"event_id":"01M87DC0787C0S47GQHF3QQKQA","status":"QUEUED"}', "took 9 ms", "more"])
    assert not matches(["a ... c"], ["a b"])
