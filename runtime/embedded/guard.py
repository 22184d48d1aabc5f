"""Runs a command so that it dies with the process that started it, even when that is killed with -9.

Used as `python guard.py PARENT_PID PIPE_FD command…`: it arranges the end and then becomes the command (same
process id). It is run as a file, without site packages, because each child pays for its start (15 ms).

Linux: `prctl(PR_SET_PDEATHSIG, SIGKILL)` (prctl(2)) survives exec. The signal comes when the *thread* that
forked ends, so children must be started from a thread that lives as long as they should: the event loop's.
Elsewhere: a watcher process waits for the end of a pipe whose other end only the parent holds.
The parent's side is `guarded.py`.
"""

import ctypes
import os
import select
import signal
import sys

PR_SET_PDEATHSIG = 1
WATCH_INTERVAL_S = 1.0  # how long a watcher outlives a command that ended by itself
USE_PIPE = "pipe"  # as a first argument: use the pipe even on Linux (tests of the other path)
ARGUMENTS_BEFORE_COMMAND = 2


def _die_with_parent(parent_pid: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != parent_pid:  # it died before prctl took effect, so no signal will come
        sys.exit(1)


def _watch_pipe(pipe_fd: int) -> None:
    command_pid = os.getpid()
    if os.fork() != 0:
        return
    while os.getppid() == command_pid:  # else the command ended by itself
        readable, _, _ = select.select([pipe_fd], [], [], WATCH_INTERVAL_S)
        if readable and os.getppid() == command_pid:
            os.kill(command_pid, signal.SIGKILL)
            break
    os._exit(0)


def main(arguments: list[str]) -> None:
    """Arrange the end, then become the command; never returns."""
    by_pipe = arguments[0] == USE_PIPE
    if by_pipe:
        arguments = arguments[1:]
    parent_pid, pipe_fd = int(arguments[0]), int(arguments[1])
    command = arguments[ARGUMENTS_BEFORE_COMMAND:]
    if sys.platform == "linux" and not by_pipe:
        _die_with_parent(parent_pid)
    else:
        _watch_pipe(pipe_fd)
    os.close(pipe_fd)
    os.execvp(command[0], command)  # noqa: S606 - becoming the command is the point


if __name__ == "__main__":
    main(sys.argv[1:])
