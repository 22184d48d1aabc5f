"""`hooklog send`: posts events to a topic, signed as its source demands."""

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

import typer

from cli.durations import seconds
from cli.environment import read_settings
from cli.exits import FAILED, OK, fail, refuse
from cli.gateway import Gateway
from cli.show import print_json
from cli.verifiers import add_installed_verifiers

if TYPE_CHECKING:
    import ssl

    from cli.traffic.letter import Letter, Sender
    from cli.traffic.posting import Answer, Pace, Tally

EXAMPLES = (
    "hooklog send orders --type order.created --data '{\"id\": 42}'",
    "hooklog send pushes --type push --data @push.json --secret-file hush.txt --wait",
    "hooklog send orders --count 1000 --rate 100 --concurrency 10",
    "hooklog send orders --batch orders.ndjson",
)
MAX_COUNT = 10_000_000
"""A typing error should not run for days."""

MAX_CONCURRENCY = 500
"""Connections of one process; beyond it the sender, not the gateway, is what is measured."""


Data = Annotated[str, typer.Option("--data", "-d", help="The body: text, @file, or - for standard input.")]
EventType = Annotated[str, typer.Option("--type", "-t", help="Type of the event, put where the source has it.")]
Source = Annotated[str | None, typer.Option(help="Post to this source's own URL, not to a topic.")]
DedupId = Annotated[str, typer.Option("--id", help="The sender's id of the event: one id is delivered once.")]
OwnHeaders = Annotated[list[str] | None, typer.Option("--header", "-H", help="'Name: value'; may repeat, and wins.")]
Secret = Annotated[
    str | None,
    typer.Option(
        envvar=["HOOKLOG_SOURCE_SECRET", "HOOKLOG_SEND_SECRET"],
        help="The source's secret, to sign with; other users of the machine see it when it is typed here.",
    ),
]
SecretFile = Annotated[
    Path | None, typer.Option("--secret-file", help="Read the secret from a file; - reads standard input.")
]
Unsigned = Annotated[bool, typer.Option("--unsigned", help="Do not sign: see it refused.")]
Count = Annotated[int, typer.Option(min=1, max=MAX_COUNT, help="How many times.")]
Rate = Annotated[
    float | None, typer.Option(min=0.001, help="How many a second; default: as fast as they are answered.")
]
Concurrency = Annotated[int, typer.Option(min=1, max=MAX_CONCURRENCY, help="How many may wait for an answer.")]
Batch = Annotated[
    Path | None, typer.Option("--batch", help="Post the lines of this NDJSON file with one request, - is stdin.")
]
Wait = Annotated[bool, typer.Option("--wait", help="Wait until its deliveries have ended, and show its life.")]
Timeout = Annotated[str, typer.Option(metavar="DURATION", help="How long --wait waits.")]


