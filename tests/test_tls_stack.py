"""A whole gateway that speaks TLS and asks for certificates, as its operator sees it through the command."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.certificates_fixture import DAY, issue
from tests.oracle.receiver import Receiver
from tests.oracle.stack import READY_S, Stack, until

pytestmark = pytest.mark.stack


@pytest.fixture
def tls_stack(tmp_path: Path) -> Iterator[Stack]:
    """A gateway with a certificate that ends soon, for those who have one of the same authority."""
    authority = issue("an authority", authority=True)
    ours = issue("hooklog", authority, names=("127.0.0.1",), ends=7 * DAY)
    operator = issue("an operator", authority)
    texts = {"ca": authority.pem, "cert": ours.pem, "key": ours.key_pem}
    texts |= {"operator": operator.pem, "operator-key": operator.key_pem}
    for name, text in texts.items():
        (tmp_path / f"{name}.pem").write_text(text)
    running = Stack(
        tmp_path,
        partitions=2,
        tls_cert="cert.pem",  # below where it is started: the services must find them, too
        tls_key="key.pem",
        tls_client_ca="ca.pem",
        ca="ca.pem",
        client_cert="operator.pem",
        client_key="operator-key.pem",
    )
    try:
        yield running
    finally:
        asyncio.run(running.down())


async def objects(stack: Stack, *arguments: str) -> list[dict[str, Any]]:
    """The JSON lines that a command prints."""
    return [json.loads(line) for line in (await stack.run(*arguments, "--json")).splitlines()]


async def test_the_commands_and_the_supervisor_speak_tls_and_show_their_certificate(
    tls_stack: Stack, receiver: Receiver
) -> None:
    stack = tls_stack
    stack._start("up", "up", {})

    async def ready() -> bool:
        return bool((await objects(stack, "status"))[0]["ready"])

    await until("a ready gateway", ready, READY_S, every_s=1)
    await stack.run("sources", "apply", "shop", "--auth-type", "none")
    await stack.run("topics", "apply", "shop", "--source", "shop")
    await stack.run("subscriptions", "apply", "shop", "--topic", "shop", "--url", receiver.url("/ok/tls"))
    (sent,) = await objects(stack, "send", "shop", "--wait")
    assert [each["status"] for each in sent["deliveries"]] == ["SUCCESS"]

    async def shown() -> str:
        return (stack.folder / "up.log").read_text()

    block = await shown()
    assert f"https://127.0.0.1:{stack.ports['ingest']}/api/v1" in block
    assert "curl -sS --cacert ca.pem --cert operator.pem --key operator-key.pem https://" in block
    found = {finding["check"]: finding for finding in await objects(stack, "doctor")}
    assert (found["certificate"]["state"], "expires at" in found["certificate"]["found"]) == ("warn", True)
    assert all(found[name]["state"] == "ok" for name in ("ingest", "processors", "projections", "tables"))

    # A terminal that has none of the variables still learns from the supervisor that it is TLS, and trusts nobody.
    stack._settings |= dict.fromkeys(("tls_cert", "tls_key", "tls_client_ca", "ca"), "")
    assert await ready()
    stack._settings |= {"client_cert": "", "client_key": ""}
    assert not await ready()  # without a certificate it is told nothing
    assert await stack.run("sources", "list") == ""
