"""`hooklog topics`: named streams of events, each of one source."""

from typing import Annotated

import typer

from cli.configure import options
from cli.configure.kinds import TOPIC
from cli.configure.record_group import add_common, group

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
    "Example: hooklog topics apply orders --source shop --set event_type.pointer=/type --set dedup_id.header=X-Id"
)
def apply(
    record_id: options.Id,
    *,
    source: Annotated[str | None, typer.Option(help="Whose events they are.")] = None,
    name: Annotated[str | None, typer.Option(help="What people call it.")] = None,
    description: Annotated[str | None, typer.Option(help="What it is for.")] = None,
    sets: options.Sets = None,
    file: options.RecordFile = None,
    create_only: options.CreateOnly = False,
    if_version: options.IfVersion = None,
    as_json: options.AsJson = False,
) -> None:
    """Create a topic, or make one what is given here."""
    from cli.configure.records import apply_one, assignments

    apply_one(
        TOPIC,
        record_id,
        assignments(sets or []) | options.chosen(source_id=source, name=name, description=description),
        file,
        create_only=create_only,
        if_version=if_version,
        as_json=as_json,
    )


@app.command(name="test", epilog="Example: hooklog topics test pushes")
def try_out(record_id: options.Id, as_json: options.AsJson = False) -> None:
    """Send a sample event of the topic's provider, signed, the way of a real one; it is marked hooklog_test."""
    from cli.configure.topic_test import send_sample

    send_sample(record_id, as_json=as_json)


add_common(app, TOPIC)
