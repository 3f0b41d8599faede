"""Lambda functions that run: their own uploaded zip, in a process of their own, with a time limit.

moto would need docker.  `LambdaFunction._invoke_lambda` is the only private seam that this relies on; a canary test
watches it.
"""

from __future__ import annotations

import io
import json
import threading
import time
import uuid
import zipfile
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import unquote

import moto.awslambda.urls
from moto.awslambda.models import LambdaFunction, lambda_backends

from test.cloud import logs
from test.cloud.behaviour import Chosen
from test.cloud.concurrency import Concurrency, pauses
from test.cloud.function_code import with_location
from test.cloud.keys import FUNCTION_KEY
from test.cloud.lambda_settings import Settings, add_paths, with_settings
from test.cloud.policies import Need, judge
from test.cloud.principals import Session, documents_of_role, session
from test.cloud.sandbox import Outcome, Sandbox

RETRY_AFTER_S = (60.0, 120.0)  # Lambda retries a failed asynchronous invocation twice
LONGEST_AGE_S = 6 * 3600.0
MAX_IDLE = 4
SPEED_BY_HAND = 60.0  # of a function's own pauses, where rules fire by hand only


class Functions:
    """Runs functions; keeps a few warm environments, as Lambda does."""

    def __init__(self, effect: Callable[..., None], speed: float, chosen: Chosen) -> None:
        self.effect, self.speed = effect, speed
        self.concurrency = Concurrency(chosen)
        self.enforce_iam = False
        self.endpoint_url = ""  # known once the server listens
        self._lock = threading.Condition()
        self._idle: list[Sandbox] = []
        self._busy: list[Sandbox] = []
        self._running = 0
        self._stopped = threading.Event()

    def run(self, function: Any, event: Any) -> Outcome:
        """Run one invocation to its end; the caller has entered `concurrency`."""
        request_id = str(uuid.uuid4())
        self.effect("function started", function=function.function_name, event=event, request_id=request_id)
        sandbox = self._environment(function)
        outcome = sandbox.invoke(event, request_id)
        self._write_log(function, sandbox.stream, request_id, outcome)
        self._give_back(sandbox)
        self.effect(
            "function ended",
            function=function.function_name,
            request_id=request_id,
            errored=outcome.errored,
            payload=outcome.payload,
            log=outcome.log,
            duration_s=outcome.duration_s,
        )
        return outcome

    def _write_log(self, function: Any, stream: str, request_id: str, outcome: Outcome) -> None:
        used_mb = -(-outcome.used_bytes // 1_048_576)
        lines = logs.lines_of(request_id, outcome.log, outcome.duration_s, int(function.memory_size), used_mb)
        if not logs.write(function, stream, lines, lambda action, resource: self._may(function, action, resource)):
            self.effect("log lost", function=function.function_name, request_id=request_id)

    def _may(self, function: Any, action: str, resource: str) -> bool:
        """Return whether the function's role lets Lambda write its log; without that right it runs without a log.

        Where IAM is not enforced, a run that outlives its function creates no log group.  The template's role has no
        right to create one, so that a stack without the function can get it again.
        """
        if not self.enforce_iam:
            return action != "logs:CreateLogGroup" or _exists(function)
        return judge(documents_of_role(function.role), Need(action, resource), {}, function.role).allowed

    def _environment(self, function: Any) -> Sandbox:
        with self._lock:
            warm = next((each for each in self._idle if each.key == Sandbox.key_of(function)), None)
            if warm is not None:
                self._idle.remove(warm)
                self._busy.append(warm)
                return warm
        sandbox = Sandbox(function, self.endpoint_url, self._credentials(function), self.speed or SPEED_BY_HAND)
        with self._lock:
            self._busy.append(sandbox)
        return sandbox

    def _credentials(self, function: Any) -> Session:
        """Return credentials of the function's role, or, without IAM, ones that mark its calls in the audit."""
        if not self.enforce_iam:
            return Session(FUNCTION_KEY, "emulated", "emulated", float("inf"))
        return session(function.role, function.function_name, function.region)

    def _give_back(self, sandbox: Sandbox) -> None:
        with self._lock:
            if sandbox in self._busy:
                self._busy.remove(sandbox)
            if sandbox.is_alive() and len(self._idle) < MAX_IDLE and not self._stopped.is_set():
                self._idle.append(sandbox)
                return
        sandbox.close()

    def run_soon(self, function: Any, event: Any) -> None:
        """Start an asynchronous invocation, which is retried when the function fails or is throttled."""
        with self._lock:
            self._running += 1
        arguments = (function, event, self._stopped)
        threading.Thread(target=self._run_and_retry, args=arguments, daemon=True).start()

    def _run_and_retry(self, function: Any, event: Any, stopped: threading.Event) -> None:
        tries = self._tries(function, event)
        try:
            pause_s = next(tries, None)
        finally:
            with self._lock:
                self._running -= 1
                self._lock.notify_all()
        while pause_s is not None and self.speed and not stopped.wait(pause_s / self.speed):
            pause_s = next(tries, None)

    def _tries(self, function: Any, event: Any) -> Iterator[float]:
        """Try, and yield how long to wait before the next try."""
        retries, oldest_s = _asynchronous(function)
        began_s, failures, waits = time.monotonic(), iter(RETRY_AFTER_S[:retries]), pauses()
        while True:
            if reason := self.concurrency.enter(function):
                self.effect("invocation throttled", function=function.function_name, reason=reason)
                pause_s: float | None = next(waits)
            else:
                pause_s = next(failures, None) if self._run_entered(function, event).errored else None
            if pause_s is None:
                return
            if (time.monotonic() - began_s) * self.speed + pause_s > oldest_s:
                self.effect("event dropped", function=function.function_name, event=event)
                return
            yield pause_s

    def _run_entered(self, function: Any, event: Any) -> Outcome:
        try:
            return self.run(function, event)
        finally:
            self.concurrency.leave(function)

    def wait_until_idle(self, timeout_s: float) -> bool:
        """Wait until the first try of every asynchronous invocation has ended; return whether it has."""
        with self._lock:
            return self._lock.wait_for(lambda: self._running == 0, timeout_s)

    def stop(self) -> None:
        """End every environment; its invocation fails as if Lambda had lost it, and is not retried."""
        self._stopped.set()
        is_running = True
        while is_running:
            with self._lock:
                ending, self._idle, self._busy = self._idle + self._busy, [], []
            for sandbox in ending:
                sandbox.close()
            with self._lock:  # an invocation without an environment still gets one, which is ended as well
                is_running = not self._lock.wait_for(lambda: self._running == 0, 0.05)
        self._stopped = threading.Event()


def _exists(function: Any) -> bool:
    functions = lambda_backends[function.account_id][function.region].list_functions()
    return any(each is function for each in functions)


def _asynchronous(function: Any) -> tuple[int, float]:
    """Return how often a failed event is retried, and how old it may become."""
    config = function.event_invoke_config[-1].config if function.event_invoke_config else {}
    return config.get("MaximumRetryAttempts", 2), config.get("MaximumEventAgeInSeconds", LONGEST_AGE_S)


def deployed() -> dict[str, dict[str, str]]:
    """Return the files in every function's zip: {ARN: {file: text}}."""
    backends = [backend for account in lambda_backends.values() for backend in account.values()]
    return {each.function_arn: _files(each.code_bytes) for backend in backends for each in backend.list_functions()}


def _files(code: bytes) -> dict[str, str]:
    with zipfile.ZipFile(io.BytesIO(code)) as archive:
        return {name: archive.read(name).decode("utf-8", "replace") for name in archive.namelist()}


class ActingLambda(Settings):
    """Asynchronous invocations return at once; a failed function reports Unhandled, as today's runtimes do."""

    functions: Functions

    def get_function(self) -> str:
        return with_location(super().get_function(), self.functions.endpoint_url)

    def invoke(self) -> tuple[int, dict[str, str], str | bytes]:
        if self.headers.get("X-Amz-Invocation-Type") == "Event":
            name = unquote(self.path.rsplit("/", 2)[-2])
            function = self.backend.get_function(name, self._get_param("qualifier"))
            self.functions.run_soon(function, json.loads(self.body or "{}"))
            return 202, {"status": "202"}, ""
        function = self.backend.get_function(unquote(self.path.rsplit("/", 2)[-2]), self._get_param("qualifier"))
        if reason := self.functions.concurrency.enter(function):
            return _throttled(reason)
        try:
            status, headers, body = super().invoke()
        finally:
            self.functions.concurrency.leave(function)
        if "x-amz-function-error" in headers:
            headers["x-amz-function-error"] = "Unhandled"
        return status, headers, body


def _throttled(reason: str) -> tuple[int, dict[str, str], str]:
    response = {"Type": "User", "message": "Rate Exceeded.", "Reason": reason}
    headers = {"status": "429", "x-amzn-ErrorType": "TooManyRequestsException", "content-type": "application/json"}
    return 429, headers, json.dumps(response)


def install(functions: Functions, chosen: Chosen) -> None:
    """Install the calls before the first request: moto reads its routing table once."""

    def invoke_lambda(function: Any, event: Any = None) -> tuple[str, bool, str]:
        outcome = functions.run(function, {} if event is None else event)
        return json.dumps(outcome.payload), outcome.errored, outcome.log

    ActingLambda.functions, Settings.chosen = functions, chosen
    add_paths()
    LambdaFunction._invoke_lambda = invoke_lambda
    plain = LambdaFunction.get_configuration

    def get_configuration(function: Any, on_create: bool = False) -> dict[str, Any]:
        return with_settings(function, plain(function, on_create))

    LambdaFunction.get_configuration = get_configuration
    for pattern in moto.awslambda.urls.url_paths:
        moto.awslambda.urls.url_paths[pattern] = ActingLambda.dispatch
