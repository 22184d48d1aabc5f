"""The one block that `hooklog up` ends its start with: where everything is, and commands to begin with."""

import json
import shlex
import sys
from pathlib import Path

from runtime.secrets_files import admin_key_file
from runtime.settings import Settings
from schemas.streams import INTAKE, StreamNames

LABEL_WIDTH = 14


def print_ready_block(settings: Settings, took_s: float) -> None:
    """Print the block to stdout; lines are never wrapped, so that they can be copied."""
    from rich.console import Console

    console = Console(file=sys.stdout, highlight=False, soft_wrap=True)
    console.rule(f"[bold green]Hooklog is ready[/] after {took_s:.1f} s", align="left")
    for label, text in _facts(settings).items():
        console.print(f"  [bold]{label:<{LABEL_WIDTH}}[/]{text}")
    for title, command in _commands(settings).items():
        console.print(f"\n  [bold]{title}[/]")
        console.print(f"    {command}", markup=False)
    console.rule()


def _facts(settings: Settings) -> dict[str, str]:
    ingest, query = _api(settings, settings.ingest_port), _api(settings, settings.query_port)
    return {
        "Ingest API": f"{ingest}/api/v1   (docs: {ingest}/docs)",
        "Query API": f"{query}/api/v1   (docs: {query}/docs)",
        **_sql(settings),
        "Processors": f"{_url(settings, settings.processors_port)}/metrics",
        "Kafka": settings.bootstrap,
        "Admin key": "HOOKLOG_ADMIN_KEY" if settings.admin_key else _shown(admin_key_file(settings)),
        "Data": _shown(settings.data_dir),
    }


def _sql(settings: Settings) -> dict[str, str]:
    if not settings.serves_sql:
        return {}
    url = _url(settings, settings.sql_port, settings.sql_host).replace(
        "http", "https" if settings.tls_cert else "http", 1
    )
    return {"SQL": f"{url}   (ClickHouse's HTTP interface; user analyst, password: a key)"}


def _commands(settings: Settings) -> dict[str, str]:
    ingest = _api(settings, settings.ingest_port)
    return {
        "Create a source": admin_line(settings, "sources", {"id": "demo", "auth_type": "none"}),
        "and a topic": admin_line(settings, "topics", {"id": "demo", "source_id": "demo"}),
        "Subscribe to it": kcat_line(settings),
        "Send an event": f"{_curl(settings)} {ingest}/api/v1/ingest/demo {_json({'type': 'hello'})}",
    }


def admin_line(settings: Settings, kind: str, record: dict[str, str]) -> str:
    """Return a command that creates a record over HTTP, as a person can paste it."""
    key = "$HOOKLOG_ADMIN_KEY" if settings.admin_key else f"$(cat {shlex.quote(_shown(admin_key_file(settings)))})"
    return (
        f"{_curl(settings)} {_api(settings, settings.ingest_port)}/api/v1/{kind} "
        f'-H "Authorization: Bearer {key}" {_json(record)}'
    )


def _json(record: dict[str, str]) -> str:
    # Not --json, which curl learned in 2022.
    return f"-H 'content-type: application/json' -d '{json.dumps(record, separators=(',', ':'))}'"


def kcat_line(settings: Settings) -> str:
    """Return a command that subscribes by producing a record, as a person can paste it."""
    stream = StreamNames(settings.kafka_prefix)(INTAKE["subscriptions"])
    record = json.dumps({"topic_id": "demo", "target_url": "http://127.0.0.1:9000/"}, separators=(",", ":"))
    return f"echo 'demo:{record}' | kcat -P -b {settings.bootstrap} -t {stream} -K:"


def _curl(settings: Settings) -> str:
    files = {"--cacert": settings.ca, "--cert": settings.client_cert, "--key": settings.client_key}
    given = [f" {option} {shlex.quote(_shown(file))}" for option, file in files.items() if file and settings.tls_cert]
    return "curl -sS" + "".join(given)


def _api(settings: Settings, port: int) -> str:
    return _url(settings, port).replace("http", "https" if settings.tls_cert else "http", 1)


def _url(settings: Settings, port: int, host: str = "") -> str:
    host = host or settings.host
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, host)
    return f"http://{host}:{port}"


def _shown(path: Path) -> str:
    """Return the path as short as it can be copied from where the command runs."""
    absolute = path.absolute()
    return str(absolute.relative_to(Path.cwd())) if absolute.is_relative_to(Path.cwd()) else str(absolute)
