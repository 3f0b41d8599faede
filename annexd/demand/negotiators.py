"""Find a pool's negotiators: its own in the collector, those of ghosts behind the same shared port.

Those of ghosts are not in the collector (demand_config): a client that queries it for the pool's negotiator, as
condor_userprio and a schedd do, takes the first one.
"""

from dataclasses import dataclass
from typing import Any

from annexd.daemoncore.pool.outbound import Outbound
from annexd.daemoncore.sinful import Sinful
from annexd.demand.ghost_negotiators import PREFIX


@dataclass(frozen=True)
class Negotiators:
    """The addresses of the pool's own negotiators by name, and of daemons behind the central manager's shared port."""

    own: dict[str, str]
    shared: tuple[str, ...]

    def only_own(self) -> str:
        """Return the address of the pool's own negotiator.  Raises LookupError."""
        if not self.own:
            raise LookupError("the pool's own negotiator is not in the collector")
        if len(self.own) > 1:
            raise LookupError(f"the pool has several negotiators of its own: {', '.join(sorted(self.own))}")
        return next(iter(self.own.values()))

    def of_ghosts(self, local_name: str) -> str:
        """Return the address of a ghosts' negotiator: its shared port ID is its local name.  Raises LookupError."""
        for address in self.shared:
            return str(Sinful.parse(address).behind_shared_port(local_name.lower()))
        raise LookupError("the central manager's collector is not behind a shared port (USE_SHARED_PORT)")


async def find_negotiators(outbound: Outbound, collector: str) -> Negotiators:
    """Find the negotiators of the pool.  Raises OutboundFailed."""
    attributes = ("Name", "MyAddress")
    arguments = {"collector": collector, "constraint": "true", "attributes": attributes}
    collectors = await outbound.call("query", {"kind": "Collector", **arguments})
    own = {
        name: address
        for name, address in await outbound.call("query", {"kind": "Negotiator", **arguments})
        if isinstance(name, str) and isinstance(address, str) and not name.upper().startswith(PREFIX)
    }
    addresses = [address for _name, address in collectors]
    return Negotiators(own, tuple(each for each in (*addresses, *own.values()) if _is_behind_shared_port(each)))


def _is_behind_shared_port(address: Any) -> bool:
    try:
        return Sinful.parse(str(address)).parameter("sock") is not None
    except ValueError:
        return False
