"""A second region: the block that -setup writes for it, in a real pool that condor_preen cleans."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from annexd.account.configuration import KNOBS, SERVICES, local_name, text
from test.cloud import Cloud
from test.system.site import Site

REGION = "eu-west-1"
SECOND = local_name(REGION)


@pytest.fixture(scope="module")
def site(cloud: Cloud) -> Iterator[Site]:
    """Run a pool that has 81annex for two regions, and no second annexd yet."""
    with Site(cloud) as site:
        site.pool.configure(both_regions(site))
        yield site


def both_regions(site: Site) -> str:
    def values(region: str) -> dict[str, str]:
        function = f"arn:aws:lambda:{region}:123456789012:function:of-{region}"
        own = {knob: site.cloud.url if knob in SERVICES else function for knob in KNOBS}
        return own | {"ANNEX_DEFAULT_SUBNET_IDS": "default"}

    return text({"us-east-1": values("us-east-1"), REGION: values(REGION)}) + "ANNEX_DEFAULT_S3_BUCKET =\n"


def names(site: Site) -> list[str]:
    said = site.pool.tool("condor_status", "-any", "-constraint", 'MyType == "Generic"', "-af", "Name").stdout
    return sorted(name.partition("@")[0] for name in said.split())


def spool(site: Site) -> Path:
    return site.pool.directory / "spool"


def test_the_file_alone_starts_nothing_and_ends_nothing(site: Site) -> None:
    site.pool.tool("condor_reconfig")
    assert names(site) == ["annexd"]
    assert site.pool.param(SECOND) == site.pool.param("ANNEXD")


def test_one_line_starts_the_second_regions_annexd_and_no_pool_ends_for_it(site: Site) -> None:
    site.pool.configure(both_regions(site) + f"DAEMON_LIST = $(DAEMON_LIST) {SECOND}\n")
    site.pool.tool("condor_restart", "-daemon", "master")
    site.wait(lambda: names(site) == ["annexd", f"annexd-{REGION}"], "both annexds", timeout_s=60)


def test_condor_preen_leaves_both_journals(site: Site) -> None:
    site.wait((spool(site) / f"annexd_command_state.{REGION}").exists, "the second journal")
    (spool(site) / "rubbish").write_text("")
    site.pool.tool("condor_preen", "-remove")
    assert not (spool(site) / "rubbish").exists(), "condor_preen removed nothing"
    kept = {path.name for path in spool(site).iterdir()}
    assert {"annexd_command_state", f"annexd_command_state.{REGION}"} <= kept


def test_its_address_file_leads_to_it_and_it_takes_its_own_regions_function(site: Site) -> None:
    address = (site.pool.directory / "log" / f".annexd_address.{REGION}").read_text().splitlines()[0]
    reply = site.order(to=address)
    assert f"of-{REGION}" in reply["ErrorString"], reply
