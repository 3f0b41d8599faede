"""annexd under a real condor_master with only config.d/80annexd added behaves as an administrator expects."""

import json
import re
import sys
from collections.abc import Iterator

import pytest

from test.cloud import Cloud
from test.replies import accepted
from test.system.site import Site, children, process_exists


@pytest.fixture(scope="module")
def site(cloud: Cloud) -> Iterator[Site]:
    with Site(cloud, "MASTER_DEBUG = D_FULLDEBUG D_DAEMONCORE\nANNEXD_NOT_RESPONDING_TIMEOUT = 96\n") as site:
        yield site


@pytest.fixture(autouse=True)
def _running(site: Site) -> None:
    """Start annexd if the previous test left it stopped."""
    if site.ad() is None:
        site.pool.tool("condor_on", "-daemon", "annexd")
        site.wait(site.ad, "annexd's ad")


def test_condor_status_shows_it_and_the_bindings_locate_it(site: Site) -> None:
    name = site.ad()["Name"]  # type: ignore[index]
    assert name.startswith("annexd@")
    spellings = ["annexd", "ANNEXD"] if site.pool.htcondor.version.startswith("25.") else []  # case counts in 23
    for options in (["-any"], ["-generic"], *(["-subsystem", word] for word in ("Annexd", *spellings))):
        assert name in site.pool.tool("condor_status", *options, "-af", "Name").stdout.split(), options
    program = (
        "import htcondor2, sys; ad = htcondor2.Collector(sys.argv[1]).locate("
        "htcondor2.DaemonType.Generic, sys.argv[2]); print(ad['MyAddress'])"
    )
    located = site.pool.run(sys.executable, "-c", program, site.pool.collector, name)
    assert located.stdout.strip() == site.address, located.stderr


def test_the_two_ads_have_one_name_and_count_their_own_updates(site: Site) -> None:
    said = site.pool.tool("condor_status", "-any", "-json", "-constraint", f'Name == "{site.ad()["Name"]}"')  # type: ignore[index]
    ads = {ad["MyType"]: ad for ad in json.loads(said.stdout)}
    assert set(ads) == {"Generic", "Annexd"}
    for ad in ads.values():
        assert ad["MyAddress"] == site.address
        assert ad["UpdateSequenceNumber"] >= 1
        assert ad["UpdatesLost"] == 0
        assert {"AnnexRequests", "AnnexSuccesses", "AnnexFailures", "AnnexUnfinished", "AnnexStuck"} <= ad.keys()


def test_it_reports_ready_and_keeps_alive(site: Site) -> None:
    site.wait(lambda: "Setting ready state 'Ready' for ANNEXD" in site.pool.log("MASTER"), "the ready state")
    pattern = rf"received childalive, pid={site.pid()}"
    before = len(re.findall(pattern, site.pool.log("MASTER")))
    site.wait(lambda: len(re.findall(pattern, site.pool.log("MASTER"))) > before + 1, "two more keepalives")


def test_the_log_has_htcondors_format(site: Site) -> None:
    lines = site.log().splitlines()
    assert any("condor_annexd (CONDOR_ANNEXD) STARTING UP" in line for line in lines)
    assert all(re.match(r"\d\d/\d\d/\d\d \d\d:\d\d:\d\d ", line) for line in lines), lines


def test_tools_of_the_same_host_find_it_by_its_address_file(site: Site) -> None:
    file = site.pool.param("ANNEXD_ADDRESS_FILE")
    assert file is not None
    with open(file) as text:
        address, version, platform = text.read().splitlines()
    assert address == site.address
    assert version.startswith("$CondorVersion: ")
    assert platform.startswith("$CondorPlatform: ")
    with site.logged("Reconfigured"):
        done = site.pool.tool("condor_reconfig", "-daemon", "annexd")
        assert done.returncode == 0, done.stderr


def test_it_survives_a_reconfig_of_the_pool_and_takes_what_changed(site: Site) -> None:
    pid = site.pid()
    site.pool.configure('ANNEXD_ATTRS = AnnexSite\nAnnexSite = "Hill 42"')
    site.wait(lambda: (site.ad() or {}).get("AnnexSite") == "Hill 42", "the new attribute in the ad")
    assert site.pid() == pid


def test_a_reconfig_with_a_fault_is_refused_by_name_and_the_old_configuration_stays(site: Site) -> None:
    site.pool.configure("ANNEXD_UPDATE_INTERVAL = soon")
    site.wait(lambda: 'ANNEXD_UPDATE_INTERVAL must be a number of at least 1, not "soon"' in site.log(), "the refusal")
    accepted(site.order())
    with site.logged("Reconfigured"):
        site.pool.configure("ANNEXD_UPDATE_INTERVAL = 5 * 60")


@pytest.mark.parametrize(("how", "message"), [("-graceful", "graceful shutdown"), ("-fast", "fast shutdown")])
def test_condor_off_ends_it_with_status_0_and_its_ads_are_withdrawn(site: Site, how: str, message: str) -> None:
    pid = site.pid()
    workers = children(pid)
    site.pool.tool("condor_off", how, "-daemon", "annexd")
    site.wait(lambda: not process_exists(pid), "annexd to end")
    site.wait(lambda: f"The ANNEXD (pid {pid}) exited with status 0" in site.pool.log("MASTER"), "its exit status")
    assert f"Performing {message}" in site.log()
    assert site.ad() is None
    assert site.pool.tool("condor_status", "-generic", "-af", "Name").stdout.strip() == ""
    assert not [worker for worker in workers if process_exists(worker)], "its worker has ended too"


def test_after_kill_9_condor_master_starts_one_new_annexd_and_nothing_of_the_old_one_stays(site: Site) -> None:
    old, starts = site.pid(), site.starts()
    workers = children(old)
    assert workers, "annexd has its worker process"
    site.kill()
    site.wait_for_restart(starts)
    assert site.pid() != old
    site.wait(lambda: not [worker for worker in workers if process_exists(worker)], "the old worker to end")
    accepted(site.order())


def test_a_second_annexd_on_the_same_journal_ends_and_disturbs_nothing(site: Site) -> None:
    second = site.pool.run(sys.executable, "-m", "annexd.service.main", "-t")
    assert second.returncode == 1
    assert "Failed to start" in second.stderr + second.stdout
    file = site.pool.param("ANNEXD_ADDRESS_FILE")
    assert file is not None
    with open(file) as text:
        assert text.readline().strip() == site.address
    accepted(site.order())


def test_condor_preen_leaves_the_journal_alone(site: Site) -> None:
    said = site.pool.tool("condor_preen", "-verbose")
    assert said.returncode == 0, said.stderr
    assert "annexd_command_state" not in "".join(line for line in said.stdout.splitlines() if "Removed" in line), (
        said.stdout
    )
    assert (site.pool.directory / "spool" / "annexd_command_state").exists()


def test_its_ad_counts_requests_successes_and_failures(site: Site) -> None:
    site.order()
    site.cloud.fault("RequestSpotFleet", "denied")
    assert site.order()["Result"] == "Failure"
    successes, failures = (len(re.findall(rf": {result} ", site.log())) for result in ("Success", "Failure"))

    def counted() -> bool:
        ad = site.ad() or {}
        return (ad.get("AnnexRequests"), ad.get("AnnexSuccesses"), ad.get("AnnexFailures")) == (
            successes + failures,
            successes,
            failures,
        )

    site.wait(counted, f"the counts of {successes} successes and {failures} failure, in {site.ad()}")
