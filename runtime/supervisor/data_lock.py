"""One Hooklog on one data directory: the kernel holds the lock, and drops it however its owner ends."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

GIVE_UP_S = 0.5  # `hooklog status` touches the lock for an instant; a running stack holds it for good
RETRY_S = 0.05
_NAME = "hooklog.lock"


class StopTheOtherError(Exception):
    """Another Hooklog runs on the same data; the message has its process id."""


@contextmanager
def hold_data_dir(data_dir: Path) -> Iterator[None]:
    """Hold the data directory (which must exist) until the block ends.

    Raises:
        StopTheOtherError: another process holds it.
    """
    with (data_dir / _NAME).open("a+", encoding="ascii") as file:
        if not _lock(file):
            raise StopTheOtherError(f"another hooklog (pid {_pid(file)}) runs on {data_dir.absolute()}")
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def holder_pid(data_dir: Path) -> int | None:
    """Return the process id of the Hooklog that runs on this data, or None."""
    try:
        with (data_dir / _NAME).open("r", encoding="ascii") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return _pid(file)
    except FileNotFoundError:
        return None
    return None


def _lock(file: IO[str]) -> bool:
    deadline_s = time.monotonic() + GIVE_UP_S
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline_s:
                return False
            time.sleep(RETRY_S)
        else:
            return True


def _pid(file: IO[str]) -> int | None:
    file.seek(0)
    text = file.read().strip()
    return int(text) if text.isdigit() else None
