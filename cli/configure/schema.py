"""`hooklog schema`: what records look like, in files, in streams and over HTTP."""

import sys
from typing import Annotated, Any

import typer

from cli.configure import options
from cli.exits import refuse
from cli.show import json_text, print_json, print_table

CONFIG = ("sources", "topics", "subscriptions")
STREAMED = {
    "attempt": "one attempt of a delivery, in the stream attempts",
    "dispatch": "what became of an event, in the stream dispatches",
    "outcome": "what became of a change of the configuration, in the stream config.outcomes",
    "operation": "what happened to Hooklog itself, in the stream operations",
    "rejection": "a refused request, in the stream rejections",
}
ABOUT = (
    {name: f"{name} as they are applied, posted and produced (JSON Schema)" for name in CONFIG}
    | {name: f"{about} (JSON Schema)" for name, about in STREAMED.items()}
    | {
        "streams": "the Kafka topics: name, kept for how long, partitions",
        "openapi": "the HTTP API of ingest (OpenAPI), asked of a running one",
    }
)

HOUR_MS = 3_600_000


def schema(
    name: Annotated[str | None, typer.Argument(help="Of what; without it, what there is.", show_default=False)] = None,
    as_json: options.AsJson = False,
) -> None:
    """Show what records look like: JSON Schemas, the table of streams, OpenAPI."""
    if name is None:
        rows = [{"name": each, "what": about} for each, about in ABOUT.items()]
        _print_rows(rows, ("name", "what"), as_json=as_json)
    elif name == "streams":
        _print_rows(_streams(), ("name", "key", "kept", "partitions"), as_json=as_json)
    elif name in ABOUT:
        _print_document(_document(name), as_json=as_json)
    else:
        refuse(f"there is no schema {name!r}, but {', '.join(ABOUT)}")


def _document(name: str) -> Any:
    from cli.environment import read_settings

    if name in CONFIG:
        from schemas.config import SPECS

        draft = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
        return draft | SPECS[name].model_json_schema()
    if name in STREAMED:
        return _streamed(name)
    from cli.gateway import Gateway

    return Gateway(read_settings()).call("ingest", "GET", "/openapi.json").json()


def _streamed(name: str) -> Any:
    import msgspec

    from schemas.attempt import Attempt
    from schemas.dispatch import Dispatch
    from schemas.operation import Operation
    from schemas.outcome import Outcome
    from schemas.rejection import Rejection

    types = (Attempt, Dispatch, Operation, Outcome, Rejection)
    return msgspec.json.schema({each.__name__.lower(): each for each in types}[name])


def _streams() -> list[dict[str, Any]]:
    from cli.configure.stream_notes import note
    from cli.environment import read_settings
    from runtime.streams import partitions_of
    from schemas.streams import ALL_STREAMS, StreamNames

    settings = read_settings()
    names = StreamNames(settings.kafka_prefix)
    rows = []
    for stream in ALL_STREAMS:
        key, holds = note(stream)
        kept = "newest of each key" if stream.retention_ms is None else f"{stream.retention_ms // HOUR_MS // 24} d"
        rows.append(
            {
                "name": names(stream),
                "key": key,
                "kept": kept,
                "retention_ms": stream.retention_ms,
                "partitions": partitions_of(stream, settings),
                "delay_s": stream.delay_s or None,
                "holds": holds,
            }
        )
    return rows


def _print_rows(rows: list[dict[str, Any]], columns: tuple[str, ...], *, as_json: bool) -> None:
    if not as_json:
        print_table(rows, columns)
        return
    for row in rows:
        print_json(row)


def _print_document(document: Any, *, as_json: bool) -> None:
    if as_json:
        print_json(document)
    else:
        sys.stdout.write(json_text(document, indent=2) + "\n")
