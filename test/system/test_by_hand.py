"""annexd started by hand, with DaemonCore's flags, in a pool whose condor_master does not start it."""

import contextlib
import os
import re
import signal
import subprocess
import sysconfig
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from test.cloud import Cloud
from test.pool import free_port
from test.replies import accepted
from test.system.site import Site, children, process_exists

ANNEXD = str(Path(sysconfig.get_path("scripts"), "condor_annexd"))


@pytest.fixture(scope="module")
def pool(cloud: Cloud) -> Iterator[Site]:
    with Site(cloud, "DAEMON_LIST = MASTER COLLECTOR SHARED_PORT SCHEDD\nANNEXD_UPDATE_INTERVAL = 5") as site:
        yield site


@pytest.fixture
def site(pool: Site) -> Site:
    """Return the pool once the annexd of the previous test is gone."""
    pool.wait(lambda: pool.ad() is None, "the last annexd's ad to go")
    return pool


@contextlib.contextmanager
def by_hand(site: Site, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    annexd = subprocess.Popen(
        [ANNEXD, *options],
        env=site.pool.env,
        cwd=site.pool.directory,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        yield annexd
    finally:
        if annexd.poll() is None:
            annexd.send_signal(signal.SIGQUIT)
            annexd.communicate(timeout=30)


def log_of(site: Site, suffix: str) -> str:
    return (site.pool.directory / "log" / f"AnnexdLog.{suffix}").read_text()


def test_in_the_foreground_it_serves_and_ends_on_ctrl_c(site: Site) -> None:
    with by_hand(site, "-f") as annexd:
        accepted(site.order())
        workers = children(annexd.pid)
        annexd.send_signal(signal.SIGINT)
        output, _ = annexd.communicate(timeout=30)
    assert (annexd.returncode, output) == (0, b"")
    assert site.ad() is None
    assert not [worker for worker in workers if process_exists(worker)]


def test_on_the_terminal_it_logs_there_and_nowhere_else(site: Site) -> None:
    before = site.log()
    port, lock = free_port()
    with lock, by_hand(site, "-t", "-p", str(port)) as annexd:
        assert f":{port}?" in site.address
        annexd.send_signal(signal.SIGQUIT)
        output, _ = annexd.communicate(timeout=30)
    assert b"STARTING UP" in output
    assert b"Performing fast shutdown" in output
    assert site.log() == before


def test_it_goes_into_the_background_and_leaves_its_pid(site: Site) -> None:
    pid_file = site.pool.directory / "log" / "by-hand.pid"
    started = site.pool.run(ANNEXD, "-pidfile", pid_file.name)
    assert (started.returncode, started.stdout + started.stderr) == (0, "")
    accepted(site.order())
    pid = int(pid_file.read_text())
    assert pid == site.pid()
    assert os.getsid(pid) == pid
    os.kill(pid, signal.SIGTERM)
    site.wait(lambda: not process_exists(pid), "it to end")
    assert not pid_file.exists()


def test_behind_condor_shared_port_under_a_name_and_ended_by_its_pid_file(site: Site) -> None:
    pid_file = site.pool.directory / "annexd.pid"
    with by_hand(site, "-f", "-sock", "annexd_by_hand", "-pidfile", str(pid_file), "-a", "hand") as annexd:
        assert site.address.endswith("&sock=annexd_by_hand>")
        accepted(site.order())
        assert int(pid_file.read_text()) == annexd.pid
        assert "STARTING UP" in log_of(site, "hand")
        ended = site.pool.run(ANNEXD, "-k", str(pid_file))
        assert (ended.returncode, ended.stderr) == (0, "")
        assert annexd.wait(timeout=30) == 0
    assert not pid_file.exists()
    assert not (site.pool.directory / "lock" / "daemon_sock" / "annexd_by_hand").exists()
    assert site.pool.run(ANNEXD, "-k", str(pid_file)).returncode == 1


def test_with_runfor_it_shuts_down_gracefully_after_that_time(site: Site) -> None:
    started_s = time.monotonic()
    with by_hand(site, "-f", "-runfor", "0.05", "-a", "runfor") as annexd:
        assert annexd.wait(timeout=30) == 0
        assert time.monotonic() - started_s >= 3
    assert "Will shut down gracefully in 0.05 minutes (-runfor)" in log_of(site, "runfor")
    assert "Performing graceful shutdown" in log_of(site, "runfor")


def test_with_dynamic_its_log_and_its_journal_are_in_folders_of_its_own(site: Site) -> None:
    with by_hand(site, "-f", "-dynamic") as annexd:
        accepted(site.order())
        log, spool = (next(site.pool.directory.glob(f"{name}.*-{annexd.pid}")) for name in ("log", "spool"))
        assert re.fullmatch(rf"log\.127\.0\.0\.1-{annexd.pid}", log.name)
        assert "with -dynamic this process has private directories" in (log / "AnnexdLog").read_text()
        assert (spool / "annexd_command_state").exists()
        assert (log / ".annexd_address").read_text().startswith(site.address)


def test_with_a_log_folder_of_its_own_it_makes_it_and_without_a_log_it_serves_too(site: Site) -> None:
    folder = site.pool.directory / "other-log"
    with by_hand(site, "-f", "-l", str(folder)):
        site.wait(site.ad, "its ad")
        assert "STARTING UP" in (folder / "AnnexdLog").read_text()
    site.wait(lambda: site.ad() is None, "its ad to go")
    before = site.log()
    with by_hand(site, "-f", "-ld"):
        accepted(site.order())
    assert site.log() == before


def test_another_configuration_file_and_a_local_name_are_read(site: Site) -> None:
    other = site.pool.directory / "other_config"
    other.write_text(
        f"include : {site.pool.config_file}\nOTHER.ANNEXD_NAME = other\n"
        f"OTHER.ANNEXD_COMMAND_STATE = $(SPOOL)/annexd_command_state.other\n"
    )
    with by_hand(site, "-f", "-c", str(other), "-local-name", "OTHER"):
        site.wait(lambda: (site.ad() or {}).get("Name", "").startswith("other@"), "the ad of that name")
        assert (site.pool.directory / "spool" / "annexd_command_state.other").exists()


def test_a_parent_that_had_neither_a_port_nor_a_socket_for_it_is_reached_through_shared_port(site: Site) -> None:
    """condor_master passes such an address to daemons that it starts before condor_shared_port has a port."""
    said = site.pool.tool("condor_status", "-master", "-af", "MyAddress").stdout
    [master_id] = re.findall(r"sock=(master_[0-9a-f_]+)", said)
    before = site.pool.log("MASTER").count("Received child alive command from unknown pid")
    env = {**site.pool.env, "CONDOR_INHERIT": f"{os.getpid()} <127.0.0.1:0?alias=vm&sock={master_id}> 0 0 "}
    annexd = subprocess.Popen([ANNEXD, "-sock", "annexd_orphan"], env=env, stdin=subprocess.DEVNULL)
    try:
        assert site.address.endswith("&sock=annexd_orphan>")
        accepted(site.order())
        site.wait(
            lambda: site.pool.log("MASTER").count("Received child alive command from unknown pid") > before,
            "its keepalive at condor_master, which is not its parent",
        )
    finally:
        annexd.send_signal(signal.SIGTERM)
        assert annexd.wait(timeout=30) == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [(["-nonsense"], "unknown option -nonsense"), (["-r", "soon"], "-r (-runfor) needs a number of minutes above 0")],
)
def test_a_wrong_option_is_named(options: list[str], message: str) -> None:
    said = subprocess.run([ANNEXD, *options], capture_output=True, text=True, check=False)
    assert said.returncode == 1
    assert message in said.stderr


def test_without_its_configuration_it_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "condor_config").write_text("LOG = /tmp\n")
    said = subprocess.run(
        [ANNEXD],
        env={**os.environ, "CONDOR_CONFIG": str(tmp_path / "condor_config")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.returncode == 1
    assert "is config.d/80annexd installed?" in said.stderr
