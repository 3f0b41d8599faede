"""The daemon's own addresses: NETWORK_INTERFACE, BIND_ALL_INTERFACES, ENABLE_IPV4 and ENABLE_IPV6.

HTCondor's configuration resolves patterns and interface names itself and sets IPV4_ADDRESS and IPV6_ADDRESS.  This
module turns them into addresses to bind to and to advertise.
"""

import socket
from dataclasses import dataclass

from annexd.daemoncore.config.parameters import Parameters
from annexd.daemoncore.listening_socket import tcp_socket
from annexd.daemoncore.sinful import Sinful

WILDCARDS = ("0.0.0.0", "::")  # noqa: S104 - compared with, and bound to where BIND_ALL_INTERFACES says so
TRIES = 20  # to find a port that is free in both families


@dataclass(frozen=True)
class Interfaces:
    """The addresses to bind to and to advertise.

    `addresses` holds one of IPv4, one of IPv6, or both; IPv4 comes first, for clients that read only the first.  With
    `bind_all`, connections to all other addresses of this host are accepted as well.
    """

    addresses: tuple[str, ...]
    bind_all: bool

    @classmethod
    def read(cls, look_up: Parameters) -> "Interfaces":
        found = tuple(filter(None, (look_up.text("IPV4_ADDRESS"), look_up.text("IPV6_ADDRESS"))))
        if not found:
            look_up.faults.append(
                f"NETWORK_INTERFACE is {look_up.text('NETWORK_INTERFACE', '*')}, ENABLE_IPV4 "
                f"{look_up.text('ENABLE_IPV4', 'auto')} and ENABLE_IPV6 "
                f"{look_up.text('ENABLE_IPV6', 'auto')}: this host has no such address"
            )
        return cls(found, look_up.boolean("BIND_ALL_INTERFACES", True))

    def open_port(self, port: int) -> list[socket.socket]:
        """Return listening sockets that share one port; port 0 picks a free one.  Raises OSError."""
        for _ in range(TRIES):
            first, *others = [WILDCARDS[":" in address] if self.bind_all else address for address in self.addresses]
            opened = [tcp_socket(first, port)]
            try:
                for host in others:
                    opened.append(tcp_socket(host, opened[0].getsockname()[1]))
            except OSError as error:
                for each in opened:
                    each.close()
                if port:
                    raise
                fault = error
            else:
                return opened
        raise fault

    def sinful(self, listening: list[socket.socket], alias: str) -> Sinful:
        """Return the address of the daemon's own listening sockets."""
        names = [each.getsockname()[:2] for each in listening]
        return Sinful.own_port(
            [(self._reachable(ip), port) for ip, port in sorted(names, key=lambda n: ":" in n[0])], alias
        )

    def _reachable(self, ip: str) -> str:
        """Return the address to advertise for a socket, also for one bound to a wildcard."""
        if ip not in WILDCARDS:
            return ip
        return next((address for address in self.addresses if (":" in address) == (":" in ip)), ip)
