"""Whose address counts, and when it is turned away: the rules, and the settings."""

import ipaddress
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from rules.address_guard import MAX_ADDRESSES, PROOF_MS, AddressGuard
from rules.forwarded import MAX_HOPS, client_address
from runtime.settings import Settings
from schemas.networks import parse_network

NOW_MS = 1_800_000_000_000
PROXIES = [parse_network("10.0.0.0/8"), parse_network("fd00::/8")]

proxies = st.integers(0, 2**24 - 1).map(lambda low: str(ipaddress.IPv4Address(10 * 2**24 + low)))
clients = st.ip_addresses().map(str).filter(lambda text: not any_proxy(text))
lies = st.lists(st.text(st.characters(codec="latin-1"), max_size=20), max_size=5)


def any_proxy(text: str) -> bool:
    address = ipaddress.ip_address(text)
    return any(address in network for network in PROXIES if network.version == address.version)


@given(lies, clients, st.lists(proxies, max_size=5), proxies, st.integers(0, 5))
def test_the_first_from_the_right_that_is_no_proxy_counts_whatever_a_client_wrote(
    lied: list[str], client: str, hops: list[str], peer: str, lines: int
) -> None:
    parts = [*lied, client, *hops]
    cut = min(lines, len(parts))
    values = [", ".join(part) for part in (parts[:cut], parts[cut:]) if part]  # one header or several
    assert client_address(peer, values, PROXIES) == client


@given(clients, st.lists(st.text(st.characters(codec="latin-1"), max_size=40), max_size=4))
def test_who_is_no_proxy_is_not_believed(peer: str, values: list[str]) -> None:
    assert client_address(peer, values, PROXIES) == peer
    assert client_address(peer, values, []) == peer


@pytest.mark.parametrize(
    ("said", "counts"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("192.0.2.1:4711", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("198.51.100.9, 192.0.2.1 , 10.9.9.9", "192.0.2.1"),
        ("10.1.1.1, 10.2.2.2", "10.1.1.1"),
        ("192.0.2.1, unknown", "10.0.0.7"),
        ("192.0.2.1, unknown, 10.1.1.1", "10.0.0.7"),
        ("", "10.0.0.7"),
        ("192.0.2.1,", "10.0.0.7"),
        ("192.0.2.256", "10.0.0.7"),
        ("192.0.2.1:port", "10.0.0.7"),
        ("[192.0.2.1", "10.0.0.7"),
        ("٣.1.1.1", "10.0.0.7"),
        (", ".join(["192.0.2.1"] + ["10.1.1.1"] * MAX_HOPS), "10.0.0.7"),
    ],
)
def test_what_a_proxy_says_is_read_or_the_proxys_own_address_counts(said: str, counts: str) -> None:
    assert client_address("10.0.0.7", [said], PROXIES) == counts


@pytest.mark.parametrize("text", ["*", "0.0.0.0/0", "::/0", "10.0.0.7, *", "0.0.0.0/1", "::ffff:0:0/96", "2000::/3"])
def test_trusting_everybody_is_refused_in_plain_words(text: str) -> None:
    with pytest.raises(ValidationError, match="would let everybody who connects say who they are"):
        Settings(trusted_proxies=text)


@pytest.mark.parametrize("text", ["proxy.example.com", "10.0.0.7/8", "10.0.0.256"])
def test_a_proxy_that_is_no_network_is_refused(text: str) -> None:
    with pytest.raises(ValidationError, match="trusted_proxies"):
        Settings(trusted_proxies=text)


def test_proxies_are_none_unless_they_are_named() -> None:
    assert Settings().trusted_networks == []
    assert Settings(trusted_proxies="10.0.0.7, fd00::/8 ").trusted_networks == [
        parse_network("10.0.0.7"),
        parse_network("fd00::/8"),
    ]


def fails(guard: AddressGuard, address: str, times: int, now_ms: int = NOW_MS) -> list[bool]:
    """Whether each of several requests that would fail is let in."""
    let_in = []
    for _ in range(times):
        let_in.append(guard.shut(address, now_ms) is None)
        if let_in[-1]:
            guard.failed(address, now_ms)
    return let_in


@given(st.integers(1, 100), clients, clients)
def test_an_address_that_keeps_failing_is_shut_out_and_no_other(per_minute: int, bad: str, good: str) -> None:
    guard = AddressGuard(per_minute)
    shared = ipaddress.ip_address(bad).is_loopback or network(bad) == network(good)
    assert fails(guard, bad, per_minute + 1)[-1] == ipaddress.ip_address(bad).is_loopback
    if not shared:
        assert guard.shut(good, NOW_MS) is None


def network(text: str) -> Any:
    address = ipaddress.ip_address(text)
    mapped = getattr(address, "ipv4_mapped", None)
    return mapped or (address if address.version == 4 else ipaddress.ip_network(f"{text}/64", strict=False))


@given(st.integers(1, 60), st.lists(st.integers(0, 30_000), max_size=200))
def test_in_no_minute_is_more_looked_at_than_twice_the_limit(per_minute: int, gaps: Sequence[int]) -> None:
    guard, now_ms, let_in = AddressGuard(per_minute), NOW_MS, []
    for gap in gaps:
        now_ms += gap
        let_in += [now_ms] * sum(fails(guard, "192.0.2.1", 3, now_ms))
    for start in let_in:
        assert sum(start <= at < start + 60_000 for at in let_in) <= 2 * per_minute


def test_all_addresses_of_one_ipv6_network_are_one() -> None:
    guard = AddressGuard(5)
    assert [fails(guard, f"2001:db8::{number:x}", 1)[0] for number in range(7)] == [True] * 5 + [False] * 2
    assert fails(guard, "2001:db8:0:1::1", 1) == [True]


def test_who_has_proved_a_secret_is_let_in_for_a_day_whatever_fails_beside() -> None:
    guard = AddressGuard(1)
    guard.proved("192.0.2.1", NOW_MS)
    assert all(fails(guard, "192.0.2.1", 100))
    assert fails(guard, "192.0.2.1", 3, NOW_MS + PROOF_MS) == [True, False, False]


@pytest.mark.parametrize("address", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "", "nonsense"])
def test_loopback_and_what_is_no_address_are_never_turned_away(address: str) -> None:
    guard = AddressGuard(1)
    assert all(fails(guard, address, 10))
    assert len(guard) == 0


def test_a_flood_from_many_addresses_takes_no_more_memory_and_the_oldest_are_forgotten() -> None:
    guard = AddressGuard(1)
    assert fails(guard, "192.0.2.1", 2) == [True, False]
    guard.proved("192.0.2.2", NOW_MS)
    for number in range(MAX_ADDRESSES + 100):
        guard.failed(str(ipaddress.IPv4Address(2**31 + number)), NOW_MS)
        if not number % 10_000:
            guard.proved("192.0.2.2", NOW_MS)  # it sends meanwhile
    assert len(guard) == MAX_ADDRESSES
    assert guard.shut("192.0.2.1", NOW_MS) is None
    assert all(fails(guard, "192.0.2.2", 3))
