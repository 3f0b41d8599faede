"""condor_annex while annexd is killed, stopped or silent: the user gets the outcome, or the command to query it."""

from __future__ import annotations

import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from annexd.tool.errors import COMMUNICATION, INTERRUPTED, OK, TERMINATED
from test.cloud import Cloud
from test.system.site import REQUEST, Site, process_exists

TOOL = (sys.executable, "-m", "annexd.tool.main")
HANG_S = 120.0
ENDS_WITHIN_S = 60.0


@dataclass
class Client:
    """A condor_annex in a process of its own, as in a user's shell."""

    site: Site
    process: subprocess.Popen[str]

    @classmethod
    def order(cls, site: Site, *options: str) -> Client:
        """Start an order whose call to AWS hangs for a while; return once annexd has accepted it."""
        site.wait(lambda: is_up(site), "annexd")
        site.cloud.fault("RequestSpotFleet", "hang", hang_s=HANG_S)
        before = site.log().count("Accepted request")
        keys = ("-access", site.public_key_file, "-secret", site.secret_key_file)
        client = cls.start(site, "-lease-duration", "1h", "-count", "1", *keys, *options, str(REQUEST))
        site.wait(lambda: site.log().count("Accepted request") > before, "annexd to accept the order")
        return client

    @classmethod
    def start(cls, site: Site, *arguments: str) -> Client:
        pipe = subprocess.PIPE
        return cls(site, subprocess.Popen([*TOOL, *arguments], env=site.pool.env, text=True, stdout=pipe, stderr=pipe))

    def end(self) -> tuple[int, str, str]:
        """Wait for the end; return status, standard output and standard error."""
        out, err = self.process.communicate(timeout=2 * ENDS_WITHIN_S)
        return self.process.returncode, out.strip(), err


@pytest.fixture(params=[True, False], ids=["behind shared port", "on a port of its own"])
def any_site(request: pytest.FixtureRequest, cloud: Cloud) -> Iterator[Site]:
    with Site(cloud, shared_port=request.param) as site:
        yield site


def is_up(site: Site) -> bool:
    return process_exists(site.pid()) and "Command socket at" in site.log().rpartition("STARTING UP")[2]


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def master_of(site: Site) -> int:
    return int(re.findall(r"\*\* PID = (\d+)", site.pool.log("MASTER"))[-1])


def ask_as_told(site: Site, err: str) -> tuple[int, str, str]:
    """Run the command that condor_annex printed, with a timeout long enough for a busy host."""
    [command] = re.findall(r"to see the outcome: (condor_annex .*)$", err, re.MULTILINE)
    patient = re.sub(r"-timeout \d+", f"-timeout {ENDS_WITHIN_S:.0f}", command)
    return Client.start(site, *shlex.split(patient)[1:]).end()


def fleets_of(site: Site) -> list[str]:
    return [fleet["id"] for fleet in site.fleets()]


def test_the_user_of_an_annexd_that_is_killed_and_started_again_gets_the_request_id(any_site: Site) -> None:
    client = Client.order(any_site)
    any_site.kill()
    any_site.cloud.clear_faults()  # if annexd has not reached its call
    status, out, err = client.end()
    assert (status, [out]) == (OK, fleets_of(any_site)), err
    assert "asking again by its command ID" in err


def test_a_restart_by_the_administrator_costs_the_user_nothing(site: Site) -> None:
    before = set(fleets_of(site))
    client = Client.order(site)
    assert site.pool.tool("condor_restart", "-fast", "-daemon", "annexd").returncode == 0
    site.cloud.clear_faults()
    status, out, err = client.end()
    assert (status, {out}) == (OK, set(fleets_of(site)) - before), err


@pytest.mark.parametrize("way", ["dead", "silent"])
def test_an_annexd_that_does_not_come_back_in_time_leaves_the_command_that_asks(site: Site, way: str) -> None:
    before, starts = set(fleets_of(site)), site.starts()
    client = Client.order(site, "-timeout", "12")
    with stopped(master_of(site) if way == "dead" else site.pid()):
        if way == "dead":
            site.kill()
            site.cloud.clear_faults()
        status, out, err = client.end()
    assert (status, out) == (COMMUNICATION, ""), err
    assert "annexd may have accepted the order" in err
    if way == "dead":
        site.wait_for_restart(starts)
    else:
        site.cloud.end_hangs()
    status, out, err = ask_as_told(site, err)
    assert (status, {out}) == (OK, set(fleets_of(site)) - before), err


