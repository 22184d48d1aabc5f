"""`hooklog sources`: who sends, and how each is verified."""

from typing import Annotated

import typer

from cli.configure import options
from cli.configure.kinds import SOURCE
from cli.configure.record_group import add_common, group

app = group(SOURCE, "Who sends, and how each is verified.")


@app.command(name="list")
def list_(search: options.Search = None, limit: options.Limit = None, as_json: options.AsJson = False) -> None:
    """List the sources."""
    from cli.configure.records import show_list

    show_list(SOURCE, {"q": search}, limit, as_json=as_json)


@app.command(
    epilog="Example: hooklog sources apply github --auth-type github --secret-file github.secret\n\n"
    "Example: hooklog sources apply own --auth-type generic_hmac --secret-file own.secret "
    "--set auth_config.header=X-Signature"
)
def apply(
    record_id: options.Id,
    *,
    auth_type: Annotated[
        str | None, typer.Option("--auth-type", help="How it is verified; hooklog sources providers lists them.")
    ] = None,
    secret: options.Secrets = None,
    secret_file: options.SecretFile = None,
    name: Annotated[str | None, typer.Option(help="What people call it.")] = None,
    sets: options.Sets = None,
    file: options.RecordFile = None,
    create_only: options.CreateOnly = False,
    if_version: options.IfVersion = None,
    as_json: options.AsJson = False,
) -> None:
    """Create a source, or make one what is given here; secrets that are not given stay."""
    from cli.configure.records import apply_one, assignments

    fields = options.chosen(auth_type=auth_type, name=name) | options.secret_fields(secret, secret_file)
    apply_one(
        SOURCE,
        record_id,
        assignments(sets or []) | fields,
        file,
        create_only=create_only,
        if_version=if_version,
        as_json=as_json,
    )


@app.command()
def providers(as_json: options.AsJson = False) -> None:
    """List every auth_type with what it needs."""
    from cli.configure.providers import providers as run

    run(as_json)


add_common(app, SOURCE)
