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
    "Example: hooklog sources apply own --auth-type hmac --secret-file own.secret "
    "--set auth_config.header=X-Signature --rate-limit 50 --allowed-ip 192.0.2.0/24"
)
def apply(
    record_id: options.Id,
    *,
    auth_type: Annotated[
        str | None, typer.Option("--auth-type", help="How it is verified; hooklog sources providers lists them.")
    ] = None,
    secret: options.Secrets = None,
    secret_file: options.SecretFile = None,
    rate_limit: Annotated[
        float | None, typer.Option("--rate-limit", help="Verified events a second, at most, in each ingest process.")
    ] = None,
    burst: Annotated[
        int | None, typer.Option("--burst", min=1, help="At once; with --rate-limit. Those of one second by default.")
    ] = None,
    allowed_ip: Annotated[
        list[str] | None,
        typer.Option("--allowed-ip", help="An address or network that may send; may be repeated. Others are refused."),
    ] = None,
    name: Annotated[str | None, typer.Option(help="What people call it.")] = None,
    sets: options.Sets = None,
    file: options.RecordFile = None,
    create_only: options.CreateOnly = False,
    if_version: options.IfVersion = None,
    as_json: options.AsJson = False,
) -> None:
    """Create a source, or make one what is given here; secrets that are not given stay."""
    from cli.configure.records import apply_one, assignments

    fields = options.chosen(
        auth_type=auth_type, name=name, rate_limit=_limit(rate_limit, burst), allowed_ips=allowed_ip
    )
    fields |= options.secret_fields(secret, secret_file)
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


def _limit(per_second: float | None, burst: int | None) -> dict[str, float | int] | None:
    if burst is not None and per_second is None:
        raise typer.BadParameter("needs --rate-limit", param_hint="--burst")
    if per_second is None:
        return None
    return {"per_second": per_second} | ({} if burst is None else {"burst": burst})


add_common(app, SOURCE)
