"""`hooklog topics test`: a sample event through a topic, and how to see what became of it."""

from urllib.parse import quote

import typer

from cli.environment import read_settings
from cli.gateway import Gateway
from cli.show import print_json


def send_sample(topic_id: str, *, as_json: bool) -> None:
    """Ask for it, and tell its id."""
    gateway = Gateway(read_settings())
    answer = gateway.call("ingest", "POST", f"/api/v1/topics/{quote(topic_id, safe='')}/test").json()
    if as_json:
        print_json(answer)
        return
    typer.echo(f"accepted event {answer['event_id']} of type {answer['event_type']}, signed as its source demands")
    typer.echo(f"its life: hooklog events {answer['event_id']}")
