"""A pause of the process, as when its machine sleeps, is not taken for a failure of the endpoint."""

import asyncio
import signal
import sys

import uvloop

from processors.deliver.connection import STOOD_STILL_S
from tests.oracle.receiver import ROOT, Receiver
from tests.oracle.stack import until
from tests.test_egress import client

TIMEOUT_S = 1.0


async def test_an_answer_that_came_while_the_process_stood_still_is_no_timeout() -> None:
    with Receiver() as receiver:
        paused = await asyncio.create_subprocess_exec(
            sys.executable, "-m", __name__, receiver.url("/slow/300/paused"), cwd=ROOT, stdout=asyncio.subprocess.PIPE
        )

        async def arrived() -> bool:
            return await receiver.count() == 1

        await until("the request", arrived)
        paused.send_signal(signal.SIGSTOP)
        await asyncio.sleep(TIMEOUT_S + STOOD_STILL_S)  # the time that passes is what is tried
        assert await receiver.taken() == 1
        paused.send_signal(signal.SIGCONT)
        printed, _ = await paused.communicate()
        assert printed.decode().strip() == "200"


async def _post(url: str) -> int:
    async with client() as egress:
        return (await egress.post(url, [], b"x", TIMEOUT_S)).answer.status_code


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:  # as workers do: it looks at the clock first
        sys.stdout.write(str(runner.run(_post(sys.argv[1]))))