@pytest.mark.parametrize(("signo", "expected"), [(signal.SIGINT, INTERRUPTED), (signal.SIGTERM, TERMINATED)])
def test_an_interrupted_client_says_how_to_ask_and_the_order_goes_on(site: Site, signo: int, expected: int) -> None:
    before = set(fleets_of(site))
    client = Client.order(site)
    client.process.send_signal(signo)
    status, out, err = client.end()
    assert (status, out) == (expected, ""), err
    assert "Traceback" not in err
    site.cloud.end_hangs()
    status, out, err = ask_as_told(site, err)
    assert (status, {out}) == (OK, set(fleets_of(site)) - before), err


@pytest.mark.parametrize("gap_s", [0.0, 0.0002, 0.001, 0.005])
def test_a_second_signal_does_not_cut_off_the_message(site: Site, gap_s: float) -> None:
    client = Client.order(site)
    client.process.send_signal(signal.SIGINT)
    end_s = time.perf_counter() + gap_s
    while time.perf_counter() < end_s:
        pass
    client.process.send_signal(signal.SIGINT)
    status, _, err = client.end()
    assert (status, "-command-id" in err, "Traceback" in err) == (INTERRUPTED, True, False), err
    site.cloud.end_hangs()
    assert ask_as_told(site, err)[0] == OK  # the order is done before the next test


@pytest.mark.parametrize(("signo", "expected"), [(signal.SIGINT, INTERRUPTED), (signal.SIGTERM, TERMINATED)])
def test_a_client_that_is_interrupted_before_it_sent_anything_says_that_nothing_changed(
    site: Site, signo: int, expected: int
) -> None:
    before, file = fleets_of(site), site.pool.directory / f"config-{signo}.fifo"
    os.mkfifo(file)
    client = Client.start(site, "-lease-duration", "1h", str(file))
    with file.open("w"):  # which waits until the client reads
        client.process.send_signal(signo)
        status, _, err = client.end()
    assert (status, "nothing was ordered" in err) == (expected, True), err
    assert fleets_of(site) == before


def test_a_cancellation_that_annexd_accepted_before_it_was_killed_is_answered(site: Site) -> None:
    site.wait(lambda: is_up(site), "annexd")
    reply = site.order()
    site.cloud.fault("CreateTags", "hang", hang_s=HANG_S)
    client = Client.start(site, "-cancel", str(reply["AnnexID"]))
    site.wait(lambda: not site.cloud.faults(), "annexd to carry it out")
    site.kill()
    status, out, err = client.end()
    assert (status, "is cancelled" in out) == (OK, True), err


def test_nothing_is_asked_a_second_time_where_nothing_was_sent(site: Site) -> None:
    with stopped(master_of(site)):
        site.kill()
        client = Client.start(
            site,
            "-lease-duration",
            "1h",
            "-access",
            site.public_key_file,
            "-secret",
            site.secret_key_file,
            str(REQUEST),
        )
        status, _, err = client.end()
    assert status == COMMUNICATION, err
    assert "-command-id" not in err


def test_a_command_that_one_annexd_may_have_is_sent_to_no_other(site: Site) -> None:
    """A second real annexd would order again; here a listener detects whether the client connects to it."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        other.setblocking(False)
        address = f"<127.0.0.1:{other.getsockname()[1]}>"
        advertised = f'MyType = "Annexd"\nName = "annexd@other"\nMyAddress = "{address}"\n'
        assert site.pool.tool("condor_advertise", "UPDATE_AD_GENERIC", "-", stdin=advertised).returncode == 0
        client = Client.order(site, "-timeout", "15")
        assert site.pool.tool("condor_off", "-fast", "-daemon", "annexd").returncode == 0
        status, _, err = client.end()
        with pytest.raises(BlockingIOError):
            other.accept()
    assert (status, "-command-id" in err) == (COMMUNICATION, True), err
    assert site.pool.tool("condor_on", "-daemon", "annexd").returncode == 0
