"""Other deployments of annexd: on its own port, two of them, and beside a collector that hangs."""

import json
import os
import re
import signal
import socket
import time
from collections.abc import Iterator

import pytest

from test.cloud import Cloud
from test.replies import accepted
from test.system.site import TOP, Site
from test.system.tool import CONDOR_ANNEX
from test.texts import block


def test_without_shared_port_it_serves_on_the_inherited_socket(cloud: Cloud) -> None:
    with Site(cloud, shared_port=False) as site:
        assert "sock=" not in site.address
        accepted(site.order())
        pid, starts = site.pid(), site.starts()
        os.kill(pid, signal.SIGKILL)
        site.wait_for_restart(starts)
        site.wait(lambda: site.address in site.log().rpartition("STARTING UP")[2], "its new address in its ad")
        accepted(site.order())


def names(site: Site) -> set[str]:
    said = site.pool.tool("condor_status", "-subsystem", "Annexd", "-af", "Name").stdout
    return {name.partition("@")[0] for name in said.split()}


def addresses(site: Site) -> list[str]:
    """Return the addresses of both annexds, from their address files."""
    log = site.pool.directory / "log"
    return [(log / name).read_text().splitlines()[0] for name in (".annexd_address", ".annexd2_address")]


def known(site: Site, annexd: str) -> set[str]:
    """Return the IDs of the living annexes in this annexd's own journal; its inventory of AWS has the other's, too."""
    host = site.pool.param("FULL_HOSTNAME")
    shown = site.pool.run(CONDOR_ANNEX, "-name", f"{annexd}@{host}", "-status", "-json")
    assert shown.returncode == 0, shown.stderr
    return {annex["AnnexID"] for annex in json.loads(shown.stdout) if annex["CommandID"] is not None}


@pytest.fixture
def pair(cloud: Cloud) -> Iterator[Site]:
    """Run two annexds; the second one's configuration is the block of docs/operations.md, unchanged."""
    second = block(TOP / "docs" / "operations.md", "ANNEXD2 = ")
    with Site(cloud, f"{second}\nANNEXD2.ANNEX_MAX_TARGET_CAPACITY = 1") as site:
        site.wait(lambda: names(site) == {"annexd", "annexd2"}, "both ads")
        yield site


def test_two_annexds_of_one_condor_master_have_each_their_own_name_journal_and_log(pair: Site) -> None:
    assert "STARTING UP" in (pair.pool.directory / "log" / "Annexd2Log").read_text()
    first, second = addresses(pair)
    accepted(pair.order(to=first))
    reply = pair.order(to=second)
    assert "the most allowed here is 1" in reply["ErrorString"], reply


def test_after_condor_preen_and_condor_restart_both_annexds_know_their_own_annexes(pair: Site) -> None:
    ids = [accepted(pair.order(to=each, TargetCapacity=1))["AnnexID"] for each in addresses(pair)]
    spool = pair.pool.directory / "spool"
    (spool / "rubbish").touch()
    preened = pair.pool.tool("condor_preen", "-r")
    assert preened.returncode == 0, preened.stderr
    assert not (spool / "rubbish").exists(), "condor_preen removed nothing"
    assert {"annexd_command_state", "annexd_command_state.2"} <= {path.name for path in spool.iterdir()}
    logs = [pair.pool.directory / "log" / name for name in ("AnnexdLog", "Annexd2Log")]
    before = [log.read_text().count("STARTING UP") for log in logs]
    pair.pool.tool("condor_restart")
    pair.wait(
        lambda: all(log.read_text().count("STARTING UP") > count for log, count in zip(logs, before, strict=True)),
        "both annexds to start again",
        timeout_s=60,
    )
    pair.wait(lambda: names(pair) == {"annexd", "annexd2"}, "both ads", timeout_s=60)
    assert [known(pair, name) for name in ("annexd", "annexd2")] == [{each} for each in ids]


def test_a_collector_that_accepts_and_stays_silent_delays_no_answer(cloud: Cloud) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with Site(cloud, f"ANNEXD.COLLECTOR_HOST = $(COLLECTOR_HOST), 127.0.0.1:{port}") as site:
            started_s = time.monotonic()
            replies = site.send(*[site.request()] * 3)
            elapsed_s = time.monotonic() - started_s
            assert [reply["Result"] for reply, _code in replies if reply] == ["Success"] * 3
            assert elapsed_s < 20, "the bindings wait 20 s for a silent collector"


def test_when_daemon_shutdown_is_true_of_its_ad_it_ends_and_is_not_started_again(cloud: Cloud) -> None:
    with Site(cloud, "ANNEXD.DAEMON_SHUTDOWN = AnnexSuccesses >= 1\nANNEXD_UPDATE_INTERVAL = 1") as site:
        accepted(site.order())
        site.wait(lambda: f"The ANNEXD (pid {site.pid()}) exited with status 99" in site.pool.log("MASTER"), "its end")
        site.wait(lambda: "will not restart automatically" in site.pool.log("MASTER"), "condor_master to take it so")


def test_a_shutdown_waits_only_so_long_for_a_call_that_hangs_and_the_next_start_goes_on(cloud: Cloud) -> None:
    with Site(cloud, "ANNEXD_SHUTDOWN_TIMEOUT = 1") as site:
        ad = site.request(CommandID="the-request-that-hangs")
        cloud.fault("GetFunction", "hang", hang_s=60)
        site.order_later(**ad)
        site.wait(lambda: not cloud.faults(), "the request to meet its hanging call")
        asked_s = time.monotonic()
        site.pool.tool("condor_off", "-daemon", "annexd")
        site.wait(lambda: f"The ANNEXD (pid {site.pid()}) exited with status 0" in site.pool.log("MASTER"), "its end")
        assert time.monotonic() - asked_s < 50
        assert "are still in a call to AWS" in site.log()
        site.pool.tool("condor_on", "-daemon", "annexd")
        site.wait(site.fleets, "the request to go on by itself")
        assert len(site.fleets()) == 1


def test_no_more_requests_are_worked_on_at_once_than_the_knob_says(cloud: Cloud) -> None:
    with Site(cloud, "ANNEXD_MAX_RUNNING_REQUESTS = 2") as site:
        cloud.fault("RequestSpotFleet", "hang", times=2, hang_s=60)
        slow = [site.order_later() for _ in range(2)]
        site.wait(lambda: not cloud.faults(), "both requests to meet their hanging calls")
        third = site.order_later(CommandID="third")
        site.wait(lambda: (site.ad() or {}).get("AnnexOrdersWaiting") == 1, "the third to wait")
        cloud.end_hangs()
        for later in (*slow, third):
            accepted(later.reply() or {})
        first = re.search(r"Request \S+ .*: Success|Accepted request third", site.log())
        assert first is not None
        assert first[0].endswith("Success"), "the third waited until one of the first two was done"
