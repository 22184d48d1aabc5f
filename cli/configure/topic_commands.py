"""`hooklog topics`: named streams of events, each of one source."""

from pathlib import Path
from typing import Annotated

import typer

from cli.configure import options
from cli.configure.kinds import TOPIC
from cli.configure.record_group import add_common, group
from cli.durations import moment

Since = Annotated[
    str | None,
    typer.Option(parser=moment, metavar="TIME", help="From when on: 1h, 7d, or 2026-01-02T03:04:05Z; a day ago."),
]
Sample = Annotated[int, typer.Option(min=1, max=1_000, help="How many events of each type are looked at.")]

app = group(TOPIC, "Named streams of events, each of one source.")


@app.command(name="list", epilog="Example: hooklog topics list --source github")
def list_(
    *,
    source: Annotated[str | None, typer.Option(help="Those of this source.")] = None,
    search: options.Search = None,
    limit: options.Limit = None,
    as_json: options.AsJson = False,
) -> None:
    """List the topics."""
    from cli.configure.records import show_list

    show_list(TOPIC, {"source_id": source, "q": search}, limit, as_json=as_json)


@app.command(
    epilog="Example: hooklog topics apply pushes --source github\n\n"
    "Example: hooklog topics apply orders --source shop --set event_type.pointer=/type --set dedup_id.header=X-Id\n\n"
    "Example: hooklog topics apply orders --source shop --event-types types.yaml"
)
def apply(
    record_id: options.Id,
    *,
    source: Annotated[str | None, typer.Option(help="Whose events they are.")] = None,
    name: Annotated[str | None, typer.Option(help="What people call it.")] = None,
    description: Annotated[str | None, typer.Option(help="What it is for.")] = None,
    event_types: Annotated[
        Path | None,
        typer.Option(help="YAML or JSON: each event type, its schema and on_invalid; - reads standard input."),
    ] = None,
    sets: options.Sets = None,
    file: options.RecordFile = None,
    create_only: options.CreateOnly = False,
    if_version: options.IfVersion = None,
    as_json: options.AsJson = False,
) -> None:
    """Create a topic, or make one what is given here."""
    from cli.configure.one_file import read_mapping
    from cli.configure.records import apply_one, assignments

    types = read_mapping(event_types) if event_types else None
    given = options.chosen(source_id=source, name=name, description=description, event_types=types)
    apply_one(
        TOPIC,
        record_id,
        assignments(sets or []) | given,
        file,
        create_only=create_only,
        if_version=if_version,
        as_json=as_json,
    )


@app.command(epilog="Example: hooklog topics drift orders --type order.created --since 24h")
def drift(
    record_id: options.Id,
    *,
    event_type: Annotated[str | None, typer.Option("--type", help="Of this event type only; * is any text.")] = None,
    since: Since = None,
    sample: Sample = 200,
    every: Annotated[bool, typer.Option("--all", help="Also the fields that are as they should be.")] = False,
    as_json: options.AsJson = False,
) -> None:
    """Show what events have that their schemas lack, and what they lack or have of another type."""
    from cli.configure.drift import show_drift

    show_drift(record_id, event_type, since, sample, every=every, as_json=as_json)


@app.command(epilog="Example: hooklog topics infer orders --type order.created > order.created.json")
def infer(
    record_id: options.Id,
    *,
    event_type: Annotated[str, typer.Option("--type", help="Of this event type.")],
    since: Since = None,
    sample: Sample = 200,
) -> None:
    """Print a draft of a JSON Schema, made of the events of one type."""
    from cli.configure.drift import show_draft

    show_draft(record_id, event_type, since, sample)


@app.command(name="test", epilog="Example: hooklog topics test pushes")
def try_out(record_id: options.Id, as_json: options.AsJson = False) -> None:
    """Send a sample event of the topic's provider, signed, the way of a real one; it is marked hooklog_test."""
    from cli.configure.topic_test import send_sample

    send_sample(record_id, as_json=as_json)


add_common(app, TOPIC)
