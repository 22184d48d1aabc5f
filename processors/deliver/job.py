"""One attempt of a delivery that is waiting for its turn or being made."""

import msgspec

from processors.batchfed.acker import Token
from schemas.delivery import Delivery

Key = tuple[str, int]
"""A delivery id and the number of an attempt: what must not be made twice."""

ParkKey = tuple[str, int, int]
"""As above, and how often it had been put aside: what must not be put aside twice, or its copies multiply."""


class Job(msgspec.Struct, eq=False):
    """One attempt to make.

    Attributes:
        partition: the delivery's partition, and so its attempts'.
        assignment: the number of the assignment that it was read in.
        max_in_flight: how many its subscription may have in flight.
        ends_unsent: no request will be made, so nothing has to be waited for.
        tokens: the records that wait for its end, as they were read: the first, and repeats that joined it.
        give_up_ms: epoch milliseconds at which its request will have ended; 0 before it starts.
        begun: whether it has what the rate limit and the breaker gave it, or will not ask for it any more.
        breaker_round: what the breaker wants to know when it has ended.
        leaving: whether it has a place among those that are on their way to a park stream.
    """

    delivery: Delivery
    partition: int
    assignment: int
    max_in_flight: int
    ends_unsent: bool = False
    tokens: list[tuple[Token, Delivery]] = []
    give_up_ms: int = 0
    begun: bool = False
    breaker_round: int = 0
    leaving: bool = False

    @property
    def key(self) -> Key:
        """What must not be made twice."""
        return (self.delivery.delivery_id, self.delivery.attempt)

    @property
    def lane(self) -> str:
        """Whose requests it waits behind."""
        return self.delivery.subscription_id

    @property
    def size_bytes(self) -> int:
        """What it holds in memory, roughly."""
        return len(self.delivery.body) + 2_048


def key_of(delivery: Delivery) -> Key:
    """What must not be made twice."""
    return (delivery.delivery_id, delivery.attempt)


def park_key_of(delivery: Delivery) -> ParkKey:
    """What must not be put aside twice."""
    return (delivery.delivery_id, delivery.attempt, delivery.parks)
