"""`hooklog listen`: a receiver to try things with; prints each delivery, and fails when it is told to."""

import asyncio
import contextlib
import secrets
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.durations import seconds
from cli.environment import read_settings
from cli.exits import fail
from cli.gateway import Gateway
from cli.show import console, print_json, printable

if TYPE_CHECKING:
    from cli.traffic.receiver import Behaviour, Reception

EXAMPLES = (
    "hooklog listen --subscribe pushes",
    "hooklog listen --subscribe pushes --fail 2 --status 503 --retry-after 5",
    "hooklog listen --port 9000 --secret whsec_…",
)
FAIL_STATUS = 503
"""What `--fail` answers unless `--status` says otherwise: the usual word for "come again"."""

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "::1": "[::1]"}
MAX_STATUS, MIN_STATUS = 599, 200

Port = Annotated[int, typer.Option(min=0, max=65_535, help="0 takes a free one.")]
Secret = Annotated[str, typer.Option(envvar="HOOKLOG_LISTEN_SECRET", help="The subscription's, to verify with.")]
FailFirst = Annotated[int, typer.Option("--fail", min=0, metavar="N", help="Fail the first N of each webhook-id.")]
Status = Annotated[
    int | None, typer.Option(min=MIN_STATUS, max=MAX_STATUS, help="What failures get; without --fail, what all get.")
]
Delay = Annotated[str, typer.Option(metavar="DURATION", help="Wait so long before each answer.")]
RetryAfter = Annotated[int | None, typer.Option(min=0, metavar="S", help="Send Retry-After with failures.")]
Subscribe = Annotated[
    str | None, typer.Option(metavar="TOPIC", help="Subscribe to it meanwhile, and verify with the secret of that.")
]
Count = Annotated[int | None, typer.Option(min=1, help="End after so many deliveries.")]


def listen(
    *,
    port: Port = 9000,
    host: Annotated[str, typer.Option(help="The address to bind.")] = "127.0.0.1",
    secret: Secret = "",
    fail_first: FailFirst = 0,
    status: Status = None,
    delay: Delay = "0s",
    retry_after: RetryAfter = None,
    subscribe: Subscribe = None,
    count: Count = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")] = False,
) -> None:
    """Receive deliveries here and print each, verified: until Ctrl-C, or --count of them."""
    from cli.traffic.receiver import Behaviour

    behaviour = Behaviour(
        secret=secret,
        status=200 if fail_first or status is None else status,
        fail_first=fail_first,
        fail_status=status or FAIL_STATUS,
        delay_s=seconds(delay),
        retry_after_s=retry_after,
    )
    for number in STOP_SIGNALS:
        signal.signal(number, signal.default_int_handler)  # also while it subscribes: nothing is to be left behind
    with contextlib.suppress(KeyboardInterrupt), _listener(host, port) as listener:
        url = f"http://{ANYWHERE.get(host, host)}:{listener.getsockname()[1]}/"
        with _subscription(subscribe, url) as made:
            chosen = replace(behaviour, secret=made["secret"]) if made else behaviour
            asyncio.run(_receive(listener, chosen, count, as_json, lambda: _announce(url, made)))


def _listener(host: str, port: int) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family)
    except OSError as error:
        fail(f"cannot listen on {host}, port {port}: {error.strerror or error}; choose another with --port")


@contextlib.contextmanager
def _subscription(topic: str | None, url: str) -> Iterator[dict[str, Any] | None]:
    """Keep a subscription of this receiver while the block runs."""
    if topic is None:
        yield None
        return
    gateway = Gateway(read_settings())
    document = {"id": f"listen-{secrets.token_hex(4)}", "topic_id": topic, "target_url": url}
    made = gateway.call("ingest", "POST", "/api/v1/subscriptions", document=document).json()
    try:
        yield made
    finally:
        gateway.call("ingest", "DELETE", f"/api/v1/subscriptions/{made['id']}", allow={404})


def _announce(url: str, made: dict[str, Any] | None) -> None:
    subscribed = f", subscribed to {made['topic_id']} as {made['id']}" if made else ""
    sys.stderr.write(f"listening on {url}{subscribed} (Ctrl-C ends it)\n")
    sys.stderr.flush()


async def _receive(
    listener: socket.socket, behaviour: "Behaviour", count: int | None, as_json: bool, begun: Callable[[], None]
) -> None:
    from cli.traffic.receiver import Receiver, serving

    stopping = asyncio.Event()
    for number in STOP_SIGNALS:
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    printed = 0

    def told(reception: "Reception") -> None:
        nonlocal printed
        if count is None or printed < count:
            _show(reception, as_json)
            printed += 1
        if printed == count:
            stopping.set()

    async with serving(Receiver(lambda _: behaviour, told), listener):
        begun()
        await stopping.wait()


def _show(reception: "Reception", as_json: bool) -> None:
    if as_json:
        print_json(document_of(reception))
        return
    from rich.text import Text

    clock = time.strftime("%H:%M:%S", time.localtime(reception.at_s))
    verdict = {"verified": "green", "unverified": "yellow"}.get(reception.verdict, "red")
    answered = "green" if reception.answered < 300 else "red"  # noqa: PLR2004 - RFC 9110, section 15
    line = Text(f"{clock}  ", style="dim").append(f"{reception.answered}", style=answered)
    who = printable(f"  {reception.webhook_id or '(no webhook-id)'}  {reception.event_type or '-'}")
    line.append(who, style="default")
    line.append(f"  attempt {reception.attempt}, {reception.body_bytes} bytes, ", style="default")
    line.append(str(reception.verdict), style=verdict)
    console().print(line, soft_wrap=True)
    sys.stdout.flush()


def document_of(reception: "Reception") -> dict[str, Any]:
    """Return a delivery as `--json` prints it."""
    return {
        "at": reception.at_s,
        "path": reception.path,
        "webhook_id": reception.webhook_id,
        "event_type": reception.event_type,
        "attempt": reception.attempt,
        "body_bytes": reception.body_bytes,
        "sha256": reception.sha256,
        "signature": str(reception.verdict),
        "status": reception.answered,
    }
