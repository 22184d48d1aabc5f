"""Asks before something is changed: on a terminal; elsewhere --yes must have said so."""

import sys

import typer

from cli.exits import FAILED, refuse


def confirm(question: str, *, yes: bool) -> None:
    """Return when it shall be done; ends the command when not."""
    if yes:
        return
    if not sys.stdin.isatty():
        refuse("nobody can be asked here; add --yes")
    if not typer.confirm(question, err=True):
        sys.stderr.write("hooklog: nothing is changed\n")
        raise SystemExit(FAILED)
