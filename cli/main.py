"""The commands of `hooklog`; each imports its own part only when it is called."""

from typing import Annotated

import typer

from cli import listen, logs, retry, send, tail
from cli.demo import command as demo
from cli.show import with_examples
from cli.sql import sql

app = typer.Typer(
    name="hooklog",
    help="A webhook gateway whose only source of truth is a Kafka log.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # a service's traceback goes to logs, and local variables may be secrets
)


@app.command()
def up() -> None:
    """Run everything on this machine: Kafka, ingest, processors, projections."""
    from cli.up import up as run

    run()


@app.command()
def status(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show what runs and whether it is ready (exit code 0 when all of it is)."""
    from cli.status import status as run

    run(as_json)


@app.command()
def ingest() -> None:
    """Run the write side over HTTP."""
    _serve("ingest")


@app.command()
def processors() -> None:
    """Run the workers that match, deliver and retry."""
    _serve("processors")


@app.command()
def projections() -> None:
    """Run the read side: ClickHouse, the query API, the dashboard."""
    _serve("projections")


def _serve(service: str) -> None:
    from cli.serve import serve

    serve(service)


@app.command()
def init() -> None:
    """Create the streams on the Kafka cluster."""
    from cli.init import init as run

    run()


app.command()(sql)  # these import their own heavy parts when they are called
for command, examples in (
    (demo.demo, demo.EXAMPLES),
    (send.send, send.EXAMPLES),
    (listen.listen, listen.EXAMPLES),
    (tail.tail, tail.EXAMPLES),
    (logs.events, logs.EVENT_EXAMPLES),
    (logs.deliveries, logs.DELIVERY_EXAMPLES),
    (logs.attempts, logs.ATTEMPT_EXAMPLES),
    (logs.rejections, logs.REJECTION_EXAMPLES),
    (retry.retry, retry.EXAMPLES),
):
    app.command(epilog=with_examples(examples))(command)


@app.command()
def version() -> None:
    """Print Hooklog's version."""
    from importlib.metadata import version as installed

    typer.echo(installed("hooklog"))


def main() -> None:
    """Run the command line."""
    app()


if __name__ == "__main__":
    main()
