"""What an envelope says of the event in it, and one event among several of a request."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Told:
    """What the sender says of an event in a form that has its own place for it, such as a CloudEvent.

    Attributes:
        event_type: its type, or empty.
        dedup_id: the sender's own id of it, or empty.
    """

    event_type: str = ""
    dedup_id: str = ""


@dataclass(frozen=True, slots=True)
class Item:
    """One event of several that came with one request.

    Attributes:
        body: its exact bytes, as they stand in the request's body.
        told: what its envelope says, if it has one.
        fault: why it is none, for people; empty when nothing is wrong.
        fault_code: the stable name of that.
    """

    body: bytes
    told: Told | None = None
    fault: str = ""
    fault_code: str = ""
