"""Background work that must be waited for, and whose failure ends the worker."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

OnCrash = Callable[[BaseException], None]
"""Called for an error that nobody expected. What was being done is not acknowledged, so a new worker does it again;
going on would leave its partition standing still, unseen."""


class Tasks:
    """A set of running tasks.

    Args:
        on_crash: told of an error that nobody expected.
    """

    def __init__(self, on_crash: OnCrash) -> None:
        self._on_crash = on_crash
        self._running: set[asyncio.Task[None]] = set()

    def spawn(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        """Starts a task and keeps it until it ends."""
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._ended)
        return task

    def running(self) -> "list[asyncio.Task[None]]":
        """The tasks that have not ended."""
        return list(self._running)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()):
            self._on_crash(error)
