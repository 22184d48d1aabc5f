"""Log lines leave together, in order, and none stays behind."""

import asyncio
import subprocess
import sys
from io import BytesIO

from runtime.lines import MAX_HELD_BYTES, LineLogger


class Pipe(BytesIO):
    """Remembers what came with each write."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []

    def write(self, data: object) -> int:
        self.writes.append(bytes(data))  # type: ignore[call-overload]
        return len(self.writes[-1])


async def until_written(pipe: Pipe) -> None:
    async with asyncio.timeout(10):
        while not pipe.writes:
            await asyncio.sleep(0.01)


async def test_lines_of_a_moment_leave_with_one_write() -> None:
    pipe = Pipe()
    log = LineLogger(pipe)
    for line in (b"0", b"1", b"2"):
        log.info(line)
    assert pipe.writes == []
    await until_written(pipe)
    assert pipe.writes == [b"0\n1\n2\n"]


async def test_a_warning_leaves_at_once_and_takes_along_what_came_before_it() -> None:
    pipe = Pipe()
    log = LineLogger(pipe)
    log.info(b"before")
    log.warning(b"now")
    assert pipe.writes == [b"before\nnow\n"]


async def test_what_is_held_is_bounded() -> None:
    pipe = Pipe()
    log = LineLogger(pipe)
    line = b"x" * 1_000
    for _ in range(2 * MAX_HELD_BYTES // len(line)):
        log.info(line)
    assert len(b"".join(pipe.writes)) >= MAX_HELD_BYTES


def test_a_line_without_a_loop_leaves_at_once() -> None:
    pipe = Pipe()
    LineLogger(pipe).info(b"alone")
    assert pipe.writes == [b"alone\n"]


async def test_lines_of_a_loop_that_ended_leave_with_the_next_one() -> None:
    pipe = Pipe()
    log = LineLogger(pipe)

    async def one() -> None:
        log.info(b"first")

    await asyncio.to_thread(lambda: asyncio.run(one()))
    log.info(b"second")
    await until_written(pipe)
    assert pipe.writes == [b"first\nsecond\n"]


def test_a_process_that_fails_leaves_no_line_behind() -> None:
    program = (
        "import asyncio, structlog\n"
        "from runtime.telemetry import configure_logging\n"
        "configure_logging('info')\n"
        "async def main():\n"
        "    structlog.get_logger().info('the_last_thing')\n"
        "    raise RuntimeError\n"
        "asyncio.run(main())\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False, timeout=60)
    assert ended.returncode == 1
    assert b'"event":"the_last_thing"' in ended.stderr
