"""HTCondor's Python bindings, or words about what is wrong with them.

`_send_generic_payload_command`, which is what HTCondor's own tools for DAGMan use, came with 24.7.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from annexd.tool.errors import UNSUITABLE_BINDINGS, USAGE, ToolError

Ad = Mapping[str, Any]
NOT_SENT = 1  # of exchange(): the session or the connection failed, before the ad

try:
    import htcondor2

    from annexd.condor import bindings, values
    from annexd.condor.values import Unsafe
except ImportError as missing:
    raise ToolError(
        UNSUITABLE_BINDINGS,
        f"HTCondor's Python bindings cannot be used: {missing}",
        "install HTCondor's bindings, version 25 or at least 24.7: pip install 'htcondor>=25,<26'",
    ) from missing


def param(name: str) -> str | None:
    """The value of an HTCondor configuration variable; None when it is not defined or empty."""
    try:
        return bindings.param(name) or None
    except Unsafe as error:
        raise ToolError(USAGE, str(error)) from error


def enable_debug() -> None:
    htcondor2.enable_debug()


def is_address(text: str) -> bool:
    """Whether the other functions take this for a daemon's."""
    try:
        values.address(text)
    except Unsafe:
        return False
    return True


def query(pool: str | None, constraint: str) -> list[Ad]:
    """The ads in the collector (of the pool, or of the configuration) that satisfy a constraint."""
    return bindings.query(pool, constraint, ["Name", "MyAddress"])


def locate(pool: str | None, name: str) -> Any:
    """The location ad of the generic daemon of this name, or None."""
    return bindings.locate(pool, name)


def locate_collector(pool: str | None) -> Any:
    """The location ad of the collector, or None."""
    return bindings.locate_collector(pool)


def remote_params(address: str, names: Sequence[str]) -> dict[str, str]:
    """What a running daemon has of these knobs; HTCondorException if it does not tell."""
    return bindings.remote_params(address, names)


def own_ad(address: str, my_type: str) -> dict[str, Any]:
    """Return the ad of this MyType that a daemon shows of itself; empty if it shows none.  Raises HTCondorException."""
    return bindings.own_ad(address, my_type)


def exchange(address: str, command: int, ad: dict[str, Any]) -> tuple[Any, int, str]:
    """Start a command, send an ad and get one: the answer, or None, a number and HTCondor's words for what failed.

    NOT_SENT: no connection or session, and nothing was sent; 2: in sending the ad; 3: in waiting for the answer
    (HTCondor's python-bindings/htcondor2/loose_functions.cpp).
    """
    try:
        return bindings.exchange(address, command, ad)
    except Unsafe as error:
        return None, NOT_SENT, str(error)


def ping(address: str, what: str | None) -> Ad:
    """The security session with a daemon that allows this level or command (None: any); HTCondorException without."""
    session: Ad = bindings.ping(address, what)
    return session


def require_authentication() -> None:
    """From here on be somebody for every question, as for an order; the configuration may leave it to the daemon."""
    bindings.set_param("SEC_CLIENT_AUTHENTICATION", "REQUIRED")


HTCondorException = (htcondor2.HTCondorException, Unsafe)  # of any call of these
