"""What a worker does before its streams are there: it says so, and begins when somebody has made them."""

import asyncio

from prometheus_client import CollectorRegistry
from starlette.applications import Starlette

from processors.serving import serving
from runtime.expected_streams import ExpectedStreams
from runtime.health import Health
from runtime.hosts import AllowedHosts
from runtime.settings import Settings
from schemas.streams import ALL_STREAMS, StreamNames


async def until_streams(settings: Settings, stop: asyncio.Event) -> bool:
    """Whether the streams are there, when they are or when told to stop; answers that it is not ready meanwhile."""
    streams = ExpectedStreams(settings.bootstrap, StreamNames(settings.kafka_prefix), ALL_STREAMS)
    if await streams.look():
        return True
    health = Health("processors", {"streams": lambda: streams.there}, CollectorRegistry(), streams.reasons)
    app = AllowedHosts(Starlette(routes=health.routes()), [settings.host, *settings.allowed_host_names])
    async with serving(app, settings.host, settings.processors_port):
        waits = [asyncio.create_task(wait) for wait in (streams.wait(), stop.wait())]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for task in waits:
            task.cancel()
    return not stop.is_set()
