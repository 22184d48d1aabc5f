"""What a person sees while the demo plays: a live table on a terminal, a line now and then elsewhere."""

import time
from collections import Counter
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from cli.demo.books import Books
from cli.demo.cast import Subscription
from cli.demo.facts import States

if TYPE_CHECKING:
    from cli.traffic.receiver import Reception

RECENT = 6
"""Deliveries shown as they come: what an eye can follow."""

FRAMES_A_SECOND = 8
LINE_EVERY_S = 1.0


class Silent:
    """Shows nothing: `--json` has one document at the end."""

    def step(self, text: str) -> None:
        """Say what is being waited for."""

    def playing(self, books: Books, states: States) -> None:
        """Show how far it is: the demo's own books, and deliveries by state as the gateway tells."""

    def close(self) -> None:
        """Leave the terminal to others."""


class Lines(Silent):
    """One line whenever something is new, at most once a second; for pipes, files and CI."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._last = ""
        self._printed_s = 0.0

    def step(self, text: str) -> None:
        """Print a step once."""
        if text != self._last:
            self._console.print(text, markup=False, highlight=False)
        self._last = text

    def playing(self, books: Books, states: States) -> None:
        """Print the counts."""
        if time.monotonic() - self._printed_s >= LINE_EVERY_S:
            self._printed_s = time.monotonic()
            self.step(f"{_sent(books)}; {_counts(states)}")


class Screen(Silent):
    """A table that lives."""

    def __init__(self, console: Console) -> None:
        self._spinner = Spinner("dots", style="cyan")
        self._live = Live(self._spinner, console=console, refresh_per_second=FRAMES_A_SECOND, transient=True)
        self._live.start()

    def step(self, text: str) -> None:
        """Show the step beside a spinner."""
        self._spinner.update(text=Text(f" {text}"))
        self._live.update(self._spinner)

    def playing(self, books: Books, states: States) -> None:
        """Show the table, and the last deliveries."""
        self._live.update(Group(Text(_sent(books), style="bold"), "", _table(books, states), "", *_recent(books)))

    def close(self) -> None:
        """End it; the table makes room for the summary."""
        self._live.stop()


def _sent(books: Books) -> str:
    return f"sent {len(books.posts)}, accepted {len(books.accepted)}, refused {len(books.refused)}"


def _counts(states: States) -> str:
    sums = sum(states.values(), Counter[str]())
    return ", ".join(f"{state.lower()} {sums[state]}" for state in ("PENDING", "RETRYING", "SUCCESS", "FAILED"))


def _table(books: Books, states: States) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("subscription", no_wrap=True)
    table.add_column("answers", style="dim")
    for column in ("requests", "retries", "waiting", "delivered", "dead"):
        table.add_column(column, justify="right")
    for one in books.cast.subscriptions:
        got, state = books.got(one), states.get(one.id, Counter())
        table.add_row(
            one.id,
            one.endpoint.does,
            str(len(got)),
            _number(sum(reception.attempt > 1 for reception in got), "yellow"),
            _number(state["PENDING"] + state["RETRYING"], "yellow"),
            _number(state["SUCCESS"], "green"),
            _number(state["FAILED"], "red"),
        )
    return table


def _number(number: int, style: str) -> Text:
    return Text(str(number), style=style if number else "dim")


def _recent(books: Books) -> list[Text]:
    by_path = {one.path: one for one in books.cast.subscriptions}
    return [_delivery(by_path.get(reception.path), reception) for reception in books.receptions[-RECENT:]]


def _delivery(subscription: Subscription | None, reception: "Reception") -> Text:
    clock = time.strftime("%H:%M:%S", time.localtime(reception.at_s))
    line = Text(f"{clock}  {reception.webhook_id}  ", style="dim")
    line.append(f"{subscription.id if subscription else reception.path:<18}", style="default")
    line.append(f"  attempt {reception.attempt}  ", style="default")
    success = reception.answered < 300  # noqa: PLR2004 - RFC 9110, section 15.3
    return line.append(str(reception.answered), style="green" if success else "red")
