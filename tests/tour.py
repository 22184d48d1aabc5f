"""Runs the console blocks of a document as they are written, and holds what comes against what is printed there.

A line that starts with `$ ` is a command, and goes on as long as it ends with `\\` or `|`; what follows is what it
prints. `...` stands for anything, alone in a line for any lines. What differs each time (ids, times, secrets) is
compared by its form.
"""

import os
import re
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

DEADLINE_S = 60.0
POLL_S = 0.2
ASKING = re.compile(r"hooklog (events|deliveries|attempts|sql|status|\w+ list)\b|cat ")
"""Commands that only look: they are repeated until they show what the document shows."""

_FORMS = (
    (re.compile(r"whsec_[A-Za-z0-9+/=]+"), "whsec_…"),
    (re.compile(r"v1,[A-Za-z0-9+/=]{40,}"), "v1,…"),
    (re.compile(r"\b[0-9A-HJKMNP-TV-Z]{26}\b"), "ULID"),
    (re.compile(r"\b[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}\b"), "TRACE"),
    (re.compile(r"\b[0-9a-f]{32}\b"), "ID"),
    (re.compile(r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?Z?"), "TIME"),
    (re.compile(r"\b\d\d:\d\d:\d\d(\.\d+)?"), "TIME"),
    (re.compile(r"\b1[0-9]{9}\b"), "EPOCH"),
    (re.compile(r"(?<![\w.])\d+(\.\d+)? ?(ms|s)\b"), "DURATION"),
    (re.compile(r'(duration_ms|version|generation)":\d+'), r'\1":N'),
    (re.compile(r"\bpid=?\s*\d+|(?<=\d{4})  +\d+$"), "PID"),
    (re.compile(r"[ \t]+"), " "),
)


@dataclass(frozen=True)
class Step:
    """One command of a document, and the lines that it is said to print."""

    line: int
    command: str
    expected: tuple[str, ...]


def steps_of(text: str) -> Iterator[Step]:
    """The commands of every console block, in order."""
    number, inside = 0, False
    lines = text.splitlines()
    while number < len(lines):
        line = lines[number]
        number += 1
        if line.startswith("```"):
            inside = line == "```console"
        elif inside and line.startswith("$ "):
            began, command = number, line[2:]
            while command.endswith(("\\", "|")):
                command += "\n" + lines[number]
                number += 1
            first = number
            while not lines[number].startswith(("```", "$ ")):
                number += 1
            yield Step(began, command, tuple(lines[first:number]))


def matches(expected: Iterable[str], printed: Iterable[str]) -> bool:
    """Whether what was printed is what was expected, blank lines and forms aside."""
    pattern = "".join(
        r"(?:.*\n)*" if line == "..." else ".*".join(map(re.escape, line.split("..."))) + r"\n"
        for line in _lines(expected)
    )
    return re.fullmatch(pattern, "".join(f"{line}\n" for line in _lines(printed))) is not None


def _lines(text: Iterable[str]) -> Iterator[str]:
    return (formed for line in text if (formed := _form(line)))


def _form(line: str) -> str:
    for pattern, form in _FORMS:
        line = pattern.sub(form, line)
    return line.strip()


class Shell:
    """One bash for a whole document, so that variables and background jobs live on.

    Args:
        folder: where it runs.
        environment: its variables.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._output = folder / "tour.out"
        self._done = folder / "tour.done"
        self._process = subprocess.Popen(
            ["bash"],
            stdin=subprocess.PIPE,
            stdout=self._output.open("wb"),
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=dict(environment),
            text=True,
            start_new_session=True,
        )

    def run(self, command: str) -> list[str]:
        """What a command prints, when it has ended or gone to the background."""
        self._done.unlink(missing_ok=True)
        start = self._output.stat().st_size
        assert self._process.stdin
        self._process.stdin.write(f"{command}\ntouch {self._done}\n")
        self._process.stdin.flush()
        deadline = time.monotonic() + DEADLINE_S
        while not self._done.exists() or not self._has_begun(command):
            assert time.monotonic() < deadline, f"{command!r} does not end"
            assert self._process.poll() is None, f"{command!r} ended the shell"
            time.sleep(POLL_S / 4)
        return self._output.read_bytes()[start:].decode().splitlines()

    def _has_begun(self, command: str) -> bool:
        """Whether what went to the background has written its first line, as a person would wait for it."""
        background = re.search(r"> (\S+) &$", command)
        return background is None or (self._output.parent / background[1]).stat().st_size > 0

    def complaint(self, step: Step, expected: Sequence[str], command: str) -> str:
        """Runs a step, again and again when it only looks; what is wrong with it at last, or nothing."""
        deadline = time.monotonic() + DEADLINE_S
        while True:
            printed = self.run(command)
            if matches(expected, printed):
                return ""
            if not ASKING.match(command) or time.monotonic() > deadline:
                return "\n".join([f"line {step.line}: {step.command}", *printed, "but expected:", *expected])
            time.sleep(POLL_S)

    def end(self) -> None:
        """Ends it and everything it started."""
        os.killpg(self._process.pid, 15)
        self._process.wait(10)
