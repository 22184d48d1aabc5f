"""How the delivery client asks DNS and what it makes of the answers, with a name server of the test's own."""

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from processors.deliver.connection import NoAnswerError
from processors.deliver.connections import MAX_AGE_S
from processors.deliver.egress import Egress
from processors.deliver.resolver import MAX_ADDRESSES, MAX_ASKED, MAX_NAMES, Resolver
from rules.addresses import AddressPolicy
from tests.dns_fixture import DnsServer, name_server
from tests.test_egress import serving
from tests.test_egress_connections import OK, Counting

DEADLINE_S = 20.0
MANY = 64  # more than any pool of threads that DNS was ever given


@asynccontextmanager
async def resolving(server: DnsServer, *allowed: str) -> AsyncIterator[Resolver]:
    resolver = Resolver(AddressPolicy.of(allowed), [server.address])
    try:
        yield resolver
    finally:
        await resolver.close()


@asynccontextmanager
async def delivering(server: DnsServer, max_age_s: float = MAX_AGE_S) -> AsyncIterator[Egress]:
    egress = Egress(AddressPolicy.of(["127.0.0.1/32"]), lambda: 0, [server.address], max_age_s=max_age_s)
    await egress.start()
    try:
        yield egress
    finally:
        await egress.stop()


async def failure(asking: Resolver, host: str) -> str:
    with pytest.raises(NoAnswerError) as found:
        await asking.addresses(host)
    return str(found.value)


async def until_it_fails(egress: Egress, url: str) -> str:
    async with asyncio.timeout(DEADLINE_S):
        while not (error := (await egress.post(url, [], b"", 5.0)).answer.error):
            await asyncio.sleep(0.05)
    return error


async def test_a_name_that_is_public_when_asked_first_and_private_later_is_never_followed_there() -> None:
    endpoint, inside = Counting(*[OK] * 10_000), Counting(*[OK] * 10_000)
    async with name_server(moving="127.0.0.1") as server, serving(endpoint) as url, delivering(server, 0.2) as egress:
        port = url.rpartition(":")[2]
        inner = await asyncio.start_server(inside, "127.0.0.2", int(port.partition("/")[0]))
        async with inner:
            moving = f"http://moving.test:{port}"
            assert (await egress.post(moving, [], b"", 5.0)).answer.success
            server.names["moving.test"] = ["127.0.0.2"]
            assert await until_it_fails(egress, moving) == "address_refused"
            server.names["moving.test"] = ["10.0.0.1", "169.254.169.254", "::1"]
            assert (await egress.post(moving, [], b"", 5.0)).answer.error == "address_refused"
    assert inside.connections == 0


async def test_a_connection_in_constant_use_makes_way_for_one_that_follows_dns() -> None:
    endpoint = Counting(*[OK] * 10_000)
    async with name_server(busy="127.0.0.1") as server, serving(endpoint) as url, delivering(server, 0.1) as egress:
        busy = url.replace("127.0.0.1", "busy.test")
        async with asyncio.timeout(DEADLINE_S):
            while endpoint.connections < 3:
                assert (await egress.post(busy, [], b"", 5.0)).answer.success
                await asyncio.sleep(0.001)
    assert len(endpoint.heads) > endpoint.connections


async def test_of_mixed_answers_only_what_may_be_reached_is_connected_to() -> None:
    mixed = "10.0.0.1 127.0.0.1 192.168.0.1 fd00::1"
    async with name_server(mixed=mixed) as server, resolving(server, "127.0.0.0/8") as resolver:
        assert await resolver.addresses("mixed.test") == ["127.0.0.1"]


async def test_names_that_nobody_answers_for_hold_up_no_other_and_no_stop() -> None:
    silent = {f"silent{number}": "" for number in range(MANY)}
    async with name_server(good="8.8.8.8", **silent) as server:
        resolver = Resolver(AddressPolicy.of([]), [server.address])
        waiting = [asyncio.create_task(failure(resolver, f"{name}.test")) for name in silent]
        async with asyncio.timeout(DEADLINE_S):
            while len({name for name in server.asked if name.startswith("silent")}) < MANY:
                await asyncio.sleep(0.01)
            assert await resolver.addresses("good.test") == ["8.8.8.8"]
            assert not any(task.done() for task in waiting)
            await resolver.close()
            assert set(await asyncio.gather(*waiting)) == {"dns"}


async def test_a_question_whose_askers_have_left_is_no_error() -> None:
    errors: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: errors.append(context))
    async with name_server(silent="") as server, resolving(server) as resolver:
        waiting = asyncio.create_task(resolver.addresses("silent.test"))
        async with asyncio.timeout(DEADLINE_S):
            while not server.asked:
                await asyncio.sleep(0.01)
        waiting.cancel()
        await asyncio.wait([waiting])
        await resolver.close()
        async with asyncio.timeout(DEADLINE_S):
            while resolver._asking:
                await asyncio.sleep(0.01)
    del waiting  # which holds the question by its traceback
    gc.collect()
    assert errors == []


async def test_a_name_server_that_is_silent_is_told_from_a_name_that_is_not_there() -> None:
    async with name_server(silent="") as server, resolving(server) as resolver:
        for number in range(5):  # a server that was quick so far is not waited for as long as an unknown one
            assert await failure(resolver, f"nobody{number}.test") == "dns"
        async with asyncio.timeout(2 * DEADLINE_S):
            assert await failure(resolver, "silent.test") == "dns_timeout"


async def test_many_who_ask_for_a_name_at_once_make_one_question() -> None:
    async with name_server(shared="8.8.8.8") as server, resolving(server) as resolver:
        await asyncio.gather(*(resolver.addresses("shared.test") for _ in range(50)))
        for _ in range(50):
            await resolver.addresses("shared.test")
    assert server.asked.count("shared.test") == 2  # A and AAAA


async def test_what_is_remembered_and_what_is_asked_is_bounded() -> None:
    async with name_server(silent="") as server, resolving(server) as resolver:
        for number in range(MAX_NAMES + 10):
            await resolver.addresses(f"8.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}")
        assert len(resolver._known) == MAX_NAMES
        for number in range(MAX_ASKED):
            server.names[f"silent{number}.test"] = []
        asking = [asyncio.create_task(failure(resolver, f"silent{number}.test")) for number in range(MAX_ASKED)]
        await asyncio.sleep(0)
        assert await failure(resolver, "one-more.test") == "dns_busy"
        await resolver.close()
        await asyncio.gather(*asking)


async def test_of_a_name_with_many_addresses_some_are_tried() -> None:
    many = " ".join(f"8.8.8.{number}" for number in range(20))
    async with name_server(many=many) as server, resolving(server) as resolver:
        assert len(await resolver.addresses("many.test")) == MAX_ADDRESSES


@pytest.mark.parametrize("host", ["2130706433", "0x7f.1", "017700000001", "127.1", "127.0.0.1.", "0"])
async def test_a_number_is_an_address_and_no_question(host: str) -> None:
    async with name_server() as server, resolving(server) as resolver:
        assert await failure(resolver, host) == "address_refused"
    assert server.asked == []


async def test_this_machine_is_known_without_a_question() -> None:
    async with name_server() as server, resolving(server, "127.0.0.0/8", "::1/128") as resolver:
        assert "127.0.0.1" in await resolver.addresses("localhost")
    assert server.asked == []
