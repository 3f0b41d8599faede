"""condor_master's treatment of annexd: flags, restart pauses, timeouts, a hung annexd, and condor_master's death."""

import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from annexd.workflow import Journal
from test.cloud import Cloud
from test.pool import free_port
from test.replies import accepted
from test.system.site import Site, children, process_exists

SECOND = """
DAEMON_LIST = $(DAEMON_LIST) ANNEXD2
DC_DAEMON_LIST = +ANNEXD2
ANNEXD2 = $(ANNEXD)
ANNEXD2.ANNEXD_NAME = second
ANNEXD2.ANNEXD_LOG = $(LOG)/Annexd2Log
ANNEXD2.ANNEXD_COMMAND_STATE = $(SPOOL)/annexd_command_state.second
ANNEXD2.ANNEXD_ADDRESS_FILE = $(LOG)/.second_address
ANNEXD2.ANNEXD_NOT_RESPONDING_TIMEOUT = 5
ANNEXD2.COLLECTOR_HOST = 127.0.0.1:9
ANNEXD2.DAEMON_SHUTDOWN_FAST = False
ANNEXD_LOG = $(LOG)/AnnexdLog
"""
HUNG_S = 100  # condor_master checks for hung children once a minute
HANGING_ORDER = "the-order-of-the-one-that-hangs"


@pytest.fixture(scope="module")
def site(cloud: Cloud) -> Iterator[Site]:
    """Run a site with a second annexd, which hangs in the middle of an order from the start."""
    times = (
        "ANNEXD_UPDATE_INTERVAL = 2\nPARENT_CHECK_FIRST_INTERVAL = 1\nPARENT_CHECK_INTERVAL = 1\n"
        "MASTER_BACKOFF_CEILING = 2\n"
    )
    with Site(cloud, SECOND + times) as site:
        file = site.pool.directory / "log" / ".second_address"
        site.wait(file.exists, "the second annexd")
        cloud.fault("GetFunction", "hang", hang_s=60)
        ad = site.request(CommandID=HANGING_ORDER)
        client = site.start_client(ad, file.read_text().splitlines()[0])
        site.wait(lambda: not cloud.faults(), "its order to meet a hanging call")
        os.kill(pids_of_second(site)[0], signal.SIGSTOP)
        yield site
        client.kill()
        client.wait()


@pytest.fixture(autouse=True)
def _running(site: Site) -> None:
    """Start annexd if the previous test left it stopped."""
    if not process_exists(site.pid()):
        on(site)


def second_log(site: Site) -> str:
    return (site.pool.directory / "log" / "Annexd2Log").read_text()


def pids_of_second(site: Site) -> list[int]:
    """Return the process ID of each start of the second annexd."""
    return [int(pid) for pid in re.findall(r"\*\* PID = (\d+)", second_log(site))]


def restart(site: Site, settings: str) -> None:
    """Change annexd's configuration and have condor_master restart it."""
    starts = site.starts()
    site.pool.configure(settings)
    done = site.pool.tool("condor_restart", "-daemon", "annexd")
    assert done.returncode == 0, done.stderr
    site.wait_for_restart(starts)


def exit_status(site: Site, pid: int, status: int) -> None:
    site.wait(lambda: f"The ANNEXD (pid {pid}) exited with status {status}" in site.pool.log("MASTER"), "its end")


def on(site: Site) -> None:
    starts = site.starts()
    assert site.pool.tool("condor_on", "-daemon", "annexd").returncode == 0
    site.wait_for_restart(starts)


def test_after_each_quick_crash_condor_master_waits_longer(site: Site) -> None:
    before = len(pauses(site))
    for _ in range(2):
        starts = site.starts()
        site.kill()
        site.wait_for_restart(starts)
    found = pauses(site)[before:]
    assert len(found) == 2
    assert found == sorted(set(found)), f"growing pauses, not {found}"
    accepted(site.order())


def pauses(site: Site) -> list[int]:
    """Return condor_master's pause after each end of the first annexd, in s."""
    ends = r"The ANNEXD \(pid .*\n(?:.*obituary.*\n)?.*restarting \S*condor_annexd in (\d+) seconds"
    return [int(seconds) for seconds in re.findall(ends, site.pool.log("MASTER"))]


def test_annexd_args_and_annexd_environment_reach_it(site: Site) -> None:
    port, lock = free_port()
    environment = "_CONDOR_AnnexSite=7 SITE_WORD='a b'"
    restart(site, f'ANNEXD_ARGS = -p {port} -q\nANNEXD_ENVIRONMENT = "{environment}"\nANNEXD_ATTRS = AnnexSite')
    site.wait(lambda: f":{port}?" in site.address and (site.ad() or {}).get("AnnexSite") == 7, "its port and its ad")
    assert b"SITE_WORD=a b" in Path(f"/proc/{site.pid()}/environ").read_bytes().split(b"\0")
    accepted(site.order())
    restart(site, "ANNEXD_ARGS = -sock annexd_by_args\nANNEXD_ENVIRONMENT =\nANNEXD_ATTRS =")
    site.wait(lambda: "sock=annexd_by_args>" in site.address, "its name at condor_shared_port")
    accepted(site.order())
    restart(site, "ANNEXD_ARGS =")
    lock.close()


