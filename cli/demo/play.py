"""The plot: configure, send, watch until the books agree, and report."""

import asyncio
import contextlib
import time

from cli.demo.api import Api, create_all, delete_all
from cli.demo.books import Books
from cli.demo.cast import Cast
from cli.demo.facts import ENDED, States, read_facts, read_states
from cli.demo.receivers import Receivers
from cli.demo.reconcile import reconcile
from cli.demo.stack import Place
from cli.demo.summary import Report
from cli.demo.traffic import planned, send_all
from cli.demo.view import Silent

SETTLE_S = 45.0
"""Until everything has ended and is counted; retries take five seconds, a busy machine some more."""

LOOK_EVERY_S = 0.5
FRAME_S = 0.15


async def play(place: Place, cast: Cast, view: Silent) -> Report:
    """Play once in a running gateway; what was configured under a prefix is deleted again.

    Raises:
        CannotPlayError: the gateway refuses or does not answer.
    """
    books = Books(cast)
    receivers = Receivers(books)
    records = cast.records(receivers.base_url)
    async with receivers.serving(), Api(place) as api:
        begin_s, since_ms = time.monotonic(), time.time_ns() // 1_000_000
        try:
            view.step("creating sources, topics and subscriptions")
            receivers.know(await create_all(api, records))
            report = await _watch(api, books, view, since_ms)
        finally:
            if cast.prefix:
                await asyncio.shield(delete_all(api, records))
        return Report(books, report.facts, report.checks, 0.0, time.monotonic() - begin_s)


async def _watch(api: Api, books: Books, view: Silent, since_ms: int) -> Report:
    states: States = {}
    frames = asyncio.create_task(_frames(view, books, states))
    posting = asyncio.create_task(send_all(api, books, list(planned(books.cast))))
    try:
        while not posting.done():
            states.update(await read_states(api, books.cast))
            await asyncio.wait({posting}, timeout=LOOK_EVERY_S)
        await posting
        deadline_s = time.monotonic() + SETTLE_S
        while True:
            states.update(await read_states(api, books.cast))
            is_late = time.monotonic() > deadline_s
            if is_late or _have_ended(books, states):
                facts = await read_facts(api, books.cast, since_ms)
                checks = reconcile(books, facts)
                # What was counted may not all have been written: look again before saying that it is wrong.
                if is_late or all(check.ok for check in checks):
                    return Report(books, facts, checks, 0.0, 0.0)
            await asyncio.sleep(LOOK_EVERY_S)
    finally:
        for task in (frames, posting):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


def _have_ended(books: Books, states: States) -> bool:
    ended = sum(found[state] for found in states.values() for state in ENDED)
    return ended >= books.matches


async def _frames(view: Silent, books: Books, states: States) -> None:
    while True:
        view.playing(books, states)
        await asyncio.sleep(FRAME_S)
