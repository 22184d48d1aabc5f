"""`tls` of a subscription, from files."""

from pathlib import Path
from typing import Annotated

import typer

PEM_FIELDS = {"ca": "ca_pem", "cert": "client_cert_pem", "key": "client_key_pem"}
SERVER_NAME = "server-name"

Parts = Annotated[
    list[str] | None,
    typer.Option(
        "--tls",
        metavar="PART=FILE",
        help="ca=FILE trusts these authorities alone; cert=FILE and key=FILE (- is standard input) show who we are; "
        "server-name=NAME asks for another host than the URL's. Each once.",
    ),
]


def tls_fields(parts: list[str] | None) -> dict[str, object]:
    """`tls`, when any of it was given; ends the command when a part is none, or its file cannot be read."""
    from cli.configure.manifest_files import UnusableFileError, read_text
    from cli.exits import refuse

    tls: dict[str, str] = {}
    for part, _, value in (text.partition("=") for text in parts or []):
        field = PEM_FIELDS.get(part, "server_name" if part == SERVER_NAME else "")
        if not field or not value or field in tls:
            raise typer.BadParameter(
                f"each of ca, cert, key and {SERVER_NAME} once, with = and a value", param_hint="--tls"
            )
        try:
            tls[field] = read_text(Path(value)) if part in PEM_FIELDS else value
        except UnusableFileError as error:
            refuse(error)
    return {"tls": tls} if tls else {}
