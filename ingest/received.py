"""A request that proved its sender, on its way to becoming events."""

from dataclasses import dataclass

from ingest.directory import Destination


@dataclass(frozen=True, slots=True)
class Received:
    """A request that proved its sender: where it goes, and its exact bytes."""

    destination: Destination
    body: bytes
