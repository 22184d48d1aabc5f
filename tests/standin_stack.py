"""A supervisor in a process of its own, over stand-in services and, if a port for it is given, a real Kafka.

Usage: standin_stack.py DATA_DIR KAFKA_PORT SERVICE…, where a KAFKA_PORT of 0 means none and a SERVICE is
`name:port` or `name:port:manner`. Prints READY once everything is.
"""

import asyncio
import logging
import sys
from pathlib import Path

from runtime.embedded.kafka import EmbeddedKafka
from runtime.supervisor.data_lock import hold_data_dir
from runtime.supervisor.output import Output
from runtime.supervisor.run_file import RunFile
from runtime.supervisor.supervisor import Supervisor
from runtime.supervisor.unit import KafkaUnit, ServiceSpec, ServiceUnit

STANDIN = Path(__file__).with_name("standin_service.py")


def spec(text: str) -> ServiceSpec:
    name, port, *manner = text.split(":")
    command = (sys.executable, str(STANDIN), name, port, *manner)
    return ServiceSpec(name, command, "127.0.0.1", int(port), stop_timeout_s=60)


async def run(data_dir: Path, kafka_port: int, services: list[str]) -> int:
    output = Output(sys.stdout, coloured=False)
    supervisor = Supervisor(
        kafka=KafkaUnit(EmbeddedKafka(data_dir / "kafka", kafka_port)) if kafka_port else None,
        services=[ServiceUnit(spec(text), None, output) for text in services],
        prepare=lambda: asyncio.sleep(0),
        run_file=RunFile(data_dir),
        output=output,
        on_ready=lambda: output.write("READY\n"),
    )
    supervisor.handle_signals()
    return await supervisor.run()


if __name__ == "__main__":
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    folder = Path(sys.argv[1])
    with hold_data_dir(folder):
        sys.exit(asyncio.run(run(folder, int(sys.argv[2]), sys.argv[3:])))
