"""The busiest host loses its oldest pending connection, even if it uses many addresses."""

import asyncio
import time

import pytest

from annexd.daemoncore.network.pending_connections import PendingConnection, PendingConnections, counting_host

LATER_S = time.monotonic() + 3600


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("10.1.2.3", "10.1.2.3"),
        ("::ffff:10.1.2.3", "10.1.2.3"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
    ],
)
def test_an_address_is_counted_by_its_host(address: str, counted: str) -> None:
    assert counting_host(address) == counted


def test_one_ipv6_network_with_many_addresses_evicts_only_its_own_connections() -> None:
    async def flood() -> tuple[int, list[str]]:
        pending_connections, ended = PendingConnections(), list[str]()

        def enter(address: str) -> None:
            pending_connections.enter(
                PendingConnection(counting_host(address), lambda _reason: ended.append(address), LATER_S, LATER_S), 10
            )

        enter("2001:db8:9::1")
        enter("10.1.2.3")
        for number in range(100):
            enter(f"2001:db8:1::{number + 1:x}")
        found = len(pending_connections), list(ended)
        pending_connections.close()
        return found

    present, ended = asyncio.run(flood())
    assert present == 10
    assert ended == [f"2001:db8:1::{number + 1:x}" for number in range(92)]
