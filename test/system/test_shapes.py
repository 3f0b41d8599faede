"""The other ways in which annexd runs: on its own port, by hand, in the background, beside a collector that hangs."""

import os
import signal
import socket
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from test.cloud import Cloud
from test.pool import Pool
from test.system.site import Site, children, process_exists

ANNEXD = str(Path(sysconfig.get_path("scripts"), "condor_annexd"))


def test_without_shared_port_it_serves_on_the_inherited_socket(cloud: Cloud) -> None:
    with Site(cloud, shared_port=False) as site:
        assert "sock=" not in site.address
        assert site.order()["Result"] == "Success"
        pid, starts = site.pid(), site.starts()
        os.kill(pid, signal.SIGKILL)
        site.wait_for_restart(starts)
        site.wait(lambda: site.address in site.log().rpartition("STARTING UP")[2], "its new address in its ad")
        assert site.order()["Result"] == "Success"


def test_two_annexds_of_one_condor_master_have_each_their_own_name_journal_and_log(cloud: Cloud) -> None:
    second = "\n".join((
        "DAEMON_LIST = $(DAEMON_LIST) ANNEXD2", "DC_DAEMON_LIST = +ANNEXD2", "ANNEXD2 = $(ANNEXD)",
        "ANNEXD2.ANNEXD_NAME = second", "ANNEXD2.ANNEXD_LOG = $(LOG)/Annexd2Log",
        "ANNEXD2.ANNEXD_COMMAND_STATE = $(SPOOL)/second_state", "ANNEXD2.ANNEXD_ADDRESS_FILE = $(LOG)/.second_address",
        "ANNEXD2.ANNEX_MAX_TARGET_CAPACITY = 1", "ANNEXD_LOG = $(LOG)/AnnexdLog"))
    with Site(cloud, second) as site:
        def names() -> set[str]:
            said = site.pool.tool("condor_status", "-subsystem", "Annexd", "-af", "Name").stdout
            return {name.partition("@")[0] for name in said.split()}

        site.wait(lambda: names() == {"annexd", "second"}, "both ads")
        assert "STARTING UP" in (site.pool.directory / "log" / "Annexd2Log").read_text()
        addresses = [(site.pool.directory / "log" / name).read_text().splitlines()[0]
                     for name in (".annexd_address", ".second_address")]
        assert site.order(to=addresses[0])["Result"] == "Success"
        reply = site.order(to=addresses[1])
        assert "the most allowed here is 1" in reply["ErrorString"], reply


def test_a_collector_that_accepts_and_stays_silent_delays_no_answer(cloud: Cloud) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with Site(cloud, f"ANNEXD.COLLECTOR_HOST = $(COLLECTOR_HOST), 127.0.0.1:{port}") as site:
            started_s = time.monotonic()
            replies = site.send(*[site.request()] * 3)
            elapsed_s = time.monotonic() - started_s
            assert [reply["Result"] for reply, _code in replies if reply] == ["Success"] * 3
            assert elapsed_s < 15, "the bindings wait 20 s for a silent collector"


@pytest.fixture
def pool_without_annexd(cloud: Cloud) -> Iterator[Site]:
    """A site whose condor_master does not start annexd: people do it by hand."""
    site = Site(cloud, "DAEMON_LIST = MASTER COLLECTOR SHARED_PORT SCHEDD\nANNEXD_UPDATE_INTERVAL = 5")
    with site:
        yield site


