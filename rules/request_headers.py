"""The headers of a request, looked up by name: pure data, no framework."""

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from functools import lru_cache


class RequestHeaders:
    """Headers as ASGI gives them: lower-cased names and raw values, each name as often as it was sent."""

    __slots__ = ("_values", "pairs")

    def __init__(self, pairs: Iterable[tuple[bytes, bytes]]) -> None:
        self.pairs = tuple(pairs)
        values: dict[bytes, list[bytes]] = {}
        for name, value in self.pairs:
            if name in values:
                values[name].append(value)
            else:
                values[name] = [value]
        self._values = values

    def without(self, names: AbstractSet[str]) -> "RequestHeaders":
        """The same but for some, whose names are in lower case."""
        hidden = [raw for name in names if (raw := _raw(name)) in self._values]
        if not hidden:
            return self
        others = RequestHeaders(())
        others.pairs = tuple([pair for pair in self.pairs if pair[0] not in hidden])
        others._values = dict(self._values)
        for raw in hidden:
            del others._values[raw]
        return others

    def all(self, name: str) -> list[bytes]:
        """Every value of a header, whatever case its name is written in."""
        return self._values.get(_raw(name), [])

    def text(self, name: str) -> str:
        """The first value of a header without blanks around it; empty when it was not sent."""
        values = self.all(name)
        return as_text(values[0]).strip() if values else ""


@lru_cache(maxsize=4_096)  # names of rules and providers: no sender chooses them
def _raw(name: str) -> bytes:
    return name.lower().encode("latin-1", "replace")


def as_text(raw: bytes) -> str:
    """A header's value as text: UTF-8 when it is that, else Latin-1, which every value is."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")
