"""`hooklog apply` as it is typed."""

from pathlib import Path
from typing import Annotated

import typer

from cli.configure import options


def apply(
    file: Annotated[
        list[Path],
        typer.Option(
            "--file", "-f", metavar="PATH", help="A file, a folder with all in it, or - for standard input; may repeat."
        ),
    ],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what it would change, and change nothing.")] = False,
    prune: Annotated[
        bool,
        typer.Option("--prune", help="Delete what no file asks for, of those kinds that the files have records of."),
    ] = False,
    yes: options.Yes = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a change.")] = False,
) -> None:
    """Make the configuration what files say: shows the difference, asks, and writes what differs.

    A file is YAML (of one document or many) or JSON. A document is a record with its kind (kind: source, topic or
    subscription), or has lists under sources:, topics: and subscriptions:. In secrets, headers and tls, ${NAME} is
    taken from the environment, and $$ is a $.

    Everything is checked before anything is written. Sources are made first and deleted last; what others changed
    meanwhile is left alone. The first change that fails is the last one, and what is left is named.
    """
    from cli.configure.apply import apply as run

    run(file, dry_run=dry_run, yes=yes, prune=prune, as_json=as_json)