def by_hand(pool: Pool, *options: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([ANNEXD, *options], env=pool.env, cwd=pool.directory, stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def test_by_hand_in_the_foreground_it_serves_and_ends_on_ctrl_c(pool_without_annexd: Site) -> None:
    site = pool_without_annexd
    annexd = by_hand(site.pool, "-f")
    assert site.order()["Result"] == "Success"
    workers = children(annexd.pid)
    annexd.send_signal(signal.SIGINT)
    output, _ = annexd.communicate(timeout=30)
    assert (annexd.returncode, output) == (0, b"")
    assert site.ad() is None
    assert not [worker for worker in workers if process_exists(worker)]


def test_by_hand_on_the_terminal_it_logs_there(pool_without_annexd: Site) -> None:
    site = pool_without_annexd
    annexd = by_hand(site.pool, "-t", "-p", str(free_port()))
    site.wait(site.ad, "its ad")
    annexd.send_signal(signal.SIGQUIT)
    output, _ = annexd.communicate(timeout=30)
    assert b"STARTING UP" in output
    assert b"performing fast shutdown" in output
    assert not site.log()


def test_by_hand_it_goes_into_the_background_and_leaves_its_pid(pool_without_annexd: Site) -> None:
    site = pool_without_annexd
    started = site.pool.run(ANNEXD, "-pidfile", str(site.pool.directory / "annexd.pid"))
    assert (started.returncode, started.stdout + started.stderr) == (0, "")
    assert site.order()["Result"] == "Success"
    pid = int((site.pool.directory / "annexd.pid").read_text())
    assert pid == site.pid()
    assert os.getsid(pid) == pid
    os.kill(pid, signal.SIGTERM)
    site.wait(lambda: not process_exists(pid), "it to end")
    assert not (site.pool.directory / "annexd.pid").exists()


def test_by_hand_behind_condor_shared_port_under_a_name_and_ended_by_its_pid_file(pool_without_annexd: Site) -> None:
    site = pool_without_annexd
    pid_file = site.pool.directory / "annexd.pid"
    annexd = by_hand(site.pool, "-f", "-sock", "annexd_by_hand", "-pidfile", str(pid_file), "-a", "hand")
    assert site.address.endswith("&sock=annexd_by_hand>")
    assert site.order()["Result"] == "Success"
    assert int(pid_file.read_text()) == annexd.pid
    assert "STARTING UP" in (site.pool.directory / "log" / "AnnexdLog.hand").read_text()
    ended = site.pool.run(ANNEXD, "-k", str(pid_file))
    assert (ended.returncode, ended.stderr) == (0, "")
    assert annexd.wait(timeout=5) == 0
    assert not pid_file.exists()
    assert not (site.pool.directory / "lock" / "daemon_sock" / "annexd_by_hand").exists()
    assert site.pool.run(ANNEXD, "-k", str(pid_file)).returncode == 1


def test_when_daemon_shutdown_is_true_of_its_ad_it_ends_and_is_not_started_again(cloud: Cloud) -> None:
    with Site(cloud, "ANNEXD.DAEMON_SHUTDOWN = AnnexSuccesses >= 1\nANNEXD_UPDATE_INTERVAL = 1") as site:
        assert site.order()["Result"] == "Success"
        site.wait(lambda: f"The ANNEXD (pid {site.pid()}) exited with status 99" in site.pool.log("MASTER"), "its end")
        site.wait(lambda: "will not restart automatically" in site.pool.log("MASTER"), "condor_master to take it so")


@pytest.mark.parametrize(("options", "words"), [
    (["-nonsense"], "unknown option -nonsense"), (["-p", "99999"], "-p needs a TCP port, not 99999"),
    (["-pidfile"], "-pidfile needs a value"), (["-sock", "../x"], "-sock needs a name of letters")])
def test_a_wrong_option_is_named(options: list[str], words: str) -> None:
    said = subprocess.run([ANNEXD, *options], capture_output=True, text=True, check=False)
    assert said.returncode == 1
    assert words in said.stderr


def test_without_its_configuration_it_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "condor_config").write_text("LOG = /tmp\n")
    said = subprocess.run([ANNEXD], env={**os.environ, "CONDOR_CONFIG": str(tmp_path / "condor_config")},
                          capture_output=True, text=True, check=False)
    assert said.returncode == 1
    assert "is config.d/80annexd in place?" in said.stderr


def test_help_and_version_are_printed() -> None:
    said = subprocess.run([ANNEXD, "-help"], capture_output=True, text=True, check=False)
    assert said.returncode == 0
    assert "Usage: condor_annexd" in said.stdout
    said = subprocess.run([sys.executable, "-m", "annexd.daemon.main", "-v"], capture_output=True, text=True,
                          check=False)
    assert "$CondorVersion: " in said.stdout


def test_a_shutdown_waits_only_so_long_for_a_call_that_hangs_and_the_next_start_goes_on(cloud: Cloud) -> None:
    with Site(cloud, "ANNEXD_SHUTDOWN_TIMEOUT = 1") as site:
        ad = site.request(CommandID="the-request-that-hangs")
        cloud.fault("PutTargets", "hang", hang_s=25)
        site.order_later(**ad)
        site.wait(lambda: not cloud.faults(), "the request to meet its hanging call")
        asked_s = time.monotonic()
        site.pool.tool("condor_off", "-daemon", "annexd")
        site.wait(lambda: f"The ANNEXD (pid {site.pid()}) exited with status 0" in site.pool.log("MASTER"), "its end")
        assert time.monotonic() - asked_s < 15
        assert "are still in a call to AWS" in site.log()
        site.pool.tool("condor_on", "-daemon", "annexd")
        site.wait(site.fleets, "the request to go on by itself")
        assert len(site.fleets()) == 1


def test_no_more_requests_are_worked_on_at_once_than_the_knob_says(cloud: Cloud) -> None:
    with Site(cloud, "ANNEXD_MAX_RUNNING_REQUESTS = 2") as site:
        cloud.fault("PutRule", "hang", times=2, hang_s=4)
        slow = [site.order_later() for _ in range(2)]
        site.wait(lambda: not cloud.faults(), "both requests to meet their hanging calls")
        cloud.clear_audit()
        third = site.order_later()
        assert all(later.reply() for later in (*slow, third))
        order = [call.get("operation") for call in cloud.audit()]
        rules = [number for number, operation in enumerate(order) if operation == "PutRule"]
        assert len(rules) == 3
        assert order.index("RequestSpotFleet") < rules[2], "the third waited until one of the first two was done"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])
