"""One command to annexd, and when there is no answer, why.

The bindings say no more than which of three moments failed.  The first call after a restart of annexd may fail
for a session that is no more; and an answer may be lost after annexd accepted.  So it is sent a second time: the
CommandID makes annexd do it once.

The bindings wait for an answer for as long as it takes, and keep the interpreter's lock (measured with 25.14.1): so a
child asks, whom its parent can leave.
"""

import json
import os
import re
import select
import signal
from collections.abc import Mapping
from typing import Any, Final, NoReturn

from annexd.tool import bindings
from annexd.tool.errors import COMMUNICATION, NOT_AUTHORIZED, ToolError

CA_AUTH_CMD: Final = 1000  # condor_commands.h
SHARED_PORT_ID: Final = re.compile(r"sock=[^&>]*&?")  # of a sinful string
TRIES: Final = 2
TIMEOUT_S: Final = 900  # an order takes seconds; behind others, or while AWS throttles, minutes


def send(address: str, ad: dict[str, Any], timeout_s: float = TIMEOUT_S) -> Mapping[str, Any]:
    """annexd's reply ad; raises ToolError when there is none, or none in time."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        _ask_and_end(address, ad, writing)
    os.close(writing)
    try:
        answer, words = _heard(reading, timeout_s, ad)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    if answer is None:
        raise _silence(address, words, ad)
    return answer


def _heard(reading: int, timeout_s: float, ad: Mapping[str, Any]) -> tuple[dict[str, Any] | None, str]:
    """What the child was told.  Raises ToolError when that takes too long."""
    if not select.select([reading], [], [], timeout_s)[0]:
        raise ToolError(
            COMMUNICATION,
            f"annexd has not answered within {timeout_s:g} s; what it accepted it completes or undoes",
            _ask_again(ad),
        )
    with open(reading, "rb") as pipe:
        answer, words = json.loads(pipe.read() or '[null, "HTCondor\'s bindings ended the process that asked"]')
    return answer, words


def _ask_and_end(address: str, ad: dict[str, Any], writing: int) -> NoReturn:
    """In the child: nothing that its parent has begun is finished here."""
    try:
        with open(writing, "wb") as pipe:
            pipe.write(json.dumps(_ask(address, ad), default=str).encode())
    finally:
        os._exit(0)


def _ask(address: str, ad: dict[str, Any]) -> tuple[dict[str, Any] | None, str]:
    """The answer, or None and words."""
    for _ in range(TRIES):
        answer, words = bindings.exchange(address, CA_AUTH_CMD, ad)
        if answer is not None:
            return dict(answer), words
    return None, words


def _ask_again(ad: Mapping[str, Any]) -> str:
    if "CommandID" not in ad:
        return "nothing depends on it: ask again"
    return f"whether the request was completed is unknown: ask with the same command and -command-id {ad['CommandID']}"


def _silence(address: str, words: str, ad: Mapping[str, Any]) -> ToolError:
    """Ask what anybody may ask, then what only those may who may order: the first that fails tells why."""
    bindings.require_authentication()
    try:
        user = bindings.ping(address, None).get("MyRemoteUserName", "you")
    except bindings.HTCondorException as error:
        return _no_session(address, error)
    return _refusal(address, user) or ToolError(
        COMMUNICATION,
        f"annexd gave no answer: {words}; it is at {address}",
        _ask_again(ad),
    )


def _refusal(address: str, user: str) -> ToolError | None:
    """Where this user may not order."""
    try:
        bindings.ping(address, "CA_AUTH_CMD")
    except bindings.HTCondorException:
        return ToolError(
            NOT_AUTHORIZED,
            f"annexd does not let {user} order; it is at {address}",
            "its administrator can add a user to ALLOW_ANNEX, and AnnexdLog there tells the reason",
        )
    return None


def _no_session(address: str, error: Exception) -> ToolError:
    """condor_shared_port takes a connection for whom it may not find: when it answers, annexd is what is missing."""
    if "connect" in str(error):
        return ToolError(COMMUNICATION, f"annexd cannot be reached at {address}: {error}")
    if (gate := SHARED_PORT_ID.sub("", address)) != address and _answers(gate):
        return ToolError(
            COMMUNICATION,
            f"annexd does not answer behind condor_shared_port at {address}",
            "condor_who, or MasterLog there, tells whether it runs",
        )
    return ToolError(
        NOT_AUTHORIZED,
        f"annexd at {address} takes none of the ways to authenticate that you have",
        f"condor_ping -debug -addr '{address}' DC_NOP shows what was tried",
    )


def _answers(address: str) -> bool:
    try:
        bindings.ping(address, None)
    except bindings.HTCondorException:
        return False
    return True
