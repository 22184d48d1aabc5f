"""How the demo ends: what ClickHouse says of each subscription, whether every count adds up, and what to try next."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from cli.demo.books import Books
from cli.demo.facts import Facts, Traffic
from cli.demo.reconcile import Check

NEXT = (
    ("hooklog up", "a gateway to keep; in another terminal:"),
    ("hooklog listen --subscribe TOPIC", "receive here; --fail 2 fails twice"),
    ("hooklog send TOPIC --wait", "post, signed, and see it arrive"),
    ("hooklog tail", "watch everything"),
    ("hooklog deliveries --status failed", "and hooklog retry sends them again"),
)
"""Commands for the newcomer's next five minutes."""


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that is told at the end; times in seconds."""

    books: Books
    facts: Facts
    checks: Sequence[Check]
    start_s: float
    took_s: float

    @property
    def ok(self) -> bool:
        """Whether every check holds."""
        return bool(self.checks) and all(check.ok for check in self.checks)


def document_of(report: Report) -> dict[str, Any]:
    """Return the report as `--json` prints it."""
    books = report.books
    return {
        "ok": report.ok,
        "start_s": round(report.start_s, 1),
        "took_s": round(report.took_s, 1),
        "sent": len(books.posts),
        "accepted": len(books.accepted),
        "refused": len(books.refused),
        "requests": len(books.receptions),
        "subscriptions": [
            {"id": one.id, "endpoint": one.endpoint.name, **_row(report, one.id)} for one in books.cast.subscriptions
        ],
        "checks": [asdict(check) for check in report.checks],
    }


def _row(report: Report, subscription_id: str) -> dict[str, Any]:
    traffic = report.facts.traffic.get(subscription_id, Traffic())
    return {
        "attempts": traffic.attempts,
        "retries": traffic.retries,
        "success_rate": round(traffic.successes / traffic.attempts, 4) if traffic.attempts else None,
        "p50_ms": traffic.p50_ms,
        "p95_ms": traffic.p95_ms,
        **{state.lower(): number for state, number in report.facts.states.get(subscription_id, {}).items()},
        "dead_letters": report.facts.dead[subscription_id],
    }


def print_report(console: Console, report: Report, *, offer_next: bool) -> None:
    """Print it for people."""
    console.print(Text("What ClickHouse tells", style="bold"))
    console.print(_traffic_table(report))
    console.print()
    console.print(Text("Does every count add up? The demo's own books, against the gateway's", style="bold"))
    console.print(_check_table(report.checks))
    console.print()
    console.print(_verdict(report))
    if offer_next:
        console.print()
        console.print(Text("What to try next", style="bold"))
        console.print(_next_commands())


def _traffic_table(report: Report) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("  subscription")
    for column in ("attempts", "success", "p50", "p95", "delivered", "dead"):
        table.add_column(column, justify="right")
    for one in report.books.cast.subscriptions:
        row, states = _row(report, one.id), report.facts.states.get(one.id, Counter())
        rate = "-" if row["success_rate"] is None else f"{row['success_rate']:.0%}"
        times = [f"{row[name]:.0f} ms" for name in ("p50_ms", "p95_ms")]
        ends = [str(states[state]) for state in ("SUCCESS", "FAILED")]
        table.add_row(f"  {one.id}", str(row["attempts"]), rate, *times, *ends)
    return table


def _check_table(checks: Sequence[Check]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), show_header=False)
    for justify in ("left", "left", "right", "left", "right"):
        table.add_column(justify=justify)
    for check in checks:
        mark = Text("  ✓", style="green") if check.ok else Text("  ✗", style="bold red")
        sign = "=" if check.ours == check.theirs else "≠"
        table.add_row(mark, Text(check.name), str(check.ours), sign, str(check.theirs))
    return table


def _verdict(report: Report) -> Text:
    took = f"{report.took_s:.0f} s, of which {report.start_s:.0f} s to start"
    if report.ok:
        return Text(f"Every count adds up ({took}).", style="bold green")
    failed = sum(not check.ok for check in report.checks)
    return Text(f"{failed} of {len(report.checks)} checks failed ({took}).", style="bold red")


def _next_commands() -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    table.add_column()
    table.add_column(style="dim")
    for command, what in NEXT:
        table.add_row(Text(f"  {command}", style="cyan"), what)
    return table
