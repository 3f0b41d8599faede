"""Make one attempt to get a reply from annexd, in a child process that the parent can abandon at any time.

HTCondor's bindings wait for a reply without a limit and hold the GIL meanwhile (measured with 25.14.1); a silent
collector blocks them for 20 s, and an invalid address aborts their process.  So all network queries run in a child.  It
writes two lines of JSON: the name of the annexd before it sends the command, and the outcome.  After the first line
annexd may have the command.
"""

import json
import os
import re
import select
import signal
import time
from collections.abc import Callable
from typing import Any, Final, NamedTuple, NoReturn

from annexd.tool import bindings, locate
from annexd.tool.errors import COMMUNICATION, NOT_AUTHORIZED, SIGNALS, ToolError
from annexd.tool.options import ToolOptions

CA_AUTH_CMD: Final = 1000  # condor_commands.h
SHARED_PORT_ID: Final = re.compile(r"sock=[^&>]*&?")  # of a sinful string
ENDED: Final = "HTCondor's bindings aborted the query process"
CHUNK: Final = 65536


class Attempt(NamedTuple):
    """The outcome: `answer` is annexd's reply ad; if it is None, `sent` says whether annexd may have the command."""

    answer: dict[str, Any] | None
    sent: bool
    status: int
    faults: tuple[str, ...]
    recipient: str | None = None  # the recipient, as locate.found names it: a retry must go to the same annexd


class Child:
    """A child that runs `task` with a function that writes a line to the parent."""

    def __init__(self, task: Callable[[Callable[[object], None]], None]) -> None:
        self._reading, writing = os.pipe()
        self._said = b""
        self._pid = os.fork()
        if self._pid == 0:
            _run_and_end(task, writing)
        os.close(writing)

    def wait(self, timeout_s: float) -> bool:
        """Return whether the child ended within this time."""
        end_s = time.monotonic() + timeout_s
        while select.select([self._reading], [], [], max(0.0, end_s - time.monotonic()))[0]:
            if not self._read():
                return True
        return False

    def end(self) -> None:
        """Kill the child, even if it is blocked."""
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
        while self._read():
            pass
        os.close(self._reading)

    def lines(self) -> list[Any]:
        """Return the complete lines that it wrote."""
        return [json.loads(line) for line in self._said.split(b"\n")[:-1]]

    def _read(self) -> bytes:
        received = os.read(self._reading, CHUNK)
        self._said += received
        return received


def _run_and_end(task: Callable[[Callable[[object], None]], None], writing: int) -> NoReturn:
    """Run the task in the child, without the parent's exit handlers; the parent handles Ctrl-C."""
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        with open(writing, "wb") as pipe:

            def write(line: object) -> None:
                pipe.write(json.dumps(line, default=str).encode() + b"\n")
                pipe.flush()

            task(write)
    finally:
        os._exit(0)


def begin(options: ToolOptions, ad: dict[str, Any], recipient: str | None, *, explain: bool) -> Child:
    """Start an attempt; explain: diagnose why the command could not be sent, which may take a while."""
    return Child(lambda write: _ask(options, ad, recipient, write, explain=explain))


def outcome(child: Child) -> Attempt:
    """Return the outcome of an attempt whose child has ended or was killed."""
    match child.lines():
        case [*_, [answer, sent, status, faults, recipient]]:
            return Attempt(answer, sent, status, tuple(faults), recipient)
        case lines:
            return Attempt(None, bool(lines), COMMUNICATION, (ENDED,), lines[0] if lines else None)


def _ask(
    options: ToolOptions, ad: dict[str, Any], recipient: str | None, write: Callable[[object], None], *, explain: bool
) -> None:
    try:
        recipient, address = locate.found(options, recipient)
    except ToolError as error:
        write(Attempt(None, False, error.status, error.faults))
        return
    write(recipient)
    answer, code, message = bindings.exchange(address, CA_AUTH_CMD, ad)
    if answer is not None:
        write(Attempt(dict(answer), True, 0, (), recipient))
    elif code == bindings.NOT_SENT and explain:
        refusal = _refusal(address, message)
        write(Attempt(None, False, refusal.status, refusal.faults))
    else:
        fault = f"annexd did not answer: {message}; its address is {address}"
        write(Attempt(None, code != bindings.NOT_SENT, COMMUNICATION, (fault,), recipient))


def _refusal(address: str, message: str) -> ToolError:
    """Ping without any permission, then with the permission to order: the first failure is the reason."""
    bindings.require_authentication()
    try:
        user = bindings.ping(address, None).get("MyRemoteUserName", "you")
    except bindings.HTCondorException as error:
        return _no_session(address, error)
    try:
        bindings.ping(address, "CA_AUTH_CMD")
    except bindings.HTCondorException:
        return ToolError(
            NOT_AUTHORIZED,
            f"annexd at {address} does not allow {user} to order",
            "its administrator can add the user to ALLOW_ANNEX; AnnexdLog on that host has the reason",
        )
    return ToolError(COMMUNICATION, f"annexd at {address} accepted no command: {message}; nothing was sent: try again")


def _no_session(address: str, error: Exception) -> ToolError:
    """Diagnose a failed session.  condor_shared_port accepts connections for absent daemons: then annexd is down."""
    if "connect" in str(error):
        return ToolError(COMMUNICATION, f"annexd cannot be reached at {address}: {error}")
    if (gate := SHARED_PORT_ID.sub("", address)) != address and _answers(gate):
        return ToolError(
            COMMUNICATION,
            f"annexd does not answer behind condor_shared_port at {address}",
            "condor_who or MasterLog on that host shows whether it runs",
        )
    return ToolError(
        NOT_AUTHORIZED,
        f"annexd at {address} accepts none of your authentication methods",
        f"condor_ping -debug -addr '{address}' DC_NOP shows what was tried",
    )


def _answers(address: str) -> bool:
    try:
        bindings.ping(address, None)
    except bindings.HTCondorException:
        return False
    return True
