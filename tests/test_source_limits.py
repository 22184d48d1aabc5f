"""Who may send for a source, and what it is told of its limit: the rules, and the fields that say so."""

import ipaddress
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ingest.source_limits import SourceLimits
from rules.allowed_addresses import is_allowed, lies_in
from rules.quota_headers import quota_headers, refusal_headers
from rules.rate_limit import RateLimit
from runtime.problem import ProblemError
from schemas.config import SourceSpec
from schemas.networks import parse_network
from schemas.source_limits import SourceRateLimitSpec

NOW_MS = 1_800_000_000_000
SOURCE = {"id": "s", "auth_type": "none"}

addresses = st.ip_addresses()
lengths = st.integers(0, 128)


def network_of(address: ipaddress.IPv4Address | ipaddress.IPv6Address, length: int) -> str:
    return str(ipaddress.ip_network(f"{address}/{min(length, address.max_prefixlen)}", strict=False))


def bit_string(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    return f"{int(address):0{address.max_prefixlen}b}"


@given(addresses, addresses, lengths)
def test_an_address_is_allowed_exactly_when_it_begins_as_the_network_does(
    sender: ipaddress.IPv4Address | ipaddress.IPv6Address,
    other: ipaddress.IPv4Address | ipaddress.IPv6Address,
    length: int,
) -> None:
    for one in (sender, other):
        begins = bit_string(sender).startswith(bit_string(one)[: min(length, one.max_prefixlen)])
        assert is_allowed(str(sender), [network_of(one, length)]) == (begins and sender.version == one.version)


@given(st.ip_addresses(v=4), st.ip_addresses(v=4), st.integers(0, 32))
def test_a_mapped_address_counts_as_ipv4_on_both_sides(
    sender: ipaddress.IPv4Address, other: ipaddress.IPv4Address, length: int
) -> None:
    network = network_of(other, length)
    mapped = f"::ffff:{network.partition('/')[0]}/{96 + length}"
    allowed = {is_allowed(text, [one]) for text in (str(sender), f"::ffff:{sender}") for one in (network, mapped)}
    assert allowed == {sender in ipaddress.ip_network(network)}


@pytest.mark.parametrize("address", ["", "unknown", "127.0.0.1:80", "1.2.3", "::1]", "/run/hooklog.sock"])
def test_what_is_no_address_may_send_only_where_everybody_may(address: str) -> None:
    assert not is_allowed(address, ["0.0.0.0/0", "::/0"])
    assert is_allowed(address, [])


def test_the_zone_of_an_address_does_not_count() -> None:
    assert lies_in("fe80::1%eth0", [parse_network("fe80::/10")])


def fault_of(text: str) -> str:
    """Where the refusal of a source that allows a text stands; nothing when it is taken."""
    try:
        spec = SourceSpec.model_validate(SOURCE | {"allowed_ips": ["::1", text]})
    except ValidationError as error:
        return str([item["loc"] for item in error.errors()])
    return "" if spec.allowed_ips == ["::1", text] else "it is not as it was written"


@given(st.text(max_size=60) | st.from_regex(r"[0-9a-f.:]{2,20}(/[0-9]{1,3})?", fullmatch=True))
def test_any_text_as_allowed_address_is_taken_as_written_or_refused_by_its_field(text: str) -> None:
    assert fault_of(text) in {"", "[('allowed_ips', 1)]"}


@pytest.mark.parametrize(
    ("field", "changes"),
    [
        ("allowed_ips.0", {"allowed_ips": ["192.0.2.1/24"]}),
        ("allowed_ips.0", {"allowed_ips": ["*"]}),
        ("allowed_ips.0", {"allowed_ips": ["example.com"]}),
        ("allowed_ips.0", {"allowed_ips": ["fe80::1%eth0"]}),
        ("allowed_ips.1", {"allowed_ips": ["192.0.2.1", "192.0.2.0/33"]}),
        ("allowed_ips.0", {"allowed_ips": [3_221_225_985]}),
        ("allowed_ips", {"allowed_ips": "192.0.2.1"}),
        ("allowed_ips", {"allowed_ips": ["192.0.2.1"] * 101}),
        ("rate_limit", {"rate_limit": 10}),
        ("rate_limit.per_second", {"rate_limit": {}}),
        ("rate_limit.per_second", {"rate_limit": {"per_second": 0}}),
        ("rate_limit.per_second", {"rate_limit": {"per_second": 100_001}}),
        ("rate_limit.per_second", {"rate_limit": {"per_second": float("nan")}}),
        ("rate_limit.burst", {"rate_limit": {"per_second": 1, "burst": 0}}),
        ("rate_limit.burst", {"rate_limit": {"per_second": 5_001, "burst": 5}}),
        ("rate_limit.per_minute", {"rate_limit": {"per_second": 1, "per_minute": 60}}),
    ],
)
def test_a_limit_of_another_form_is_refused_by_the_field(field: str, changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as refusal:
        SourceSpec.model_validate(SOURCE | changes)
    assert ".".join(str(part) for part in refusal.value.errors()[0]["loc"]) == field


def test_an_address_inside_a_network_is_refused_with_the_network_that_is_meant() -> None:
    with pytest.raises(ValueError, match=r"the network is 192\.0\.2\.0/24"):
        parse_network("192.0.2.1/24")


RATE_LIMIT = re.compile(r'"source";r=(\d+);t=(\d+)')
POLICY = re.compile(r'"source";q=(\d+);w=(\d+)')


@given(st.floats(0.001, 100_000), st.integers(1, 1_000), st.lists(st.integers(0, 5_000), max_size=100))
def test_a_sender_that_believes_what_it_is_told_is_never_refused(
    per_second: float, burst: int, gaps: list[int]
) -> None:
    limit, now_ms, left = RateLimit(per_second, burst), NOW_MS, burst
    for gap in gaps:
        now_ms += gap
        wait_s = limit.take(now_ms)
        assert not (wait_s and left)
        told = refusal_headers("source", limit, now_ms, wait_s) if wait_s else quota_headers("source", limit, now_ms)
        policy, state = POLICY.fullmatch(told["RateLimit-Policy"]), RATE_LIMIT.fullmatch(told["RateLimit"])
        assert policy
        assert state
        left = int(state[1])
        assert (int(policy[1]), left < burst) == (burst, True)
        if wait_s:
            assert told["Retry-After"] == state[2]
            now_ms += int(state[2]) * 1_000
            left = 1


@given(st.floats(0.5, 1_000), st.integers(1, 500), st.integers(1, 500), st.integers(1, 500))
def test_a_batch_that_comes_again_when_told_to_is_taken(per_second: float, burst: int, first: int, count: int) -> None:
    limit, count = RateLimit(per_second, burst), min(count, burst)
    limit.take(NOW_MS, min(first, burst))
    wait_s = limit.take(NOW_MS, count)
    if wait_s:
        told = refusal_headers("source", limit, NOW_MS, wait_s)
        assert limit.take(NOW_MS + int(told["Retry-After"]) * 1_000, count) == 0


def test_a_batch_that_never_comes_through_is_not_told_to_come_again() -> None:
    source = SourceSpec(id="k8s", auth_type="none", rate_limit=SourceRateLimitSpec(per_second=50, burst=100))
    with pytest.raises(ProblemError) as refused:
        SourceLimits().charge(source, 101)
    assert (refused.value.status, refused.value.code) == (413, "too_many_items")
    assert "Retry-After" not in refused.value.headers
    assert refused.value.members["max_items"] == 100
