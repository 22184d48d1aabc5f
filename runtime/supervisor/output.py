"""One stream of lines out of many children, each line with its service's name before it."""

import asyncio
from asyncio import StreamReader
from typing import TextIO

NAME_WIDTH = 11  # "projections"
MAX_LINE_BYTES = 65_536  # a longer line is cut in pieces, so that a child cannot fill the supervisor's memory
COLOURS = ("36", "32", "35", "33", "34", "31")  # ANSI: no two neighbours in the table look alike
BOLD = "1"
RESET = "\x1b[0m"


class Output:
    """Where the supervisor and its children write.

    Args:
        stream: usually stdout.
        coloured: whether it is a terminal.
    """

    def __init__(self, stream: TextIO, coloured: bool) -> None:
        self._stream = stream
        self._coloured = coloured
        self._colours: dict[str, str] = {"hooklog": BOLD}

    def line(self, name: str, text: str) -> None:
        """Write one line for a service."""
        self.write(f"{self._prefix(name)}{text}\n")

    def _prefix(self, name: str) -> str:
        prefix = f"{name:<{NAME_WIDTH}} | "
        if not self._coloured:
            return prefix
        colour = self._colours.setdefault(name, COLOURS[len(self._colours) % len(COLOURS)])
        return f"\x1b[{colour}m{prefix}{RESET}"

    def write(self, text: str) -> None:
        """Write text as it is; when nobody reads any more the text is lost, not the stack."""
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):
            return

    async def copy(self, name: str, source: StreamReader) -> None:
        """Write a child's lines until it closes its end."""
        rest = b""
        while piece := await source.read(MAX_LINE_BYTES):
            *lines, rest = (rest + piece).split(b"\n")
            prefix = self._prefix(name)
            self.write("".join(f"{prefix}{line.decode('utf-8', 'replace').rstrip(chr(13))}\n" for line in lines))
            if len(rest) >= MAX_LINE_BYTES:
                self.line(name, rest.decode("utf-8", "replace"))
                rest = b""
            await asyncio.sleep(0)  # a child that writes without end must not stop the others' restarts
        if rest:
            self.line(name, rest.decode("utf-8", "replace"))
