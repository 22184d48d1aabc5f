"""`hooklog audit`: whether everything has become what it should, and what has not."""

import sys
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from cli.durations import moment, seconds
from cli.environment import read_settings
from cli.exits import FAILED, OK, fail
from cli.gateway import Gateway
from cli.show import console, print_json, print_table, printable

EXAMPLES = ("hooklog audit", "hooklog audit --since 1d", "hooklog audit --since 7d --until 1d --json")

FIGURES = (
    ("accepted", "dispatched", "duplicates"),
    ("matched", "replayed"),
    ("success", "failed", "cancelled", "pending"),
)


def audit(
    since: Annotated[
        str | None,
        typer.Option(parser=moment, metavar="TIME", help="From when on: 1h, 7d; since all is kept."),
    ] = None,
    until: Annotated[str | None, typer.Option(parser=moment, metavar="TIME", help="Until when; now.")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=1_000, help="Name so many offenders.")] = 100,
    wait: Annotated[str, typer.Option(metavar="TIME", help="How long the tables may take to catch up.")] = "30s",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Check that every event was dispatched, every match delivered, and every record became a row.

    Exit code 0 when all of it is so; 1 when something is wrong, or nobody can tell.
    """
    asked = {"since": since, "until": until, "limit": limit, "wait_s": seconds(wait), "progress": True}
    report = _report(Gateway(read_settings()).lines("query", "/api/v1/audit", asked))
    if as_json:
        print_json(report)
    else:
        _show(report)
    raise SystemExit(OK if report["ok"] else FAILED)


def _report(lines: Iterator[dict[str, Any]]) -> dict[str, Any]:
    last: dict[str, Any] = {}
    for last in lines:
        _progress(last.get("progress", ""))
    if "report" not in last:
        problem = last.get("problem", {"title": "the audit was cut off; ask again"})
        fail(problem.get("detail") or problem["title"])
    return dict(last["report"])


def _progress(text: str) -> None:
    # One line that changes, for a person who waits; a program's log gets none of it.
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{printable(text)}")
        sys.stderr.flush()


def _show(report: dict[str, Any]) -> None:
    screen = console()
    screen.print(f"events received from {report['since']} to {report['until']}")
    for names in FIGURES:
        screen.print("  " + "   ".join(f"{name} [bold]{report[name]:,}[/]" for name in names))
    for name, number in report["told"].items():
        screen.print(f"  {name.replace('_', ' ')} {number:,}", style="dim")
    if report["ok"]:
        screen.print("[green]everything adds up[/]")
        return
    print_table(report["offenders"], ("kind", "id", "what", "do"))
    more = report["offenders_total"] - len(report["offenders"])
    rest = f", {more:,} of them not shown" if more else ""
    screen.print(f"[red]{report['offenders_total']:,} do not add up[/]{rest}")
