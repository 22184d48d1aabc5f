"""What children write comes out line by line, named, bounded, and never stops the stack."""

import asyncio
import io

from runtime.supervisor.output import MAX_LINE_BYTES, Output


async def copied(text: bytes) -> str:
    """What the supervisor prints of a child that wrote this and ended."""
    source, stream = asyncio.StreamReader(), io.StringIO()
    source.feed_data(text)
    source.feed_eof()
    await Output(stream, coloured=False).copy("ingest", source)
    return stream.getvalue()


async def test_each_line_carries_the_name_of_its_service() -> None:
    assert await copied(b"one\r\ntwo\nlast words") == (
        "ingest      | one\ningest      | two\ningest      | last words\n"
    )


async def test_a_line_without_end_is_cut_in_pieces() -> None:
    lines = (await copied(b"x" * (3 * MAX_LINE_BYTES))).splitlines()
    assert sum(line.count("x") for line in lines) == 3 * MAX_LINE_BYTES
    assert max(map(len, lines)) <= 2 * MAX_LINE_BYTES


async def test_bytes_that_are_no_text_do_not_stop_the_rest() -> None:
    assert (await copied(b"\xff\xfe\nnext\n")).endswith("ingest      | next\n")


async def test_a_reader_that_has_gone_costs_lines_not_the_stack() -> None:
    stream = io.StringIO()
    stream.close()
    Output(stream, coloured=False).line("ingest", "nobody reads this")


async def test_names_are_coloured_on_a_terminal() -> None:
    stream = io.StringIO()
    Output(stream, coloured=True).line("ingest", "text")
    assert stream.getvalue().startswith("\x1b[")
    assert stream.getvalue().endswith("\x1b[0mtext\n")