def send(
    *,
    topic: Annotated[str | None, typer.Argument(help="The topic to post to.")] = None,
    data: Data = '{"hello": "world"}',
    event_type: EventType = "",
    source: Source = None,
    dedup_id: DedupId = "",
    header: OwnHeaders = None,
    content_type: Annotated[str, typer.Option(help="Media type of the body.")] = "application/json",
    secret: Secret = None,
    secret_file: SecretFile = None,
    unsigned: Unsigned = False,
    count: Count = 1,
    rate: Rate = None,
    concurrency: Concurrency = 1,
    wait: Wait = False,
    batch: Batch = None,
    timeout: Timeout = "60s",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Post an event, signed as its source demands (exit code 0 when every one was accepted).

    The source's secret is read from --secret-file, --secret or HOOKLOG_SOURCE_SECRET, or asked for. With --wait, exit
    code 0 also says that every delivery of the event succeeded.
    """
    from cli.traffic.posting import Pace

    _require_sense(topic, source, wait=wait, count=count)
    own_secret = None if unsigned else _given_secret(secret, secret_file, data)
    if batch is not None:
        from cli.traffic.send_batch import send_batch

        send_batch(topic, batch, own_secret, unsigned=unsigned, as_json=as_json)
    own_headers, body, wait_s = [_header(text) for text in header or []], body_of(data), seconds(timeout)
    gateway = Gateway(read_settings())
    sender = sender_of(gateway, topic, source, own_secret, unsigned=unsigned)
    letter = _letter(sender, body, content_type, event_type=event_type, dedup_id=dedup_id, own_headers=own_headers)
    url = gateway.url("ingest") + (f"/api/v1/ingest/{topic}" if topic else f"/api/webhooks/{source}")
    pace = Pace(count, rate, concurrency)
    tally, last = _post(url, letter.unsigned() if unsigned else letter, pace, gateway.verify, quiet=as_json)
    if wait and not last.code:
        _follow(gateway, last.document["event_id"], wait_s, as_json)
    else:
        _tell_tally(tally, as_json) if count > 1 else _tell(last, as_json)
    raise SystemExit(OK if tally.accepted == count else FAILED)


def _require_sense(topic: str | None, source: str | None, *, wait: bool, count: int) -> None:
    if (topic is None) == (source is None):
        refuse("name a topic, or a source with --source")
    if wait and count > 1:
        refuse("--wait follows one event: leave out --count")


def _letter(sender: "Sender", body: bytes, content_type: str, **wishes: Any) -> "Letter":
    from cli.traffic.letter import CannotPlaceError, compose

    try:
        return compose(sender, body, content_type, **wishes)
    except CannotPlaceError as error:
        refuse(error)


def sender_of(
    gateway: Gateway, topic: str | None, source: str | None, secret: str | None, *, unsigned: bool
) -> "Sender":
    """How the source proves itself, and where its topic looks for type and id; asks for a missing secret."""
    from cli.traffic.letter import Sender
    from rules.verify.none import NoVerification

    add_installed_verifiers()
    rules = _record(gateway, "topics", topic) if topic else {}
    found = _record(gateway, "sources", source or rules["source_id"])
    needs_secret = not unsigned and found["auth_type"] != NoVerification.auth_type
    return Sender(
        found["auth_type"],
        found.get("auth_config") or {},
        [_secret(secret, found["id"])] if needs_secret else [],
        rules.get("event_type"),
        rules.get("dedup_id"),
    )


def _record(gateway: Gateway, kind: str, record_id: str) -> dict[str, Any]:
    answer = gateway.call("ingest", "GET", f"/api/v1/{kind}/{quote(record_id, safe='')}", allow={404})
    if not answer.is_success:
        fail(f"there is no {kind.removesuffix('s')} {record_id}; create it first")
    record: dict[str, Any] = answer.json()
    return record


def _given_secret(secret: str | None, file: Path | None, data: str) -> str | None:
    from cli.configure.manifest_files import UnusableFileError, read_text

    if file is None:
        return secret
    if data == "-" and file == Path("-"):
        refuse("standard input cannot be both the body and the secret")
    try:
        return read_text(file).rstrip("\r\n")
    except UnusableFileError as error:
        refuse(error)


def _secret(given: str | None, source_id: str) -> str:
    if given:
        return given
    if not sys.stdin.isatty():
        refuse(f"source {source_id} wants a signature: give its secret with --secret-file or HOOKLOG_SOURCE_SECRET")
    return str(typer.prompt(f"Secret of source {source_id}", hide_input=True, err=True))


def _header(text: str) -> tuple[str, str]:
    from rules.verify.setting import header_name

    name, colon, value = text.partition(":")
    if not colon or header_name(name.strip()):
        refuse(f"{text!r} is no header, such as 'X-Team: billing'")
    return name.strip(), value.strip()


def body_of(data: str) -> bytes:
    """The bytes that `--data` means: text, @file, or - for standard input."""
    try:
        if data == "-":
            return sys.stdin.buffer.read()
        return Path(data[1:]).read_bytes() if data.startswith("@") else data.encode()
    except OSError as error:
        refuse(error)


def _post(
    url: str, letter: "Letter", pace: "Pace", verify: "ssl.SSLContext | bool", *, quiet: bool
) -> "tuple[Tally, Answer]":
    from cli.traffic.posting import post_all
    from rules.verify import CannotSignError

    try:
        letter.sealed()  # once before anything is sent: whoever cannot sign says so
    except CannotSignError as error:
        refuse(error)
    last: list[Answer] = []
    with _progress(pace.count, quiet=quiet) as advance:

        def told(answer: "Answer") -> None:
            last[:] = [answer]
            advance()

        tally = asyncio.run(post_all(url, letter, pace, told, verify))
    return tally, last[0]


class _progress:  # noqa: N801 - used as a statement
    """A bar on a terminal's stderr for many events, and nothing elsewhere."""

    def __init__(self, count: int, *, quiet: bool) -> None:
        self._count = count
        self._shown = count > 1 and not quiet and sys.stderr.isatty()

    def __enter__(self) -> Any:
        if not self._shown:
            return lambda: None
        from rich.console import Console
        from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn

        columns = (*Progress.get_default_columns()[:2], MofNCompleteColumn(), TimeRemainingColumn())
        self._bar = Progress(*columns, console=Console(stderr=True), transient=True)
        self._bar.start()
        task = self._bar.add_task("sending", total=self._count)
        return lambda: self._bar.advance(task)

    def __exit__(self, *_: object) -> None:
        if self._shown:
            self._bar.stop()


def _tell_tally(tally: "Tally", as_json: bool) -> None:
    document = tally.document()
    if as_json:
        print_json(document)
        return
    took = f"in {document['took_s']:.1f} s"
    twice = f", {tally.duplicates} of them sent before" if tally.duplicates else ""
    typer.echo(f"{tally.accepted} of {document['sent']} accepted{twice} {took}")
    typer.echo(f"  answered within p50 {document['p50_ms']} ms, p99 {document['p99_ms']} ms")
    for code, number in tally.refused.most_common():
        typer.echo(f"  {number} refused: {code}")


def _tell(answer: "Answer", as_json: bool) -> None:
    document = answer.document
    if as_json:
        print_json({"status": answer.status or None, **document, "duration_ms": answer.duration_ms})
    elif not answer.status:
        fail(f"nothing answers ({document['detail']}); is `hooklog up` running?")
    elif answer.code:
        fail(f"{answer.code}: {document.get('detail') or document.get('title', '')} (HTTP {answer.status})")
    else:
        twice = ", which had been sent before" if document.get("duplicate") else ""
        typer.echo(f"accepted event {document['event_id']}{twice} in {answer.duration_ms:.0f} ms")
        if sys.stdout.isatty():
            typer.echo(f"its life: hooklog events {document['event_id']}")


def _follow(gateway: Gateway, event_id: str, timeout_s: float, as_json: bool) -> None:
    from cli.traffic.life import await_end, print_life

    story, ended = await_end(gateway, event_id, timeout_s)
    if as_json:
        print_json(story)
    elif story:
        print_life(story)
    if not ended:
        fail(f"its deliveries have not ended within {timeout_s:g} s; see: hooklog events {event_id}")
    if any(delivery["status"] != "SUCCESS" for delivery in story["deliveries"]):
        raise SystemExit(FAILED)
