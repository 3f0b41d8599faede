"""One command to annexd, and when there is no answer, why.

The bindings say no more than which of three moments failed.  The first call after a restart of annexd may fail
for a session that is no more; and an answer may be lost after annexd accepted.  So it is sent a second time: the
CommandID makes annexd do it once.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from annexd.tool import bindings
from annexd.tool.errors import COMMUNICATION, NOT_AUTHORIZED, ToolError

CA_AUTH_CMD: Final = 1000  # condor_commands.h
LEVEL: Final = "ADMINISTRATOR"  # that CA_AUTH_CMD needs
SHARED_PORT_ID: Final = re.compile(r"sock=[^&>]*&?")  # of a sinful string
TRIES: Final = 2


def send(address: str, ad: dict[str, Any]) -> Mapping[str, Any]:
    """annexd's reply ad; raises ToolError when there is none."""
    words = ""
    for _ in range(TRIES):
        answer, words = bindings.exchange(address, CA_AUTH_CMD, ad)
        if answer is not None:
            return dict(answer)
    raise _silence(address, words)


def _silence(address: str, words: str) -> ToolError:
    """Ask what anybody may ask, then what only those may who may order: the first that fails tells why."""
    try:
        user = bindings.ping(address, None).get("MyRemoteUserName", "you")
    except bindings.HTCondorException as error:
        return _no_session(address, error)
    try:
        bindings.ping(address, LEVEL)
    except bindings.HTCondorException:
        return ToolError(
            NOT_AUTHORIZED,
            f"annexd does not let {user} order; it is at {address}",
            f"its administrator can add a user to ALLOW_{LEVEL}_ANNEXD, and AnnexdLog there tells the reason",
        )
    return ToolError(
        COMMUNICATION,
        f"annexd gave no answer: {words}; it is at {address}",
        "it completes what it accepted, so look at AnnexdLog there before you ask again",
    )


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
