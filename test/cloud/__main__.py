"""Serve the emulated AWS by itself: `python -m test.cloud` for rehearsals by hand, `serve` for tests.

The first line on standard output is a JSON object, {"url": ..., ...}.  The process serves until SIGTERM or SIGINT.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import select
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from test.cloud import metadata
from test.cloud.behaviour import Behaviour
from test.cloud.boot import Boot
from test.cloud.clock import Clock
from test.cloud.control import PREFIX, Control
from test.cloud.emulated_aws import Broken, EmulatedAws
from test.cloud.errors import Answer
from test.cloud.instances import Timing
from test.cloud.machine import Machines
from test.cloud.request import Request
from test.cloud.server import Server


def options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m test.cloud", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1 (default: a free one)")
    parser.add_argument("--region", default="us-east-1", help="whose rules fire (default: %(default)s)")
    parser.add_argument(
        "--speed",
        type=float,
        default=60.0,
        help="how much faster rules fire; at 60, rate(5 minutes) is 5 s, at 0 never (default: 60)",
    )
    parser.add_argument("--pending-s", type=float, default=0.0, help="how long an instance takes to run (default: 0)")
    parser.add_argument("--termination-s", type=float, default=1.0, help="and to be gone once ended (default: 1)")
    parser.add_argument("--enforce-iam", action="store_true", help="keys and policies count, as in AWS")
    parser.add_argument("--boot", type=json.loads, help="what instances do: test.cloud.boot.Boot in JSON")
    parser.add_argument("--behaviour", type=json.loads, default={}, help="test.cloud.behaviour.Behaviour in JSON")
    return parser.parse_args(arguments)


def serve(arguments: Sequence[str], ready: Callable[[dict[str, Any]], object], parent: int | None = None) -> NoReturn:
    """Serve until a signal, or until the file descriptor `parent` is readable; then end this process."""
    asked = options(arguments)
    ended = _end(parent)
    logging.getLogger().setLevel(logging.ERROR)
    server = Server(asked.port)
    aws = EmulatedAws(
        Timing(asked.pending_s, asked.termination_s), asked.speed, asked.enforce_iam, Behaviour(**asked.behaviour)
    )
    server.now_s = aws.now_s
    aws.functions.endpoint_url = server.url
    clock = Clock(server.url, asked.region, asked.speed, aws.audit.effect)
    settings = vars(asked) | {"url": server.url, "port": server.server_address[1]}
    control = Control(aws, clock, settings, server.end_hangs)

    def service(request: Request) -> Answer | Broken:
        if request.path.startswith(metadata.PREFIX):
            return aws.ask_metadata(request)
        return control.answer(request) if request.path.startswith(PREFIX) else aws.answer(request)

    server.service = service
    server.start()
    clock.start()
    machines = _machines(asked.boot, server.url, aws)
    ready(settings)
    ended.wait()
    clock.stop()
    if machines is not None:
        machines.stop()
    aws.functions.stop()
    server.shutdown()
    os._exit(0)  # everything is stopped; freeing moto's objects one by one would take seconds


def _machines(boot: dict[str, Any] | None, url: str, aws: EmulatedAws) -> Machines | None:
    if boot is None:
        return None
    machines = Machines(Boot(**boot), url, aws.ask_metadata, aws.instances, aws.turned_off)
    machines.start()
    return machines


def _end(parent: int | None) -> threading.Event:
    """Return an event that is set when this process must end; call this before announcing that it serves."""
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    if parent is not None:
        threading.Thread(target=_until_readable, args=(parent, ended), daemon=True).start()
    return ended


def _until_readable(parent: int, ended: threading.Event) -> None:
    select.select([parent], [], [])
    ended.set()


if __name__ == "__main__":
    serve(sys.argv[1:], lambda settings: print(json.dumps(settings), flush=True))
