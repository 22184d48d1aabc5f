"""The hash by which Kafka's clients choose a partition, word by word.

As `org.apache.kafka.common.utils.Utils.murmur2`. aiokafka's own goes byte by byte: 13 µs for an id of 36 characters,
of which this takes a third.
"""

from struct import unpack_from

_SEED = 0x9747B28C
_M = 0x5BD1E995
_32_BITS = 0xFFFFFFFF
_WORD_BYTES = 4


def murmur2(data: bytes) -> int:
    """The hash of some bytes, 32 bits without a sign."""
    hashed = _SEED ^ len(data)
    words = len(data) // _WORD_BYTES
    for word in unpack_from(f"<{words}I", data):
        mixed = word * _M & _32_BITS
        hashed = (hashed * _M & _32_BITS) ^ ((mixed ^ mixed >> 24) * _M & _32_BITS)
    rest = data[words * _WORD_BYTES :]
    if rest:
        hashed = (hashed ^ int.from_bytes(rest, "little")) * _M & _32_BITS
    hashed = (hashed ^ hashed >> 13) * _M & _32_BITS
    return hashed ^ hashed >> 15
