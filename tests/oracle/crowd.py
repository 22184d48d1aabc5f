"""Two hundred subscriptions of one topic, of which some are in trouble all the time.

Each event goes to a quarter of them, by its type: an endpoint gets the more of them the more events there are, and so
does one that is dead.
"""

from typing import Any

from tests.oracle.verdict import Wanted

SUBSCRIPTIONS = 200
GROUPS = 4
EVENT_TYPES = [f"group{number}.happened" for number in range(GROUPS)]
OF_EACH_TROUBLE = 10
"""Five of a hundred."""

SLOW_S = 10
MAX_IN_FLIGHT = 40
"""Room for ten seconds of what a slow one gets, so that its own limit is not what is measured."""

MAX_AGE_S = 60
"""Of what goes to an endpoint that never comes back."""

PATIENT: dict[str, Any] = {"retry": {"base_delay_s": 2, "factor": 1, "max_retries": 50}, "disable_after_days": 0}
HASTY: dict[str, Any] = {"retry": PATIENT["retry"] | {"max_age_s": MAX_AGE_S}, "disable_after_days": 0}


def crowd(*, in_trouble: bool = True) -> list[Wanted]:
    """The subscriptions: five of a hundred are dead, as many take ten seconds, and as many fail for some seconds.

    Half of the dead come back when all events are sent, and get everything then; the others never do.

    Args:
        in_trouble: false leaves those out.
    """
    healthy = [_of(n, f"ok-{n}", f"/ok/{n}") for n in range(3 * OF_EACH_TROUBLE, SUBSCRIPTIONS)]
    return healthy + [one for n in range(OF_EACH_TROUBLE) for one in _troubled(n)] if in_trouble else healthy


def _troubled(n: int) -> list[Wanted]:
    forever = n % 2 == 0
    dead = _behind_a_breaker(n, f"down-{n}", f"/down/{n}", HASTY) if forever else _outage(n)
    flapping = _behind_a_breaker(n, f"flap-{n}", f"/flap/{3_000 + 200 * n}/9000/{n}", PATIENT)
    return [dead, _of(n, f"slow-{n}", f"/slow/{SLOW_S * 1_000}/{n}"), flapping]


def _outage(n: int) -> Wanted:
    return _behind_a_breaker(n, f"outage-{n}", f"/outage/{n}", PATIENT)


def _behind_a_breaker(n: int, name: str, path: str, fields: dict[str, Any]) -> Wanted:
    return _of(n, name, path, attempts=1 + PATIENT["retry"]["max_retries"], exact=False, fields=fields)


def _of(n: int, name: str, path: str, **more: Any) -> Wanted:
    fields = {"max_in_flight": MAX_IN_FLIGHT} | more.pop("fields", {})
    return Wanted(name, path, [f"group{n % GROUPS}.*"], fields=fields, **more)
