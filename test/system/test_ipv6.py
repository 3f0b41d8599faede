"""annexd in an IPv6 pool: behind condor_shared_port, on its own ports, and beside IPv4."""

import getpass
import re
import signal
import subprocess
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

from test.cloud import Cloud
from test.pool import ANNEXD_CONFIG, DOMAIN, Pool
from test.replies import accepted
from test.system.site import Site

ANNEXD = str(Path(sysconfig.get_path("scripts"), "condor_annexd"))
LEVELS = ("READ", "WRITE", "ADMINISTRATOR")
ME = f"{getpass.getuser()}@{DOMAIN}"
ONLY_IPV6 = f"""
ENABLE_IPV4 = False
ENABLE_IPV6 = True
NETWORK_INTERFACE = ::1
COLLECTOR_HOST = [::1]:$(SHARED_PORT_PORT)
ALLOW_READ = *
ALLOW_WRITE = {ME}/::1, {ME}/10.0.0.0/8
ALLOW_ADMINISTRATOR_ANNEXD = {ME}/0:0:0:0:0:0:0:0/64
ANNEXD_DEBUG = D_SECURITY
"""


@pytest.fixture(scope="module")
def site(cloud: Cloud) -> Iterator[Site]:
    with Site(cloud, ONLY_IPV6) as site:
        yield site


def table(site: Site, address: str) -> dict[str, str]:
    """Return condor_ping's verdict for each level."""
    client = {"_CONDOR_ENABLE_IPV4": "True", "_CONDOR_NETWORK_INTERFACE": "lo"}
    said = site.pool.tool("condor_ping", "-addr", address, "-table", *LEVELS, env=client)
    lines = [line.split() for line in said.stdout.splitlines()]
    return {words[0]: words[4] for words in lines if len(words) > 4 and words[0] in LEVELS}


def test_behind_condor_shared_port_it_is_found_and_takes_orders(site: Site) -> None:
    assert re.fullmatch(rf"<\[::1\]:{site.pool.port}\?addrs=\[--1\]-{site.pool.port}&.*sock=annexd_.*>", site.address)
    accepted(site.order())
    assert "<[::1]:" in site.log()
    assert site.pool.tool("condor_config_val", "-addr", site.address, "LOCAL_DIR").stdout.strip() == str(
        site.pool.directory
    )


def test_lists_of_addresses_and_networks_of_ipv6_decide_as_in_the_schedd(site: Site) -> None:
    def allowed() -> dict[str, str]:
        with site.logged("Reconfigured"):
            site.pool.tool("condor_reconfig", "-daemon", "annexd")
        return table(site, site.address)

    assert allowed() == table(site, site.pool.address("SCHEDD")) == dict.fromkeys(LEVELS, "ALLOW")
    for lists in ("DENY_WRITE = ::1", "DENY_WRITE = ::/64", f"DENY_WRITE = {ME}/::1"):
        site.pool.configure(lists)
        denied = allowed()
        assert denied["WRITE"] != "ALLOW", lists
        expected = denied["READ"], denied["WRITE"]

        def of_schedd(expected: tuple[str, str] = expected) -> bool:
            found = table(site, site.pool.address("SCHEDD"))
            return (found.get("READ"), found.get("WRITE")) == expected

        site.wait(of_schedd, f"the schedd to answer {expected} with {lists}")
    site.pool.configure("DENY_WRITE = ::2, fd00::/8")
    assert allowed()["WRITE"] == "ALLOW"


@pytest.mark.parametrize(
    ("settings", "address"),
    [
        ("", r"<\[::1\]:(?P<port>\d+)\?addrs=\[--1\]-(?P=port)&alias=.*>"),
        (
            "ENABLE_IPV4 = True\nNETWORK_INTERFACE = lo\nBIND_ALL_INTERFACES = False",
            r"<127\.0\.0\.1:(?P<port>\d+)\?addrs=127\.0\.0\.1-(?P=port)\+\[--1\]-(?P=port)&alias=.*>",
        ),
        (
            "ENABLE_IPV4 = True\nENABLE_IPV6 = False\nNETWORK_INTERFACE = 127.0.*",
            r"<127\.0\.0\.1:(?P<port>\d+)\?addrs=127\.0\.0\.1-(?P=port)&alias=.*>",
        ),
    ],
    ids=["IPv6", "both", "IPv4 by a pattern"],
)
def test_on_a_port_of_its_own_it_listens_where_the_configuration_says(site: Site, settings: str, address: str) -> None:
    other = site.pool.directory / "other_config"
    other.write_text(
        f"include : {site.pool.config_file}\n{settings}\n"
        "ANNEXD_COMMAND_STATE = $(SPOOL)/annexd_command_state.other\n"
        "ANNEXD_ADDRESS_FILE = $(LOG)/.other_address\nANNEXD_LOG = $(LOG)/OtherLog\nCOLLECTOR_HOST =\n"
    )
    file = site.pool.directory / "log" / ".other_address"
    annexd = subprocess.Popen([ANNEXD, "-f"], env={**site.pool.env, "CONDOR_CONFIG": str(other)})
    try:
        site.wait(file.exists, "its address file")
        own = file.read_text().splitlines()[0]
        assert re.fullmatch(address, own), own
        for family in re.findall(r"(?:addrs=|\+)([^+&]+)-(\d+)", own):
            host = family[0].replace("--", "::") if family[0].startswith("[") else family[0]
            assert "READ" in table(site, f"<{host}:{family[1]}>"), host
    finally:
        annexd.send_signal(signal.SIGQUIT)
        annexd.wait(timeout=30)


def test_without_shared_port_it_inherits_a_socket_of_each_version() -> None:
    both = "ENABLE_IPV4 = True\nENABLE_IPV6 = True\nNETWORK_INTERFACE = lo\n"
    with Pool(ANNEXD_CONFIG + both, daemons=("MASTER", "COLLECTOR", "ANNEXD"), shared_port=False) as pool:
        found = re.search(r"addrs=127\.0\.0\.1-(\d+)\+\[--1\]-(\d+)", pool.address("ANNEXD"))
        assert found, pool.address("ANNEXD")
        for address in (f"<127.0.0.1:{found.group(1)}>", f"<[::1]:{found.group(2)}>"):
            said = pool.tool("condor_ping", "-addr", address, "-table", "ADMINISTRATOR")
            assert "ALLOW" in said.stdout, said.stdout + said.stderr
