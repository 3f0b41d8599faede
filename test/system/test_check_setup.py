"""-check-setup also checks the pool: annexd runs, it has read its configuration, and machines may join."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from annexd.account.configuration import KNOBS
from annexd.tool.errors import SETUP_FAULTY
from test.cloud import Cloud
from test.system.site import TOP, Site
from test.system.tool import condor_annex

MACHINES = f"include : {TOP}/config.d/80annex-machines\n"


@pytest.fixture(scope="module")
def site(cloud: Cloud) -> Iterator[Site]:
    with Site(cloud, MACHINES) as site:
        site.pool.configure(knobs(site, "one"))
        site.pool.tool("condor_reconfig")
        wait_until_well(site)
        yield site


def knobs(site: Site, bucket: str) -> str:
    """Return the knobs of 81annex; these tests do not check them against the account."""
    urls = "".join(f"{knob} = {site.cloud.url}\n" for knob in KNOBS if knob.endswith("_URL"))
    return f"{urls}ANNEX_DEFAULT_S3_BUCKET = {bucket}\nANNEX_DEFAULT_SUBNET_IDS = default\n"


def checked(site: Site, *more: str) -> dict[str, Any]:
    """Return the findings of -check-setup about the pool, by check."""
    said = condor_annex(site, "-check-setup", "-json", "-region", "us-east-1", *more, env=site.cloud.environment())
    assert said.returncode == SETUP_FAULTY, said.stderr
    return {each["check"]: each for each in json.loads(said.stdout) if each["check"] in ("annexd", "machines")}


def wait_until_well(site: Site) -> None:
    """Wait until annexd has read its configuration, because condor_reconfig does not."""
    site.wait(lambda: checked(site)["annexd"]["status"] == "ok", "annexd to have read it")


def test_a_pool_whose_annexd_has_read_its_configuration_is_well(site: Site) -> None:
    found = checked(site)
    assert found["annexd"]["what"] == "it runs, with this configuration"
    assert found["machines"]["what"] == "the collector lets the machines of annexes in"
    assert {each["status"] for each in found.values()} == {"ok"}
    assert checked(site, "-name", f"annexd@{site.pool.param('FULL_HOSTNAME')}")["annexd"]["status"] == "ok"


def test_an_annexd_that_has_not_reread_its_configuration_is_found(site: Site) -> None:
    with site.pool.config_file.open("a") as config:  # as -setup writes it, before condor_reconfig
        config.write(knobs(site, "another"))
    found = checked(site)["annexd"]
    assert (found["status"], found["what"]) == ("FAULT", "it runs with other values of ANNEX_DEFAULT_S3_BUCKET")
    assert "condor_reconfig" in found["repair"]
    site.pool.tool("condor_reconfig")
    wait_until_well(site)


def test_a_collector_without_80annex_machines_is_found(site: Site) -> None:
    site.pool.configure(f"{knobs(site, 'another')}ALLOW_ADVERTISE_STARTD = condor@annexd.test\nANNEX_HONEST =\n")
    site.wait(lambda: checked(site)["machines"]["status"] == "FAULT", "the collector has read it", timeout_s=60)
    found = checked(site)["machines"]
    assert (found["status"], found["what"]) == ("FAULT", "the collector does not let the machines of annexes in")
    assert "80annex-machines" in found["repair"]
    site.pool.configure(MACHINES)
    site.wait(lambda: checked(site)["machines"]["status"] == "ok", "the collector has read it", timeout_s=60)


def test_a_second_regions_annexd_that_was_never_started_is_found(site: Site) -> None:
    own = "ANNEXD_EU_WEST_1.ANNEXD_ADDRESS_FILE = $(LOG)/.annexd_address.eu-west-1\n"
    site.pool.configure(knobs(site, "another") + own)
    found = checked(site, "-region", "eu-west-1")
    assert found["annexd"]["region"] == "eu-west-1"
    assert found["annexd"]["what"] == "the annexd of this region, ANNEXD_EU_WEST_1, does not run on this machine"
    assert "DAEMON_LIST = $(DAEMON_LIST) ANNEXD_EU_WEST_1" in found["annexd"]["repair"]


def test_an_annexd_that_is_down_is_found(site: Site) -> None:
    site.pool.tool("condor_off", "-subsystem", "annexd")
    site.wait(lambda: checked(site)["annexd"]["status"] == "FAULT", "the annexd that is off is found")
    found = checked(site)["annexd"]
    assert "annexd" in found["what"]
    assert found["repair"]
