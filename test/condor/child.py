"""Run HTCondor's bindings in their own process, which must survive any input.

    python -m test.condor.child      reads lines of JSON `[call, text, number]`; writes one line for each

A line has one outcome: refused (Unsafe), accepted, or an exception of the bindings.  Only a crash is a failure.
"""

import json
import os
import select
import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Any

import htcondor2

from annexd.condor import bindings
from annexd.condor.values import Unsafe

TIMEOUT_S = 10.0  # for local calls
READY = b"ready\n"
NETWORK_TIMEOUT_S = 0.5  # a peer that does not respond is not a failure
NETWORK = ("alive", "exchange", "advertise", "ping", "locate", "query")


class ChildDied(AssertionError):
    """The bindings crashed the process, or did not return."""


class Child:
    """The child process; it starts with the first call, and again after it ends."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def call(self, call: str, text: str, number: int = 0, network_s: float = NETWORK_TIMEOUT_S) -> str | None:
        """Return the outcome of a call, or None if it waits longer for the network.  Raises ChildDied."""
        process = self._running()
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps([call, text, number]).encode() + b"\n")
        process.stdin.flush()
        timeout_s = network_s if call in NETWORK else TIMEOUT_S
        if not select.select([process.stdout], [], [], timeout_s)[0]:
            self.close()
            if call in NETWORK:
                return None
            raise ChildDied(f"{call} of {text[:200]!r}, {number} takes more than {timeout_s:g} s")
        if answer := process.stdout.readline():
            return answer.decode().strip()
        raise ChildDied(f"{call} of {text[:200]!r}, {number} ends the process with {process.wait()}")

    def close(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()

    def _running(self) -> "subprocess.Popen[bytes]":
        if self._process is None or self._process.poll() is not None:
            self.close()
            self._process = subprocess.Popen(
                [sys.executable, "-m", "test.condor.child"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={**os.environ, "CONDOR_CONFIG": "ONLY_ENV"},
            )
            assert self._process.stdout is not None
            assert self._process.stdout.readline() == READY
        return self._process


def nested(levels: int, inner: object = 1) -> Any:
    value: Any = inner
    for level in range(levels):
        value = [value] if level % 2 else {"A": value}
    return value


def ad(text: str, number: int) -> object:
    parts = text.split("\n", 1)
    made = bindings.display_ad({"A": text, "N": number, parts[0]: [parts[-1]], "Deep": nested(abs(number) % 40, text)})
    return len(repr(made)) + sum(1 for name in made if made.eval(name))


def order(text: str, number: int) -> object:
    return len(repr(bindings.make_ad({"A": text, "N": number, "Deep": nested(abs(number) % 100_000, text)})))


def claims(text: str, number: int) -> object:
    """Evaluate an expression with claims from JSON text."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = {text: text, "n": number}
    made = bindings.claims_ad(found if isinstance(found, dict) else {"x": found})
    return bindings.expression('jti == "x" || member(sub, {"a"})').eval(made)


def expression(text: str, number: int) -> object:
    return bindings.expression(text * max(1, abs(number) % 1000)).eval(bindings.make_ad({"A": "text", "N": number}))


def knob(text: str, number: int) -> object:
    name = text.partition("=")[0]
    bindings.set_param(name, text.partition("=")[2] * max(1, abs(number) % 100))
    return bindings.param(name)


CALLS: Mapping[str, Callable[[str, int], object]] = {
    "ad": ad,
    "order": order,
    "claims": claims,
    "expression": expression,
    "parse_ad": lambda text, _: bindings.parse_ad(text),
    "quote": lambda text, _: bindings.quote(text),
    "knob": knob,
    "param": lambda text, _: bindings.param(text),
    "log": lambda text, _: bindings.log(htcondor2.LogLevel.Always, text),
    "alive": lambda text, number: bindings.send_alive(text, number, number),
    "exchange": lambda text, number: bindings.exchange(text, number, {"A": text}),
    "advertise": lambda text, _: bindings.advertise(text, "UPDATE_AD_GENERIC", [bindings.display_ad({"Name": text})]),
    "ping": lambda text, _: bindings.ping(text, text[:20]),
    "locate": lambda text, _: bindings.locate("127.0.0.1:1", text),
    "query": lambda text, _: bindings.query(text, text, [text]),
}


def respond(line: str) -> str:
    call, text, number = json.loads(line)
    try:
        return f"accepted: {str(CALLS[call](text, number))[:100]!a}"
    except Unsafe as error:
        return f"refused: {str(error)[:300]!a}"
    except Exception as error:  # noqa: BLE001 - the bindings raise many types
        return f"{type(error).__name__}: {str(error)[:100]!a}"


def main() -> None:
    htcondor2.enable_debug()
    print(READY.decode().strip(), flush=True)
    for line in sys.stdin:
        print(respond(line), flush=True)


if __name__ == "__main__":
    main()
