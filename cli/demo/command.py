"""`hooklog demo`: signed events to a healthy, a flaky and a dead receiver, and a check that every count adds up."""

import asyncio
import contextlib
import secrets
import signal
import time
from collections.abc import AsyncIterator, Coroutine
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from cli.environment import read_settings
from cli.exits import FAILED, OK, fail
from cli.show import console, print_json

if TYPE_CHECKING:
    from rich.console import Console

    from cli.demo.stack import Place
    from cli.demo.summary import Report
    from cli.demo.view import Silent

EXAMPLES = ("hooklog demo", "hooklog demo --running", "hooklog demo --json")
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
INTRO = "Signed GitHub and Stripe events, some forged, to a healthy, a flaky and a dead receiver."


def demo(
    running: Annotated[
        bool, typer.Option("--running", help="Play in the gateway that runs, not in one of its own.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, at the end.")] = False,
) -> None:
    """See Hooklog at work: events, retries and dead letters, then a check that every count adds up.

    It starts a gateway of its own, and leaves nothing behind; with --running it plays in yours.

    Exit code 0 only when every check holds.
    """
    from cli.demo.stack import CannotPlayError
    from cli.demo.summary import document_of, print_report

    screen = console()
    if not as_json:
        screen.print(f"[bold]Hooklog demo[/]\n{INTRO}\n")
    try:
        report = asyncio.run(_cancelled_by_signals(_run(running, _view(screen, as_json))))
    except CannotPlayError as error:
        fail(error)
    except (asyncio.CancelledError, KeyboardInterrupt):
        fail("stopped; nothing of the demo is left")
    if as_json:
        print_json(document_of(report))
    else:
        print_report(screen, report, offer_next=not running)
    raise SystemExit(OK if report.ok else FAILED)


def _view(screen: "Console", as_json: bool) -> "Silent":
    from cli.demo.view import Lines, Screen, Silent

    if as_json:
        return Silent()
    return Screen(screen) if screen.is_terminal else Lines(screen)


async def _cancelled_by_signals(running: "Coroutine[object, object, Report]") -> "Report":
    """Run it as a task that the first signal cancels; others are ignored while it cleans up, which takes seconds."""
    task = asyncio.ensure_future(running)
    for number in STOP_SIGNALS:
        asyncio.get_running_loop().add_signal_handler(number, lambda: task.cancelling() or task.cancel())
    return await task


async def _run(running: bool, view: "Silent") -> "Report":
    from cli.demo.cast import Cast
    from cli.demo.play import play

    begin_s = time.monotonic()
    try:
        async with _place(running, view) as place:
            start_s = time.monotonic() - begin_s
            report = await play(place, Cast(f"demo-{secrets.token_hex(3)}-" if running else ""), view)
            view.step("stopping")
        return replace(report, start_s=start_s, took_s=time.monotonic() - begin_s)
    finally:
        view.close()


@contextlib.asynccontextmanager
async def _place(running: bool, view: "Silent") -> AsyncIterator["Place"]:
    from cli.demo.stack import running_place, temporary_place

    if running:
        yield running_place(read_settings())
        return
    async with temporary_place(view.step) as place:
        yield place
