"""PRIVATE_NETWORK_NAME: clients in annexd's private network reach it at its other address."""

import re
from pathlib import Path

from test.replies import accepted
from test.system.site import Site
from test.system.tool import order_an_hour

OTHER_ADDRESS = "127.0.0.2"
CONFIG = f"""
PRIVATE_NETWORK_NAME = inner
PRIVATE_NETWORK_INTERFACE = {OTHER_ADDRESS}
BIND_ALL_INTERFACES = True
"""


def test_every_address_that_it_publishes_is_spelled_as_the_schedds(site: Site) -> None:
    expected = nameless(site.pool.address("SCHEDD"))
    assert f"PrivAddr=%3c{OTHER_ADDRESS}:" in expected
    assert expected.count("ID") == 2
    ad, file = site.ad(), Path(site.pool.param("ANNEXD_ADDRESS_FILE") or "")
    assert ad is not None
    assert {nameless(each) for each in (site.address, ad["MyAddress"], file.read_text().splitlines()[0])} == {expected}


def nameless(address: str) -> str:
    """Return the address with its name at condor_shared_port replaced by ID."""
    return re.sub(r"(?<=sock(?:=|%))(3d)?\w+?_\d+_\w{4}", r"\1ID", address)


def test_orders_of_the_same_private_network_arrive_there(site: Site) -> None:
    for _ in range(2):
        accepted(site.order())


def test_condor_annex_and_tools_reach_it(site: Site) -> None:
    done = order_an_hour(site)
    assert done.returncode == 0, done.stderr
    for message in (
        ["condor_ping", "-addr", site.address, "ADMINISTRATOR"],
        ["condor_reconfig", "-addr", site.address],
        ["condor_config_val", "-addr", site.address, "LOCAL_DIR"],
    ):
        assert site.pool.tool(*message).returncode == 0, message
