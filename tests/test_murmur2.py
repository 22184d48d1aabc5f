"""Partitions are chosen as Kafka's own clients choose them."""

from aiokafka.partitioner import murmur2 as byte_by_byte
from hypothesis import example, given
from hypothesis import strategies as st

from runtime.murmur2 import murmur2


@given(st.binary(max_size=70))
@example(b"")
@example(b"\xff" * 39)
def test_the_hash_is_that_of_other_clients(key: bytes) -> None:
    assert murmur2(key) == byte_by_byte(key)


def test_the_hash_is_that_of_the_java_client() -> None:
    # Kafka's own UtilsTest.testMurmur2, whose numbers have a sign.
    expected = {b"21": -973932308, b"foobar": -790332482, b"a-little-bit-long-string": -985981536}
    assert {key: murmur2(key) - (1 << 32) for key in expected} == expected
