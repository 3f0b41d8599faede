"""One command to annexd, and when there is no answer, why.

The bindings say no more than which of three moments failed.  The first call after a restart of annexd may fail
for a session that is no more; and an answer may be lost after annexd accepted.  So it is sent a second time: the
CommandID makes annexd do it once.
"""

from collections.abc import Mapping
from typing import Any, Final

from annexd.tool import bindings
from annexd.tool.errors import COMMUNICATION, NOT_AUTHORIZED, ToolError

CA_AUTH_CMD: Final = 1000  # condor_commands.h
LEVEL: Final = "ADMINISTRATOR"  # that CA_AUTH_CMD needs
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
    try:
        session = bindings.ping(address, LEVEL)
    except bindings.HTCondorException as error:
        return _no_session(address, error)
    if session.get("AuthorizationSucceeded") is False:
        return ToolError(
            NOT_AUTHORIZED,
            f"annexd at {address} does not let {session.get('MyRemoteUserName', 'you')} order",
            f"its administrator may add this user to ALLOW_{LEVEL}",
        )
    return ToolError(
        COMMUNICATION,
        f"annexd at {address} gave no answer: {words}",
        "it completes what it accepted, so look at its AnnexdLog before you ask again",
    )


def _no_session(address: str, error: Exception) -> ToolError:
    if "connect" in str(error):
        return ToolError(COMMUNICATION, f"annexd at {address} cannot be reached: {error}")
    return ToolError(
        NOT_AUTHORIZED,
        f"annexd at {address} accepts no way to authenticate that you have ({error})",
        "condor_ping -debug -addr with this address shows what was tried",
    )
