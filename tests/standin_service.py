"""A stand-in for a service: answers /ready on a port, and ends as it is told to.

Usage: standin_service.py NAME PORT [refuse | stubborn]
refuse: ends with exit code 2 at once. stubborn: ignores SIGTERM.
"""

import json
import signal
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import NoReturn


class Ready(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = json.dumps({"ready": True, "checks": {"standing": True}}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def leave(*_: object) -> NoReturn:
    print("leaving", flush=True)
    sys.exit(0)


if __name__ == "__main__":
    name, port, *manner = sys.argv[1:]
    if manner == ["refuse"]:
        sys.exit(2)
    signal.signal(signal.SIGTERM, signal.SIG_IGN if manner == ["stubborn"] else leave)
    print(f"{name} stands", flush=True)
    HTTPServer(("127.0.0.1", int(port)), Ready).serve_forever()
