"""Who is turned away before there is a request that anybody looks at: answered on the wire, and counted."""

from prometheus_client import Counter
from uvicorn.protocols.http.httptools_impl import STATUS_LINE
from uvicorn.server import ServerState

from rules.request_head import HeadFault
from runtime.problem import ProblemError


class CountedState(ServerState):
    """What all connections share.

    Args:
        turned_away: counts connections that were closed for a reason of ours, by `why`.
        max_connections: beyond which one is closed unheard.
    """

    def __init__(self, turned_away: Counter, max_connections: int) -> None:
        super().__init__()
        self._turned_away = turned_away
        self._max_connections = max_connections

    @property
    def full(self) -> bool:
        """Whether there is no room for another connection."""
        return len(self.connections) > self._max_connections

    def count(self, why: str) -> None:
        """Counts one that is turned away."""
        self._turned_away.labels(why).inc()


def answer(fault: HeadFault) -> bytes:
    """A whole response that ends its connection: a problem document, as everywhere."""
    document = ProblemError(fault.status, fault.code, fault.detail).response()
    headers = [*document.raw_headers, (b"connection", b"close")]
    lines = [STATUS_LINE[fault.status], *(b"%b: %b\r\n" % pair for pair in headers), b"\r\n", bytes(document.body)]
    return b"".join(lines)
