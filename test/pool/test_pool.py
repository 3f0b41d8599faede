"""The pool that other tests use starts, responds, and leaves nothing behind."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from test.pool import DOMAIN, NoHTCondorError, Pool, PoolError, find, htcondor
from test.pool.htcondor import TOP
from test.pool.warden import members

DEADLINE_S = 90


@pytest.fixture(scope="module", params=[True, False], ids=["shared-port", "own-ports"])
def pool(request: pytest.FixtureRequest) -> Iterator[Pool]:
    with Pool(shared_port=request.param) as pool:
        yield pool


def test_its_user_is_an_administrator_of_its_daemons(pool: Pool) -> None:
    output = pool.tool("condor_ping", "-addr", pool.address("SCHEDD"), "-table", "ADMINISTRATOR").stdout
    assert "ALLOW" in output
    assert f"@{DOMAIN}" in output


def test_its_daemons_accept_a_token_that_it_signs(pool: Pool) -> None:
    token = pool.directory / "tokens.d" / "alice"
    token.write_text(pool.token("alice"))
    token.chmod(0o600)
    alice = {"_CONDOR_SEC_CLIENT_AUTHENTICATION_METHODS": "IDTOKENS"}
    output = pool.tool("condor_ping", "-addr", pool.address("SCHEDD"), "-table", "READ", env=alice).stdout
    assert f"alice@{DOMAIN}" in output


def test_added_configuration_reaches_the_running_daemons(pool: Pool) -> None:
    pool.configure("SCHEDD_COLOUR = blue")
    schedd = pool.address("SCHEDD")

    def colour() -> bool:
        return "blue" in pool.tool("condor_config_val", "-addr", schedd, "SCHEDD_COLOUR").stdout

    pool.wait_for(colour, "the schedd to know SCHEDD_COLOUR")


def test_a_failure_shows_the_logs(pool: Pool) -> None:
    with pytest.raises(PoolError, match=r"waiting for the impossible(?s:.*)--- SchedLog\n"):
        pool.wait_for(lambda: False, "the impossible", timeout_s=0)


def test_it_ends_with_the_process_that_started_it_even_after_kill_9() -> None:
    script = "from test.pool import Pool; p = Pool(); p.start(); print(p.config_file, flush=True); input()"
    owner = subprocess.Popen([sys.executable, "-c", script], cwd=TOP, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert owner.stdout
    config = owner.stdout.readline().decode().strip()
    assert members(config)
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    _wait_until_gone(config)


def test_stopping_leaves_no_process_and_no_file() -> None:
    with Pool() as pool:
        assert members(str(pool.config_file))
    assert not members(str(pool.config_file))
    assert not pool.directory.exists()


def test_without_htcondor_and_without_a_way_to_get_it_one_message_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(htcondor, "CACHE", tmp_path)
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(NoHTCondorError, match=r"apt-get(?s:.*)cannot be found(?s:.*)Install HTCondor 25") as raised:
        find()
    assert str(raised.value).count("\n") == 1


def _wait_until_gone(config: str) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while (left := members(config)) or Path(config).exists():
        assert time.monotonic() < deadline, f"still running: {left}"
        time.sleep(0.05)
