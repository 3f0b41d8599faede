"""HTCondor's Python bindings, or an error that says why they cannot be used.

`_send_generic_payload_command`, which HTCondor's own DAGMan tools use, was added in 24.7.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from annexd.tool.errors import UNSUITABLE_BINDINGS, USAGE, ToolError

Ad = Mapping[str, Any]
NOT_SENT = 1  # by exchange(): the session or the connection failed before the ad was sent

try:
    import classad2
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
    """Return the value of an HTCondor configuration variable; None when it is undefined or empty."""
    try:
        return bindings.param(name) or None
    except Unsafe as error:
        raise ToolError(USAGE, str(error)) from error


def enable_debug() -> None:
    htcondor2.enable_debug()


def is_address(text: str) -> bool:
    """Return whether the other functions accept this as a daemon's address."""
    try:
        values.address(text)
    except Unsafe:
        return False
    return True


def is_expression(text: str) -> bool:
    """Return whether a text can be parsed as a ClassAd expression."""
    return _expression(text) is not None


def number(text: str) -> float | None:
    """Return the value of a knob that is a number, or an expression with such a value (`5 * 60`); None for others."""
    expression = _expression(text)
    value = None if expression is None else expression.eval()
    is_number = isinstance(value, int | float) and not isinstance(value, bool | classad2.Value)
    return value if is_number else None


def _expression(text: str) -> bindings.Expression | None:
    try:
        return bindings.expression(text)
    except (classad2.ClassAdException, Unsafe):
        return None


def query(pool: str | None, constraint: str) -> list[Ad]:
    """Return the ads in the collector (of `pool`, or the configured one) that match a constraint."""
    return bindings.query(pool, constraint, ["Name", "MyAddress"])


def job(pool: str | None, schedd: str | None, job_id: str, attributes: Sequence[str]) -> tuple[str, dict[str, Any]]:
    """Return a schedd's name, and a job's attributes or none.  Raises LookupError without such a schedd."""
    return bindings.job(pool, schedd, job_id, attributes)


def locate(pool: str | None, name: str) -> Any:
    """Return the location ad of the generic daemon with this name, or None."""
    return bindings.locate(pool, name)


def locate_collector(pool: str | None) -> Any:
    """Return the location ad of the collector, or None."""
    return bindings.locate_collector(pool)


def remote_params(address: str, names: Sequence[str]) -> dict[str, str]:
    """Return a running daemon's values of these knobs.  Raises HTCondorException if it does not respond."""
    return bindings.remote_params(address, names)


def own_ad(address: str, my_type: str) -> dict[str, Any]:
    """Return the ad of this MyType that a daemon shows of itself; empty if it shows none.  Raises HTCondorException."""
    return bindings.own_ad(address, my_type)


def exchange(address: str, command: int, ad: dict[str, Any]) -> tuple[Any, int, str]:
    """Start a command, send an ad and receive one: the reply, or None, an error code and HTCondor's error message.

    NOT_SENT: no connection or session, and nothing was sent; 2: sending the ad failed; 3: waiting for the reply failed
    (HTCondor's python-bindings/htcondor2/loose_functions.cpp).
    """
    try:
        return bindings.exchange(address, command, ad)
    except Unsafe as error:
        return None, NOT_SENT, str(error)


def ping(address: str, what: str | None) -> Ad:
    """Return the security session with a daemon for a level or command (None: any).  Raises HTCondorException."""
    session: Ad = bindings.ping(address, what)
    return session


def require_authentication() -> None:
    """Authenticate for every query from now on, as for an order; the configuration may leave it to the daemon."""
    bindings.set_param("SEC_CLIENT_AUTHENTICATION", "REQUIRED")


HTCondorException = (htcondor2.HTCondorException, Unsafe)  # raised by any of these functions
