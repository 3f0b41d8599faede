"""The program inside an execution environment: it imports the handler and calls it for one event after the other.

It starts with `python -I`, so it imports nothing of this project: the function sees its own zip, the standard library
and the packages that are installed beside the interpreter (boto3, as in AWS's runtime).
"""

import importlib
import json
import os
import queue
import sys
import threading
import time
import traceback
from typing import Any

Orders = queue.SimpleQueue[dict[str, Any]]


class Context:
    """The documented part of AWS's context object on which a Python function may rely."""

    def __init__(self, request_id: str, deadline_ms: int, arn: str) -> None:
        self.aws_request_id = request_id
        self.invoked_function_arn = arn
        self.function_name = os.environ["AWS_LAMBDA_FUNCTION_NAME"]
        self.function_version = os.environ["AWS_LAMBDA_FUNCTION_VERSION"]
        self.memory_limit_in_mb = os.environ["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"]
        self._deadline_ms = deadline_ms

    def get_remaining_time_in_millis(self) -> int:
        return max(0, self._deadline_ms - int(time.time() * 1000))


def answer(order: dict[str, Any]) -> dict[str, Any]:
    try:
        module, _, name = os.environ["_HANDLER"].rpartition(".")
        handler = getattr(importlib.import_module(module), name)
        return {"result": handler(order["event"], Context(order["request_id"], order["deadline_ms"], order["arn"]))}
    except Exception as error:  # noqa: BLE001  any exception of a function is its outcome
        traceback.print_exc()
        trace = traceback.format_exc().splitlines()
        return {"error": {"errorType": type(error).__name__, "errorMessage": str(error), "stackTrace": trace}}


def read_orders(orders: Orders) -> None:
    """Read events in a thread, so the process ends with the emulator even while a function runs."""
    for line in sys.stdin:
        orders.put(json.loads(line))
    os._exit(0)


def main() -> None:
    task, log, speed = sys.argv[1:]
    sys.path.insert(0, task)
    sleep = time.sleep
    time.sleep = lambda seconds: sleep(float(seconds) / float(speed))
    channel = os.fdopen(os.dup(1), "w", buffering=1)
    log_fd = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(log_fd, 1)
    os.dup2(log_fd, 2)
    sys.stdout = os.fdopen(1, "w", buffering=1)
    orders: Orders = queue.SimpleQueue()
    threading.Thread(target=read_orders, args=(orders,), daemon=True).start()
    while True:
        print(json.dumps(answer(orders.get())), file=channel)


main()
