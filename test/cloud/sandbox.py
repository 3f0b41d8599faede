"""One execution environment of a Lambda function: a process with the unpacked zip and none of our code."""

from __future__ import annotations

import io
import json
import os
import re
import select
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from test.cloud.principals import Session

RUNTIME = Path(__file__).with_name("sandbox_runtime.py")


@dataclass(frozen=True)
class Outcome:
    """The outcome of an invocation; `log` is the output of the function."""

    payload: Any
    errored: bool
    log: str
    duration_s: float
    used_bytes: int = 0


class Sandbox:
    """Takes one invocation at a time, as Lambda's environments do, and is ended at the time limit."""

    def __init__(self, function: Any, endpoint_url: str, credentials: Session, speed: float) -> None:
        """Start the process; `speed` divides the function's own pauses."""
        self.key = self.key_of(function)
        self.stream = uuid.uuid4().hex  # of its log
        self._arn = function.function_arn
        self._timeout_s = float(function.timeout)
        self._directory = Path(tempfile.mkdtemp(prefix="cloud-function-"))
        with zipfile.ZipFile(io.BytesIO(function.code_bytes)) as code:
            code.extractall(self._directory / "task")
        self._log = self._directory / "log"
        self._process = subprocess.Popen(
            [sys.executable, "-I", str(RUNTIME), str(self._directory / "task"), str(self._log), str(speed)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=_environment(function, endpoint_url, credentials),
            cwd=self._directory,
        )

    @staticmethod
    def key_of(function: Any) -> tuple[str, str, str]:
        return (
            function.function_arn,
            function.code_sha_256,
            json.dumps([function.timeout, function.environment_vars]),
        )

    def invoke(self, event: Any, request_id: str) -> Outcome:
        started_s, log_from = time.time(), self._log.stat().st_size if self._log.exists() else 0
        payload, errored = self._ask(event, request_id, started_s + self._timeout_s)
        used_bytes = self._used_bytes()
        log = self._log.read_bytes()[log_from:] if self._log.exists() else b""
        text = log.decode("utf-8", "replace") + _last_words(payload, errored)
        return Outcome(payload, errored, text, time.time() - started_s, used_bytes)

    def _used_bytes(self) -> int:
        """Return the peak memory of the process; 0 if it has ended."""
        try:
            status = Path(f"/proc/{self._process.pid}/status").read_text(encoding="ascii")
        except OSError:
            return 0
        found = re.search(r"VmHWM:\s+(\d+) kB", status)
        return int(found[1]) * 1024 if found else 0

    def _ask(self, event: Any, request_id: str, deadline_s: float) -> tuple[Any, bool]:
        assert self._process.stdin is not None
        order = json.dumps(
            {"event": event, "request_id": request_id, "deadline_ms": int(deadline_s * 1000), "arn": self._arn}
        )
        try:
            self._process.stdin.write(order.encode() + b"\n")
            self._process.stdin.flush()
            line = self._answer(deadline_s)
        except (OSError, ValueError):  # ValueError: the emulator is stopping and has closed the pipes
            line = b""
        if line is None:
            self._process.kill()
            return {"errorMessage": f"{request_id} Task timed out after {self._timeout_s:.2f} seconds"}, True
        if not line:
            return {"errorType": "Runtime.ExitError", "errorMessage": f"RequestId: {request_id} exited"}, True
        response = json.loads(line)
        return response.get("error", response.get("result")), "error" in response

    def _answer(self, deadline_s: float) -> bytes | None:
        """Return a line; empty if the process has ended, None at the time limit."""
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], max(0.0, deadline_s - time.time()))
        return self._process.stdout.readline() if ready else None

    def is_alive(self) -> bool:
        return self._process.poll() is None

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        shutil.rmtree(self._directory, ignore_errors=True)


def _last_words(payload: Any, errored: bool) -> str:
    """Return Lambda's own line about an environment that timed out or exited; the runtime has logged exceptions."""
    message = payload.get("errorMessage", "") if errored and isinstance(payload, dict) else ""
    return f"{message}\n" if "Task timed out" in message or message.endswith(" exited") else ""


def _environment(function: Any, endpoint_url: str, credentials: Session) -> dict[str, str]:
    """Return a function's environment as AWS documents it, with every endpoint set to the emulator."""
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "AWS_ENDPOINT_URL": endpoint_url,
        "AWS_REGION": function.region,
        "AWS_DEFAULT_REGION": function.region,
        "AWS_ACCESS_KEY_ID": credentials.access_key_id,
        "AWS_SECRET_ACCESS_KEY": credentials.secret_access_key,
        "AWS_SESSION_TOKEN": credentials.session_token,
        "AWS_LAMBDA_FUNCTION_NAME": function.function_name,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory_size),
        "AWS_LAMBDA_FUNCTION_VERSION": str(function.version),
        "AWS_EXECUTION_ENV": f"AWS_Lambda_{function.run_time}",
        "_HANDLER": function.handler,
        **{name: str(value) for name, value in (function.environment_vars or {}).items()},
    }
