"""Child processes that never outlive this one, whatever ends it; `guard.py` is the child's side."""

import asyncio
import contextlib
import os
import signal
import sys
from asyncio import StreamReader
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Mapping, Sequence
from pathlib import Path

from runtime.embedded import guard


class GuardedProcess:
    """A running child in a session of its own: Ctrl-C reaches only its parent, which ends it in its own order.

    Start it from a thread that lives as long as the child should (see `guard.py`).
    """

    def __init__(self, process: Process, pipe_fd: int) -> None:
        self._process = process
        self._pipe_fd: int | None = pipe_fd

    @classmethod
    async def start(
        cls,
        command: Sequence[str],
        *,
        output: int | None = DEVNULL,
        cwd: Path | None = None,
        environment: Mapping[str, str] | None = None,
        by_pipe: bool = False,
    ) -> "GuardedProcess":
        """Start a command.

        Args:
            command: the program and its arguments.
            output: where stdout and stderr go: a descriptor, the constants of `asyncio.subprocess`, or None for
                where this process's own go.
            cwd: the working directory; None means this one.
            environment: all of the child's variables; None means this process's own.
            by_pipe: use the pipe even where Linux's prctl is there.

        Raises:
            OSError: Python itself cannot be started; a missing program is exit code 1 instead.
        """
        read_fd, write_fd = os.pipe()
        mode = [guard.USE_PIPE] if by_pipe else []
        launcher = [sys.executable, "-I", "-S", guard.__file__, *mode, str(os.getpid()), str(read_fd)]
        try:
            process = await asyncio.create_subprocess_exec(
                *launcher,
                *command,
                stdin=DEVNULL,
                stdout=output,
                stderr=asyncio.subprocess.STDOUT if output == asyncio.subprocess.PIPE else output,
                cwd=cwd,
                env=environment,
                pass_fds=(read_fd,),
                start_new_session=True,
            )
        except BaseException:
            os.close(write_fd)
            raise
        finally:
            os.close(read_fd)
        return cls(process, write_fd)

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        return self._process.pid if self._process.returncode is None else None

    @property
    def output(self) -> StreamReader | None:
        """Stdout and stderr together, when started with `output=PIPE`."""
        return self._process.stdout

    async def wait(self) -> int:
        """Wait for the end and return the exit code (negative: the signal)."""
        code = await self._process.wait()
        if self._pipe_fd is not None:
            os.close(self._pipe_fd)
            self._pipe_fd = None
        return code

    async def stop(self, timeout_s: float) -> int:
        """Ask it to end (SIGTERM), kill it after `timeout_s`; returns the exit code."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)
        try:
            return await asyncio.wait_for(self.wait(), timeout_s)
        except TimeoutError:
            return await self.kill()

    async def kill(self) -> int:
        """End it at once, with what it started itself (SIGKILL to its group); returns the exit code."""
        if self.pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
        return await self.wait()
