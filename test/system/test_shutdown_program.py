"""condor_set_shutdown sets the program that condor_master executes at its end; by then annexd has ended cleanly."""

import re
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from annexd.workflow import Journal
from test.pool import ANNEXD_CONFIG, Pool

DAEMONS = ("MASTER", "COLLECTOR", "SHARED_PORT", "SCHEDD", "ANNEXD")
CONFIG = """
MASTER_SHUTDOWN_FAREWELL = $(LOCAL_DIR)/farewell
ANNEXD_DEBUG = D_SECURITY
"""
# $$ is condor_master's process, which ends its daemons and then executes this program.
FAREWELL = """#!/bin/sh
cp "{directory}/log/AnnexdLog" "{directory}/log_at_the_end"
echo $$ > "{directory}/farewell.new" && mv "{directory}/farewell.new" "{directory}/said"
"""
END_S = 60


@pytest.fixture
def pool() -> Iterator[Pool]:
    with tempfile.TemporaryDirectory(prefix="annexd-pool-", dir="/tmp") as directory:
        path = Path(directory)
        with Pool(ANNEXD_CONFIG + CONFIG, daemons=DAEMONS, directory=path) as pool:
            (path / "farewell").write_text(FAREWELL.format(directory=path))
            (path / "farewell").chmod(0o755)
            yield pool


def test_condor_set_shutdown_sets_the_program_that_follows_annexd(pool: Pool) -> None:
    master, annexd = (int(re.findall(r"\*\* PID = (\d+)", pool.log(daemon))[-1]) for daemon in ("MASTER", "ANNEXD"))
    done = pool.tool("condor_set_shutdown", "-exec", "farewell")
    assert done.returncode == 0, done.stderr
    assert "SET_SHUTDOWN" not in pool.log("ANNEXD"), "it is condor_master's business"
    assert pool.tool("condor_off", "-master").returncode == 0
    said = pool.directory / "said"
    until_s = time.monotonic() + END_S
    while not said.exists() and time.monotonic() < until_s:
        time.sleep(0.05)
    assert said.read_text().split() == [str(master)], pool.log("MASTER")[-2000:]
    assert re.search(
        r"Performing graceful shutdown(.|\n)*EXITING WITH STATUS 0", (pool.directory / "log_at_the_end").read_text()
    )
    assert not Path(f"/proc/{annexd}").exists()
    Journal(pool.directory / "spool" / "annexd_command_state").close()
