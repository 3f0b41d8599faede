"""HTCondor's Python bindings, or words about what is wrong with them.

The one place that names `_send_generic_payload_command`: it is what HTCondor's own tools for DAGMan use, it begins
with an underscore, and it came with 24.7.
"""

from collections.abc import Mapping
from typing import Any

from annexd.tool.errors import UNSUITABLE_BINDINGS, ToolError

Ad = Mapping[str, Any]

try:
    import classad2
    import htcondor2
    from htcondor2.htcondor2_impl import _send_generic_payload_command
except ImportError as missing:
    raise ToolError(
        UNSUITABLE_BINDINGS,
        f"HTCondor's Python bindings cannot be used: {missing}",
        "install HTCondor's bindings, version 25 or at least 24.7: pip install 'htcondor>=25,<26'",
    ) from missing


def param(name: str) -> str | None:
    """The value of an HTCondor configuration variable; None when it is not defined or empty."""
    try:
        return str(htcondor2.param[name]) or None
    except KeyError:
        return None


def enable_debug() -> None:
    htcondor2.enable_debug()


def query(pool: str | None, constraint: str) -> list[Ad]:
    """The ads in the collector (of the pool, or of the configuration) that satisfy a constraint."""
    return list(htcondor2.Collector(pool).query(htcondor2.AdType.Any, constraint, ["Name", "MyAddress"]))


def locate(pool: str | None, name: str) -> Any:
    """The location ad of the generic daemon of this name, or None."""
    return htcondor2.Collector(pool).locate(htcondor2.DaemonType.Generic, name)


def exchange(address: str, command: int, ad: dict[str, Any]) -> tuple[Any, int, str]:
    """Start a command, send an ad and get one: the answer, or None, a number and HTCondor's words for what failed.

    1: no connection or session, and nothing was sent; 2: in sending the ad; 3: in waiting for the answer (HTCondor's
    python-bindings/htcondor2/loose_functions.cpp).
    """
    answer, code, words = _send_generic_payload_command(address, command, classad2.ClassAd(ad)._handle)
    return answer, int(code), str(words or "")


def ping(address: str, what: str | None) -> Ad:
    """The security session with a daemon that allows this level or command (None: any); HTCondorException without."""
    session: Ad = htcondor2.ping(address, what)
    return session


def require_authentication() -> None:
    """From here on be somebody for every question, as for an order; the configuration may leave it to the daemon."""
    htcondor2.param["SEC_CLIENT_AUTHENTICATION"] = "REQUIRED"


HTCondorException = htcondor2.HTCondorException
