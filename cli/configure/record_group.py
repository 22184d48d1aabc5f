"""The commands that every kind of records has alike: get, update, delete."""

import typer

from cli.configure import options
from cli.configure.kinds import Kind


def group(kind: Kind, about: str) -> typer.Typer:
    """A group of commands for a kind, without any yet."""
    return typer.Typer(name=kind.name, help=about, no_args_is_help=True, rich_markup_mode="rich")


def add_common(app: typer.Typer, kind: Kind) -> None:
    """Give a kind's group the commands that differ in nothing but the kind."""

    def get(record_id: options.Id, as_json: options.AsJson = False) -> None:
        from cli.configure.records import show_one

        show_one(kind, record_id, as_json=as_json)

    def update(
        record_id: options.Id,
        changes: options.Changes,
        if_version: options.IfVersion = None,
        as_json: options.AsJson = False,
    ) -> None:
        from cli.configure.records import assignments
        from cli.configure.records import update as run

        run(kind, record_id, assignments(changes), if_version, as_json=as_json)

    def delete(
        ids: options.Ids,
        yes: options.Yes = False,
        cascade: options.Cascade = False,
        if_version: options.IfVersion = None,
        as_json: options.AsJson = False,
    ) -> None:
        from cli.configure.records import delete as run

        run(kind, ids, yes=yes, cascade=cascade, if_version=if_version, as_json=as_json)

    app.command(help=f"Show one {kind.one}, secrets masked.")(get)
    app.command(
        help=f"Change some fields of a {kind.one}; null takes a value away, the others stay.",
        epilog=f"Example: hooklog {kind.name} update ID {kind.changeable}",
    )(update)
    app.command(
        help=f"Delete {kind.name}; asks first.",
        epilog=f"Example: hooklog {kind.name} delete old-one older-one --yes",
    )(delete)
