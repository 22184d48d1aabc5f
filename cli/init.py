"""`hooklog init`: creates the streams on a cluster, before the first service starts there."""

import asyncio
import sys

from cli.environment import read_settings
from cli.exits import fail


def init() -> None:
    """Create every stream that does not exist yet; may be repeated."""
    settings = read_settings()
    from aiokafka.errors import KafkaError

    from runtime.streams import UnusableStreamsError, create_streams

    try:
        created = asyncio.run(create_streams(settings))
    except (KafkaError, UnusableStreamsError, OSError) as error:
        fail(f"cannot create the streams on {settings.bootstrap}: {error}")
    sys.stdout.write(f"{len(created)} streams created\n")
