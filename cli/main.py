"""The commands of `hooklog`; each imports its own part only when it is called."""

from typing import Annotated

import typer

from cli.audit import EXAMPLES as AUDIT_EXAMPLES
from cli.audit import audit
from cli.configure import history, keys, source_commands, subscription_commands, topic_commands
from cli.configure.apply_command import apply
from cli.configure.schema import schema
from cli.demo import command as demo
from cli.doctor.command import doctor
from cli.encryption import commands as encryption
from cli.expired import EXAMPLES as EXPIRED_EXAMPLES
from cli.expired import expired
from cli.rebuild import EXAMPLES as REBUILD_EXAMPLES
from cli.rebuild import rebuild
from cli.show import with_examples
from cli.sql import EXAMPLES as SQL_EXAMPLES
from cli.sql import sql
from cli.traffic import explain, export, listen, logs, replay, retry, send, tail

RUN, CONFIGURE, TRAFFIC, LOOK = "Run it", "Configure it", "Send and receive", "Look into it"

app = typer.Typer(
    name="hooklog",
    help="A webhook gateway whose only source of truth is a Kafka log.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # a service's traceback goes to logs, and local variables may be secrets
    rich_markup_mode="rich",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version as installed

        typer.echo(installed("hooklog"))
        raise typer.Exit


@app.callback()
def hooklog(
    _: Annotated[
        bool,
        typer.Option("--version", help="Print Hooklog's version.", callback=_print_version, is_eager=True),
    ] = False,
) -> None:
    """A webhook gateway whose only source of truth is a Kafka log."""


@app.command(rich_help_panel=RUN)
def up() -> None:
    """Run everything on this machine: Kafka, ingest, processors, projections."""
    from cli.up import up as run

    run()


app.command(rich_help_panel=CONFIGURE)(apply)  # here, so that help shows these before what follows


@app.command(rich_help_panel=LOOK)
def status(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show what runs and whether it is ready (exit code 0 when all of it is)."""
    from cli.status import status as run

    run(as_json)


@app.command(rich_help_panel=RUN)
def ingest() -> None:
    """Run the write side over HTTP."""
    _serve("ingest")


@app.command(rich_help_panel=RUN)
def processors() -> None:
    """Run the workers that match, deliver and retry."""
    _serve("processors")


projections_app = typer.Typer(invoke_without_command=True)
app.add_typer(projections_app, name="projections", rich_help_panel=RUN)


@projections_app.callback()
def projections(context: typer.Context) -> None:
    """Run the read side: ClickHouse, the query API, the dashboard; or make its tables again."""
    if context.invoked_subcommand is None:
        _serve("projections")


projections_app.command(epilog=with_examples(REBUILD_EXAMPLES))(rebuild)


def _serve(service: str) -> None:
    from cli.serve import serve

    serve(service)


@app.command(rich_help_panel=RUN)
def init() -> None:
    """Create the streams on the Kafka cluster."""
    from cli.init import init as run

    run()


# These import their own heavy parts when they are called.
for group in (source_commands.app, topic_commands.app, subscription_commands.app, keys.app, encryption.app):
    app.add_typer(group, rich_help_panel=CONFIGURE)
app.add_typer(history.app, rich_help_panel=LOOK)
for panel, command, examples in (
    (RUN, demo.demo, demo.EXAMPLES),
    (TRAFFIC, send.send, send.EXAMPLES),
    (TRAFFIC, listen.listen, listen.EXAMPLES),
    (TRAFFIC, tail.tail, tail.EXAMPLES),
    (TRAFFIC, retry.retry, retry.EXAMPLES),
    (TRAFFIC, replay.replay, replay.EXAMPLES),
    (TRAFFIC, replay.replays, replay.LIST_EXAMPLES),
    (LOOK, logs.events, logs.EVENT_EXAMPLES),
    (LOOK, explain.explain, explain.EXAMPLES),
    (LOOK, logs.deliveries, logs.DELIVERY_EXAMPLES),
    (LOOK, logs.attempts, logs.ATTEMPT_EXAMPLES),
    (LOOK, logs.rejections, logs.REJECTION_EXAMPLES),
    (LOOK, logs.operations, logs.OPERATION_EXAMPLES),
    (LOOK, export.export, export.EXAMPLES),
):
    app.command(rich_help_panel=panel, epilog=with_examples(examples))(command)
app.command(rich_help_panel=LOOK, epilog=with_examples(EXPIRED_EXAMPLES))(expired)
app.command(rich_help_panel=LOOK, epilog=with_examples(SQL_EXAMPLES))(sql)
app.command(rich_help_panel=LOOK, epilog=with_examples(AUDIT_EXAMPLES))(audit)
for look in (doctor, schema):
    app.command(rich_help_panel=LOOK)(look)


@app.command(rich_help_panel=LOOK)
def version() -> None:
    """Print Hooklog's version."""
    _print_version(wanted=True)


def main() -> None:
    """Run the command line."""
    app()


if __name__ == "__main__":
    main()
