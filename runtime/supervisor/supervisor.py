"""The order of things: Kafka, the streams, the services; and backwards."""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Sequence

from runtime.supervisor.keeper import START_ERRORS, CorrectSettingsError, Keeper
from runtime.supervisor.output import Output
from runtime.supervisor.run_file import RunFile, ServiceRow
from runtime.supervisor.unit import Unit

STILL_WAITING_S = 15.0  # long enough never to show on a good start, short enough to be a help on a bad one
EXIT_OK = 0
EXIT_FAILED = 1
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)  # HUP: the terminal was closed


class Supervisor:
    """Runs one Hooklog until it is asked to stop.

    Args:
        kafka: the embedded broker, or None when the cluster is somebody else's.
        services: started together once Kafka serves and `prepare` is done; stopped one by one, in this order.
        prepare: what must be done between Kafka and the services (streams).
        run_file: where the process ids are written down.
        output: where lines go.
        on_ready: called once, when everything is ready for the first time.
    """

    def __init__(
        self,
        *,
        kafka: Unit | None,
        services: Sequence[Unit],
        prepare: Callable[[], Awaitable[object]],
        run_file: RunFile,
        output: Output,
        on_ready: Callable[[], None],
    ) -> None:
        self._kafka = self._keeper(kafka) if kafka else None
        self._services = [self._keeper(unit) for unit in services]
        self._prepare = prepare
        self._run_file = run_file
        self._output = output
        self._on_ready = on_ready
        self._stopping = asyncio.Event()
        self._hurrying = asyncio.Event()

    def _keeper(self, unit: Unit) -> Keeper:
        return Keeper(unit, self._say, self._write_run_file)

    def handle_signals(self) -> None:
        """Stop on SIGINT, SIGTERM and SIGHUP; a second one stops waiting for anybody."""
        loop = asyncio.get_running_loop()
        for number in STOP_SIGNALS:
            loop.add_signal_handler(number, self.request_stop)

    def request_stop(self) -> None:
        """Stop in order; asked again, kill."""
        if self._stopping.is_set():
            self._hurrying.set()
        self._stopping.set()

    async def run(self) -> int:
        """Start, keep and stop everything; returns the exit code: 1 when it had to give up, else 0."""
        life = asyncio.create_task(self._live())
        stop = asyncio.create_task(self._stopping.wait())
        await asyncio.wait({life, stop}, return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        life.cancel()
        try:
            await life
        except asyncio.CancelledError:
            code = EXIT_OK
        except (CorrectSettingsError, CannotPrepareError, *START_ERRORS) as error:
            self._say(str(error))
            code = EXIT_FAILED
        finally:
            await self._stop_all()
        return code

    async def _live(self) -> None:
        kept = []
        if self._kafka:
            self._say("starting Kafka")
            await self._kafka.unit.start()
            kept.append(self._kafka.begin())
        try:
            await self._prepare()
        except Exception as error:
            raise CannotPrepareError(f"cannot prepare the streams: {error}") from error
        self._say("starting " + ", ".join(keeper.unit.name for keeper in self._services))
        kept += [keeper.begin() for keeper in self._services]
        ready = asyncio.create_task(self._until_all_ready())
        try:
            await asyncio.wait({ready, *kept}, return_when=asyncio.FIRST_COMPLETED)
            if ready.done():
                await ready
                self._on_ready()
            await asyncio.gather(*kept)  # ends only with an error
        finally:
            ready.cancel()

    async def _until_all_ready(self) -> None:
        waiting = asyncio.gather(*(keeper.until_ready() for keeper in self._services))
        try:
            while not waiting.done():
                await asyncio.wait({waiting}, timeout=STILL_WAITING_S)
                late = [keeper.unit for keeper in self._services if not keeper.was_ready]
                reasons = [f"{unit.name} ({(await unit.ask_ready()).missing})" for unit in late]
                if reasons:
                    self._say("still waiting for " + "; ".join(reasons))
        finally:
            waiting.cancel()

    async def _stop_all(self) -> None:
        in_order = asyncio.create_task(self._stop_in_order())
        hurry = asyncio.create_task(self._hurrying.wait())
        await asyncio.wait({in_order, hurry}, return_when=asyncio.FIRST_COMPLETED)
        hurry.cancel()
        if not in_order.done():
            self._say("not waiting any longer")
            in_order.cancel()
            await asyncio.gather(in_order, return_exceptions=True)
            await asyncio.gather(*(keeper.kill() for keeper in self._all()))
        else:
            await in_order
        self._run_file.remove()
        self._say("stopped")

    async def _stop_in_order(self) -> None:
        for keeper in self._all():
            if keeper.unit.pid is not None:
                self._say(f"stopping {keeper.unit.name}")
            await keeper.stop()

    def _all(self) -> list[Keeper]:
        return [*self._services, *([self._kafka] if self._kafka else [])]

    def _say(self, text: str) -> None:
        for line in text.splitlines():
            self._output.line("hooklog", line)

    def _write_run_file(self) -> None:
        self._run_file.write(
            {
                keeper.unit.name: ServiceRow(keeper.unit.pid, keeper.unit.port, keeper.unit.https)
                for keeper in self._all()
            }
        )


class CannotPrepareError(Exception):
    """The streams are not there and cannot be made; the message says why."""
