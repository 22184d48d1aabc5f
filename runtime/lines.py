"""Log lines on their way out, many with one write."""

import asyncio
import atexit
import threading
from typing import BinaryIO

FLUSH_S = 0.1
"""How late an ordinary line may be. A write for each line wakes whoever reads the pipe: at 200 events a second, with
three lines each, that cost more than verifying them. A process that is killed loses the lines of that time, and
nothing else: what happened is in Kafka."""

MAX_HELD_BYTES = 65_536
"""As much as a pipe takes at once."""


class LineLogger:
    """A logger for structlog that gets rendered lines. What is ordinary may wait for company; a warning does not.

    Args:
        stream: where to.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()
        self._held = bytearray()
        self._loop: asyncio.AbstractEventLoop | None = None  # that will write what is held
        atexit.register(self.flush)

    def info(self, line: bytes) -> None:
        """Takes a line that can wait."""
        with self._lock:
            self._held += line + b"\n"
            full = len(self._held) > MAX_HELD_BYTES
        if full or not self._flushes_soon():
            self.flush()

    debug = info

    def warning(self, line: bytes) -> None:
        """Writes a line, and all that came before it."""
        with self._lock:
            self._held += line + b"\n"
        self.flush()

    warn = error = critical = exception = fatal = msg = warning

    def _flushes_soon(self) -> bool:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return False  # a thread: nothing there comes back to it
        if self._loop is not loop:
            self._loop = loop
            loop.call_later(FLUSH_S, self.flush)
        return True

    def flush(self) -> None:
        """Writes what is held."""
        with self._lock:
            self._loop = None
            held, self._held = self._held, bytearray()
            if held:
                self._stream.write(held)
                self._stream.flush()
