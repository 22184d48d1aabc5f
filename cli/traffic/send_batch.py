"""`hooklog send TOPIC --batch FILE`: the lines of an NDJSON file with one request, signed as a whole."""

from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import typer

from cli.environment import read_settings
from cli.exits import FAILED, OK, fail, refuse
from cli.gateway import Gateway
from cli.show import print_json, printable

if TYPE_CHECKING:
    from cli.traffic.posting import Answer

NDJSON = "application/x-ndjson"


def send_batch(topic: str | None, file: Path, secret: str | None, *, unsigned: bool, as_json: bool) -> NoReturn:
    """Post it once and tell what came of each line; ends the command, with code 0 when all are stored."""
    import asyncio

    import httpx

    from cli.traffic.letter import Letter
    from cli.traffic.posting import TIMEOUT_S, post
    from cli.traffic.send import body_of, sender_of
    from rules.verify import CannotSignError

    if topic is None:
        refuse("a batch goes to a topic")
    gateway = Gateway(read_settings())
    body = body_of("-" if str(file) == "-" else f"@{file}")
    letter = Letter(sender_of(gateway, topic, None, secret, unsigned=unsigned), body, NDJSON, is_signed=not unsigned)
    url = f"{gateway.url('ingest')}/api/v1/ingest/{topic}/batch"

    async def once() -> "Answer":
        async with httpx.AsyncClient(timeout=TIMEOUT_S, trust_env=False, verify=gateway.verify) as client:
            return await post(client, url, body, letter.sealed())

    try:
        answer = asyncio.run(once())
    except CannotSignError as error:
        refuse(error)
    if as_json:
        print_json({"status": answer.status or None, **answer.document, "duration_ms": answer.duration_ms})
    else:
        _tell(answer)
    raise SystemExit(FAILED if answer.code else OK)


def _tell(answer: "Answer") -> None:
    items = answer.document.get("items", [])
    for item in items:
        if item["status"] != "QUEUED":
            typer.echo(printable(f"item {item['index']}: {item['code']}: {item.get('detail', '')}"))
    if answer.code:
        detail = answer.document.get("detail") or answer.document.get("title", "")
        fail(f"{answer.code}: {detail} (HTTP {answer.status or 'none'})")
    twice = sum(bool(item.get("duplicate")) for item in items)
    known = f", {twice} of which had been sent before" if twice else ""
    typer.echo(f"accepted {len(items)} events{known} in {answer.duration_ms:.0f} ms")