@pytest.mark.parametrize("how", ["-peaceful", "-force"])
def test_condor_off_peacefully_and_by_force_end_it_with_status_0_and_condor_on_starts_it(site: Site, how: str) -> None:
    pid = site.pid()
    done = site.pool.tool("condor_off", how, "-daemon", "annexd")
    assert done.returncode == 0, done.stderr
    exit_status(site, pid, 0)
    assert re.search(r"Performing (graceful|fast) shutdown", site.log().rpartition("STARTING UP")[2])
    assert not process_exists(pid)
    on(site)


def test_condor_restart_fast_ends_it_fast_and_starts_it(site: Site) -> None:
    starts = site.starts()
    done = site.pool.tool("condor_restart", "-daemon", "annexd", "-fast")
    assert done.returncode == 0, done.stderr
    site.wait_for_restart(starts)
    assert "Performing fast shutdown" in site.log()


def test_when_daemon_shutdown_fast_is_true_it_ends_with_status_99_and_stays_off_until_condor_on(site: Site) -> None:
    pid = site.pid()
    site.pool.configure("ANNEXD.DAEMON_SHUTDOWN_FAST = AnnexStuck == 0")
    exit_status(site, pid, 99)
    assert "Performing fast shutdown" in site.log()
    assert "will not restart automatically" in site.pool.log("MASTER")
    site.pool.configure("ANNEXD.DAEMON_SHUTDOWN_FAST =")
    on(site)


def test_when_shutdown_graceful_timeout_is_over_condor_master_hurries_it_and_it_obeys(site: Site) -> None:
    site.pool.configure("SHUTDOWN_GRACEFUL_TIMEOUT = 2")
    site.cloud.fault("RequestSpotFleet", "hang", hang_s=60)
    site.order_later(CommandID="the-order-that-is-hurried")
    site.wait(lambda: not site.cloud.faults(), "the order to meet its hanging call")
    pid, asked_s = site.pid(), time.monotonic()
    site.pool.tool("condor_off", "-graceful", "-daemon", "annexd")
    exit_status(site, pid, 0)
    assert 2 <= time.monotonic() - asked_s < 50
    assert re.search(r"graceful shutdown(.|\n)*Performing fast shutdown(.|\n)*still in a call to AWS", site.log())
    site.pool.configure("SHUTDOWN_GRACEFUL_TIMEOUT = 1800")
    on(site)


def test_an_annexd_that_cannot_end_is_killed_after_shutdown_fast_timeout_and_its_journal_is_whole(site: Site) -> None:
    site.pool.configure("SHUTDOWN_FAST_TIMEOUT = 2")
    pid = site.pid()
    os.kill(pid, signal.SIGSTOP)
    site.pool.tool("condor_off", "-fast", "-daemon", "annexd")
    site.wait(lambda: not process_exists(pid), "condor_master to kill it")
    site.pool.configure("SHUTDOWN_FAST_TIMEOUT = 300")
    on(site)
    accepted(site.order(CommandID="the-order-that-is-hurried"))


def test_condor_who_and_condor_status_show_it(site: Site) -> None:
    who = site.pool.tool("condor_who", "-daemons").stdout
    assert re.search(rf"^Annexd\s+yes\s+{site.pid()}\b", who, re.MULTILINE | re.IGNORECASE), who
    address = site.pool.tool(
        "condor_status", "-subsystem", "Annexd", "-constraint", 'regexp("^annexd@", Name)', "-af", "MyAddress"
    ).stdout.strip()
    direct = site.pool.tool("condor_status", "-direct", address, "-subsystem", "Annexd", "-af", "Name")
    assert "annexd@" in direct.stdout, direct.stderr


def test_an_annexd_that_hangs_is_killed_and_started_again_and_its_order_goes_on(site: Site) -> None:
    hung = pids_of_second(site)[0]
    site.wait(
        lambda: f"Child pid {hung} appears hung! Killing it hard." in site.pool.log("MASTER"),
        "condor_master to find that it hangs",
        HUNG_S,
    )
    site.wait(lambda: f"Request {HANGING_ORDER} finished: Success" in second_log(site), "its order to go on")
    assert pids_of_second(site)[-1] != hung
    assert (
        len(
            [
                fleet
                for fleet in site.fleets()
                if fleet["config"]["ClientToken"].startswith(annex_of(site, HANGING_ORDER))
            ]
        )
        == 1
    )


def annex_of(site: Site, command_id: str) -> str:
    address = (site.pool.directory / "log" / ".second_address").read_text().splitlines()[0]
    return str(site.order(to=address, CommandID=command_id)["AnnexID"])


def test_when_condor_master_is_killed_annexd_ends_by_itself_and_its_journal_is_whole(site: Site) -> None:
    pid, workers = site.pid(), children(site.pid())
    [master] = re.findall(r"\*\* PID = (\d+)", site.pool.log("MASTER"))
    warden = site.pool._warden
    assert warden is not None
    warden.send_signal(signal.SIGSTOP)  # otherwise it would end the whole pool
    try:
        os.kill(int(master), signal.SIGKILL)
        site.wait(lambda: not process_exists(pid), "annexd to end")
        site.wait(lambda: not [worker for worker in workers if process_exists(worker)], "its worker to end")
        said = site.log()
        Journal(site.pool.directory / "spool" / "annexd_command_state").close()
    finally:
        warden.send_signal(signal.SIGCONT)
    assert re.search(r"Our parent process \(pid \d+\) went away; shutting down fast(.|\n)*EXITING WITH STATUS 0", said)
