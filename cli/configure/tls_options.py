"""`tls` of a subscription, from files."""

from pathlib import Path
from typing import Annotated

import typer

_TLS = "TLS to the endpoint"

CaFile = Annotated[
    Path | None,
    typer.Option("--tls-ca", metavar="FILE", help="Trust only what these authorities signed.", rich_help_panel=_TLS),
]
CertFile = Annotated[
    Path | None,
    typer.Option("--tls-cert", metavar="FILE", help="Our certificate, its chain after it.", rich_help_panel=_TLS),
]
KeyFile = Annotated[
    Path | None,
    typer.Option(
        "--tls-key", metavar="FILE", help="Its private key, not encrypted; - is standard input.", rich_help_panel=_TLS
    ),
]
ServerName = Annotated[
    str | None,
    typer.Option(
        "--tls-server-name",
        metavar="NAME",
        help="Ask for this host, and take only its certificate.",
        rich_help_panel=_TLS,
    ),
]


def tls_fields(ca: Path | None, cert: Path | None, key: Path | None, server_name: str | None) -> dict[str, object]:
    """`tls`, when any of it was given; ends the command when a file cannot be read."""
    from cli.configure.manifest_files import UnusableFileError, read_text
    from cli.exits import refuse

    files = {"ca_pem": ca, "client_cert_pem": cert, "client_key_pem": key}
    try:
        tls = {name: read_text(file) for name, file in files.items() if file is not None}
    except UnusableFileError as error:
        refuse(error)
    if server_name is not None:
        tls["server_name"] = server_name
    return {"tls": tls} if tls else {}
