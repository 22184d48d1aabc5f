"""Where deliveries may go."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.addresses import AddressPolicy

CLOSED = AddressPolicy.of([])


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "172.31.255.255",
        "192.168.0.1",
        "169.254.169.254",
        "168.63.129.16",
        "192.0.0.192",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "::127.0.0.1",
        "::ffff:10.0.0.1",
        "::ffff:7f00:1",
        "0:0:0:0:0:ffff:a9fe:a9fe",
        "64:ff9b:1::7f00:1",
        "2001::1",
        "fe80::1%25eth0",
        "fd00:ec2::254",
        "64:ff9b::10.0.0.1",
        "2002:0a00:0001::",
        "fc00::1",
        "fe80::1%eth0",
        "fec0::1",
        "ff02::1",
        "2001:db8::1",
        "not an address",
        "",
    ],
)
def test_private_and_special_addresses_are_refused(address: str) -> None:
    assert not CLOSED.permits(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "172.32.0.1", "2606:4700::1111", "::ffff:8.8.8.8"])
def test_public_addresses_are_permitted(address: str) -> None:
    assert CLOSED.permits(address)


def test_an_opened_network_is_permitted_and_its_neighbour_is_not() -> None:
    policy = AddressPolicy.of(["10.20.0.0/16", "fd00::/64"])
    assert policy.permits("10.20.3.4")
    assert policy.permits("::ffff:10.20.3.4")
    assert policy.permits("fd00::1")
    assert not policy.permits("10.21.0.1")


@given(st.ip_addresses(v=4))
def test_every_spelling_of_a_private_ipv4_address_is_refused_as_a_host(address: ipaddress.IPv4Address) -> None:
    number = int(address)
    spellings = [str(number), hex(number), f"0{number:o}", f"{number >> 24}.{number & 0xFFFFFF}"]
    refused = {CLOSED.refuses_host(spelling) for spelling in [str(address), *spellings]}
    assert refused == {not CLOSED.permits(str(address))}


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST.",
        "a.localhost",
        "127.1",
        "127.0.0.1.",
        "0x7f.1",
        "0X7F000001",
        "0177.0.0.01",
        "0",
        "127。0。0。1",
        "127\uff0e0\uff0e0\uff0e1",
        "\uff11\uff12\uff17.0.0.1",
        "①②⑦.⓪.⓪.①",
        "ⓛocalhost",
        "::ffff:127.0.0.1",
        "[::ffff:7f00:1]",
    ],
)
def test_names_of_this_machine_are_refused_as_hosts(host: str) -> None:
    assert CLOSED.refuses_host(host)
    assert not AddressPolicy.of(["127.0.0.0/8", "0.0.0.0/8"]).refuses_host(host)


@pytest.mark.parametrize(
    "host", ["example.com", "1.example", "08.example", "1.2.3.4.5", "0x.example", "1_2.3", "+1.2", "\u0663"]
)
def test_other_names_are_left_to_the_check_after_dns(host: str) -> None:
    assert not CLOSED.refuses_host(host)
