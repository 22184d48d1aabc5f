"""Keeps one child running: starts it again when it ends, later and later while it keeps ending."""

import asyncio
import time
from collections.abc import Callable

from runtime.embedded.jar_download import CannotFetchJarsError
from runtime.embedded.jar_lock import RefuseJarsError
from runtime.embedded.kafka import BrokerDiedError
from runtime.supervisor.backoff import Backoff
from runtime.supervisor.unit import Unit

READY_POLL_S = 0.1  # a person waits for the first one; three services make 30 small requests a second
EXIT_USAGE = 2  # a child's own word for "my settings are wrong"
START_ERRORS = (BrokerDiedError, RefuseJarsError, CannotFetchJarsError, OSError)


class CorrectSettingsError(Exception):
    """A service refused its settings before it was ever ready: starting it again would change nothing."""


class Keeper:
    """One child and its lives.

    Args:
        unit: the child.
        announce: called with a line for people when something happened to it.
        changed: called when its process id changed.
    """

    def __init__(self, unit: Unit, announce: Callable[[str], None], changed: Callable[[], None]) -> None:
        self.unit = unit
        self._announce = announce
        self._changed = changed
        self._backoff = Backoff()
        self._first_ready = asyncio.Event()
        self._ready_since_s: float | None = None
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> asyncio.Task[None]:
        """Start the child (unless it runs) and keep it; the task ends only with an error."""
        self._task = asyncio.create_task(self._keep(), name=f"keep {self.unit.name}")
        return self._task

    async def until_ready(self) -> None:
        """Wait until the child has been ready once."""
        await self._first_ready.wait()

    @property
    def was_ready(self) -> bool:
        """Whether the child has been ready once."""
        return self._first_ready.is_set()

    async def stop(self) -> None:
        """Keep it no longer, and let it finish."""
        await self._let_go()
        await self.unit.stop()

    async def kill(self) -> None:
        """Keep it no longer, and end it now."""
        await self._let_go()
        await self.unit.kill()

    async def _let_go(self) -> None:
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _keep(self) -> None:
        while True:
            end = await self._one_life()
            ready_s = 0.0 if self._ready_since_s is None else time.monotonic() - self._ready_since_s
            delay_s = self._backoff.after_life(ready_s)
            self._announce(f"{self.unit.name} {end}; starting it again in {delay_s:g} s")
            self._changed()
            await asyncio.sleep(delay_s)

    async def _one_life(self) -> str:
        """Start and outlive the child; returns how it ended, in words."""
        self._ready_since_s = None
        if self.unit.pid is None:
            try:
                await self.unit.start()
            except START_ERRORS as error:
                return f"did not start: {error}"
        self._changed()
        watch = asyncio.create_task(self._watch())
        try:
            code = await self.unit.wait()
        finally:
            watch.cancel()
        if code == EXIT_USAGE and not self.was_ready:
            raise CorrectSettingsError(f"{self.unit.name} refused its settings (see its lines above)")
        return f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"

    async def _watch(self) -> None:
        while not (await self.unit.ask_ready()).ready:
            await asyncio.sleep(READY_POLL_S)
        self._ready_since_s = time.monotonic()
        if self.was_ready:
            self._announce(f"{self.unit.name} is ready again")
        self._first_ready.set()
