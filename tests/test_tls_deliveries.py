"""TLS, headers and addresses of subscriptions, through the gateway as an operator runs it."""

import asyncio
from pathlib import Path

import pytest

from tests.certificates_fixture import issue
from tests.oracle.stack import Stack
from tests.oracle.team import Team
from tests.test_egress_connections import OK, Counting
from tests.test_retries import send
from tests.test_spine import rows

pytestmark = pytest.mark.stack


async def test_an_endpoint_of_a_private_authority_that_asks_who_calls_is_delivered_to_by_whom_it_knows(
    stack: Stack, team: Team, tmp_path: Path
) -> None:
    root, client = issue("root", authority=True), issue("hooklog")
    host = issue("localhost", root, names=("localhost",))
    endpoint, topic = Counting(OK, OK, OK), await team.github_topic()
    server = await asyncio.start_server(endpoint, "127.0.0.1", 0, ssl=host.serving(tmp_path, clients_of=client))
    url = f"https://localhost:{server.sockets[0].getsockname()[1]}/hook"
    tls = {"ca_pem": root.pem, "client_cert_pem": client.pem, "client_key_pem": client.key_pem}
    never: dict[str, list[int]] = {"delays_s": []}
    async with server:
        known = await team.subscribe(
            topic, f"{url}?token=hush", tls=tls, headers={"Authorization": "Bearer hush"}, retry=never
        )
        stranger = await team.subscribe(topic, url, retry=never)
        (event_id,) = await send(stack, topic)
        await rows(stack, "deliveries", 1, event_id=event_id, subscription_id=known["id"], status="SUCCESS")
        (failed,) = await rows(
            stack, "deliveries", 1, event_id=event_id, subscription_id=stranger["id"], status="FAILED"
        )
    assert failed["reason"] == "tls_unknown_authority"
    (attempt,) = await rows(stack, "attempts", 1, event_id=event_id, subscription_id=known["id"])
    assert attempt["target_url"] == f"{url}?token=********"
    assert len(endpoint.heads) == 1
    assert endpoint.heads[0].startswith(b"POST /hook?token=hush ")
    assert b"authorization: bearer hush" in endpoint.heads[0].lower()
