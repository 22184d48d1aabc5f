"""`hooklog subscriptions`: which events go where."""

from pathlib import Path
from typing import Annotated

import typer

from cli.configure import options, tls_options
from cli.configure.kinds import SUBSCRIPTION
from cli.configure.record_group import add_common, group
from cli.durations import moment
from cli.show import with_examples

RateLimit = Annotated[
    float | None,
    typer.Option("--rate-limit", metavar="PER_SECOND", help="Requests a second, at most; at once those of one second."),
]
EventTypes = Annotated[
    list[str] | None, typer.Option("--event-type", help="Only these; patterns such as 'order.*'; may be repeated.")
]
Filter = Annotated[
    str | None, typer.Option("--filter", metavar="CEL", help="Only where it is true, such as \"branch == 'main'\".")
]
Transform = Annotated[str | None, typer.Option(metavar="CEL", help="Send its value as JSON instead of the body.")]
Format = Annotated[
    str | None, typer.Option("--format", metavar="FORMAT", help="What is sent: raw, envelope or cloudevents.")
]
Headers = Annotated[
    list[str] | None, typer.Option("--header", "-H", metavar="NAME: VALUE", help="Sent along; may be repeated.")
]
Since = Annotated[
    str | None, typer.Option(parser=moment, metavar="TIME", help="From when on: 1h, 7d, or 2026-01-02T03:04:05Z.")
]
Until = Annotated[str | None, typer.Option(parser=moment, metavar="TIME", help="Until when, likewise.")]

app = group(SUBSCRIPTION, "Which events go where, and how.")


@app.command(name="list", epilog="Example: hooklog subscriptions list --topic orders --inactive --json")
def list_(
    *,
    topic: Annotated[str | None, typer.Option(help="Those of this topic.")] = None,
    active: Annotated[bool | None, typer.Option("--active/--inactive", help="Whether they deliver now.")] = None,
    url: Annotated[str | None, typer.Option(help="A host, or what the URL begins with.")] = None,
    search: options.Search = None,
    limit: options.Limit = None,
    as_json: options.AsJson = False,
) -> None:
    """List the subscriptions."""
    from cli.configure.records import show_list

    is_active = None if active is None else str(active).lower()
    filters = {"topic_id": topic, "is_active": is_active, "target_url": url, "q": search}
    show_list(SUBSCRIPTION, filters, limit, as_json=as_json)


@app.command(
    epilog="Example: hooklog subscriptions apply orders-billing --topic orders --url https://billing.example.com/hook "
    "--event-type 'order.*' --filter 'event.total > 100' --header 'X-Team: billing' --max-in-flight 5"
)
def apply(
    record_id: options.Id,
    *,
    topic: Annotated[str | None, typer.Option(help="Whose events; '*' is every topic.")] = None,
    url: Annotated[str | None, typer.Option(help="Where they go.")] = None,
    event_type: EventTypes = None,
    filter_: Filter = None,
    transform: Transform = None,
    format_: Format = None,
    header: Headers = None,
    max_in_flight: Annotated[int | None, typer.Option("--max-in-flight", help="Requests at once, at most.")] = None,
    rate_limit: RateLimit = None,
    timeout_s: Annotated[float | None, typer.Option("--timeout-s", help="Seconds that an answer may take.")] = None,
    secret: options.Secrets = None,
    secret_file: options.SecretFile = None,
    tls: tls_options.Parts = None,
    name: Annotated[str | None, typer.Option(help="What people call it.")] = None,
    active: Annotated[bool | None, typer.Option("--active/--inactive", help="Whether it delivers.")] = None,
    sets: options.Sets = None,
    file: options.RecordFile = None,
    create_only: options.CreateOnly = False,
    if_version: options.IfVersion = None,
    as_json: options.AsJson = False,
) -> None:
    """Create a subscription, or make one what is given here; a new one is given a secret to sign with."""
    from cli.configure.records import apply_one, assignments

    fields = options.chosen(
        topic_id=topic,
        target_url=url,
        event_types=event_type,
        filter=filter_,
        transform=transform,
        format=format_,
        headers=_headers(header) if header else None,
        max_in_flight=max_in_flight,
        rate_limit=None if rate_limit is None else {"per_second": rate_limit},
        timeout_s=timeout_s,
        subscriber_name=name,
        is_active=active,
    )
    given = assignments(sets or []) | fields | tls_options.tls_fields(tls) | options.secret_fields(secret, secret_file)
    apply_one(SUBSCRIPTION, record_id, given, file, create_only=create_only, if_version=if_version, as_json=as_json)


@app.command(
    name="try",
    epilog=with_examples(
        (
            "hooklog subscriptions try billing.yaml --since 7d",
            "hooklog subscriptions get billing --json | hooklog subscriptions try - --event 01M80QK7NHKW4FFQZ5T9BTJRYB",
        )
    ),
)
def try_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="YAML or JSON, as for apply; - is standard input.")],
    *,
    record_id: Annotated[str | None, typer.Option("--id", help="Whose it is, when the file does not say.")] = None,
    since: Since = None,
    until: Until = None,
    event: Annotated[str | None, typer.Option(help="Try it with this event alone.")] = None,
    examples: Annotated[int, typer.Option(min=0, max=20, help="Examples of each reason and change.")] = 3,
    as_json: options.AsJson = False,
) -> None:
    """Say what a new or changed subscription would have delivered, and skipped and why, against today's.

    The events of the last day are looked at, unless --since says otherwise. Nothing is sent or stored.
    """
    from cli.configure.trial import try_one

    asked = {"event_id": event, "since": since, "until": until, "examples": examples}
    try_one(file, record_id, asked, as_json=as_json)


@app.command(epilog="Example: hooklog subscriptions pause orders-billing")
def pause(record_id: options.Id, if_version: options.IfVersion = None, as_json: options.AsJson = False) -> None:
    """Stop delivering to a subscription; its events of that time are skipped, and say so."""
    _set_active(record_id, if_version, active=False, as_json=as_json)


@app.command(epilog="Example: hooklog subscriptions resume orders-billing")
def resume(record_id: options.Id, if_version: options.IfVersion = None, as_json: options.AsJson = False) -> None:
    """Deliver to a subscription again, from now on."""
    _set_active(record_id, if_version, active=True, as_json=as_json)


def _set_active(record_id: str, if_version: int | None, *, active: bool, as_json: bool) -> None:
    from cli.configure.records import update

    update(SUBSCRIPTION, record_id, {"is_active": active}, if_version, as_json=as_json)


def _headers(texts: list[str]) -> dict[str, str]:
    pairs = [text.partition(":") for text in texts]
    for number, (name, colon, _) in enumerate(pairs, start=1):
        if not colon or not name.strip():  # what it is instead may be a credential
            raise typer.BadParameter(f"number {number} is not NAME: VALUE", param_hint="--header")
    return {name.strip(): value.strip() for name, _, value in pairs}


add_common(app, SUBSCRIPTION)
