"""Asks a Kafka whether it is there, the way a client would."""

import asyncio

PROBE_TIMEOUT_S = 2.0  # one round trip on loopback or a nearby network


async def is_port_open(host: str, port: int) -> bool:
    """Whether something accepts TCP connections there."""
    try:
        _, writer = await asyncio.wait_for(asyncio.open_connection(host, port), PROBE_TIMEOUT_S)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True


async def serves_metadata(bootstrap: str, timeout_s: float = PROBE_TIMEOUT_S) -> bool:
    """Whether a client at `host:port` learns of at least one live broker.

    A broker that restarted after a crash accepts connections before its cluster lets it back in (about 3 s):
    until then it lists no brokers and cannot take records.
    """
    from aiokafka.client import AIOKafkaClient
    from aiokafka.errors import KafkaError

    client = AIOKafkaClient(bootstrap_servers=bootstrap, request_timeout_ms=int(timeout_s * 1000))
    try:
        await asyncio.wait_for(client.bootstrap(), timeout_s)
        return bool(client.cluster.brokers())
    except (KafkaError, OSError, TimeoutError):
        return False
    finally:
        await client.close()
