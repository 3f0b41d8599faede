"""On a real pool, a session ID alone permits nothing, and HTCondor's own clients lose no call because of that."""

import json
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from annexd.cedar.classad import Scalar
from annexd.cedar.commands import COMMANDS, CONFIG_VAL, DC_AUTHENTICATE, DC_NOP_ADMINISTRATOR, DC_SEC_QUERY
from annexd.daemoncore.sinful import Sinful
from test.attack.target import WireClient, read_all
from test.bench.wire import CommandSocket
from test.cloud import Cloud
from test.system.site import Site
from test.system.wire import Wire

# Sends one order for each line of input, in a session that it keeps.
ORDERING = """
import classad2, json, sys
from htcondor2 import htcondor2_impl
for line in sys.stdin:
    address, ad = json.loads(line)
    print(htcondor2_impl._send_generic_payload_command(address, 1000, classad2.ClassAd(ad)._handle)[1], flush=True)
"""
# Sends commands with and without a message from one process, which resumes its sessions where it can.
MIXED = """
import classad2, htcondor2, json, sys
from htcondor2 import htcondor2_impl
address, order = json.load(sys.stdin)
daemon = classad2.ClassAd({"MyAddress": address, "MyType": "Generic"})
remote = htcondor2.RemoteParam(daemon)
def reconfigure(): htcondor2.send_command(daemon, htcondor2.DaemonCommands.Reconfig)
def say_how_to_end(): htcondor2.send_command(daemon, htcondor2.DaemonCommands.SetPeacefulShutdown)
def send_order(): return htcondor2_impl._send_generic_payload_command(address, 1000, classad2.ClassAd(order)._handle)
def give_order(): assert send_order()[1] == 0
def ask_for_knob(): assert remote["LOCAL_DIR"]
def ask_for_ads(): assert htcondor2.Collector(daemon).query(htcondor2.AdType.Generic)
def ping(): assert htcondor2.ping(address, "ADMINISTRATOR")["AuthorizationSucceeded"]
for act in (reconfigure, reconfigure, give_order, reconfigure, give_order, ask_for_knob, reconfigure, ask_for_knob,
            ping, ping, reconfigure, say_how_to_end, say_how_to_end, ask_for_ads, reconfigure, ask_for_ads, give_order):
    act()
    print(act.__name__, flush=True)
"""
CONFIG = "ANNEXD_DEBUG = D_SECURITY"
RECONFIGURES = 6
NO_EFFECT = re.compile(r"Reconfigured|shutdown|PERMISSION DENIED|PERMISSION GRANTED| from \S+@\S+ at ")
UNPROVED = "in a resumed session: it cannot prove the session"


@pytest.fixture(scope="module", params=[True, False], ids=["shared port", "own port"])
def site(cloud: Cloud, request: pytest.FixtureRequest) -> Iterator[Site]:
    with Site(cloud, CONFIG, shared_port=request.param) as site:
        yield site


def session_ids(client: "Customer", wire: Wire) -> set[str]:
    """Order twice; return the session IDs that a network observer sees."""
    for _ in range(2):
        assert client.order(wire.address) == 0
    assert len(wire.session_ids()) == 1
    return wire.session_ids()


class Customer:
    """HTCondor's bindings in a process that keeps running."""

    def __init__(self, site: Site, env: dict[str, str]) -> None:
        self._ad = site.request(EndOfLease=1)
        self._process = subprocess.Popen(
            [sys.executable, "-c", ORDERING],
            env={**site.pool.env, **env},
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def order(self, address: str) -> int:
        """Send one order; return the bindings' code, where 0 means a reply."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([address, self._ad]) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def leave(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()


def inherited_ids(site: Site) -> set[str]:
    """Return the IDs of annexd's sessions inherited from condor_master; HTCondor's daemons send them in clear."""
    environment = Path(f"/proc/{site.pid()}/environ").read_bytes().split(b"\0")
    [private] = [each for each in environment if each.startswith(b"CONDOR_PRIVATE_INHERIT=")]
    found = re.findall(rb"(?:Family)?SessionKey:([^# ]+)#\[", private)
    return {each.decode() for each in found}


def command_socket(site: Site) -> CommandSocket:
    address = Sinful.parse(site.address)
    return CommandSocket(address.host, address.port, address.parameter("sock"))


def try_every_command(site: Site, session_id: str) -> None:
    """Try every command with a session ID alone: sent directly, and as the subject of a query like condor_ping's."""
    for number in COMMANDS:
        for carrier in (None, DC_SEC_QUERY, DC_AUTHENTICATE):
            with command_socket(site).connect() as connected:
                thief = WireClient(connected)
                ad: dict[str, Scalar] = {
                    "Command": carrier or number,
                    "AuthCommand": number,
                    "UseSession": "YES",
                    "Sid": session_id,
                    "CryptoMethods": "AES",
                    "ResumeResponse": True,
                }
                thief.send_message(thief.message().integer(DC_AUTHENTICATE).ad(ad))
                connected.shutdown(socket.SHUT_WR)
                assert b"ReturnCode" in read_all(connected)


def test_knowing_the_session_id_of_a_tokens_user_permits_nothing_and_does_not_disturb_the_user(site: Site) -> None:
    client = Customer(site, with_token(site))
    with Wire(site.address) as wire:
        ids = session_ids(client, wire)
        check_that_nothing_happens(site, ids)
        assert client.order(wire.address) == 0
        assert wire.session_ids() == ids, "still in the same session"
    client.leave()


def test_knowing_the_session_id_of_an_fs_user_permits_nothing_and_does_not_disturb_the_user(site: Site) -> None:
    """Since 25.13 a relay cannot listen to the bindings' FS, because they name the port that they dialled."""
    owner = WireClient(command_socket(site).connect()).session(DC_NOP_ADMINISTRATOR)
    owner.close()
    check_that_nothing_happens(site, {owner.sid})
    again = WireClient(command_socket(site).connect()).resume(owner.sid, owner.key, CONFIG_VAL)
    again.send_message(again.message().string("LOCAL_DIR"))
    assert again.receive_message().string() == str(site.pool.directory)
    again.close()


def with_token(site: Site) -> dict[str, str]:
    folder = site.pool.directory / "customer"
    folder.mkdir(mode=0o700, exist_ok=True)
    (folder / "token").touch(mode=0o600)
    (folder / "token").write_text(site.pool.token("condor") + "\n")
    return {"_CONDOR_SEC_TOKEN_DIRECTORY": str(folder), "_CONDOR_SEC_CLIENT_AUTHENTICATION_METHODS": "IDTOKENS"}


def test_knowing_the_id_of_an_inherited_session_permits_nothing(site: Site) -> None:
    ids = inherited_ids(site)
    assert any(each.startswith("family:") for each in ids)
    check_that_nothing_happens(site, ids)


def check_that_nothing_happens(site: Site, ids: set[str]) -> None:
    pid, starts, before = site.pid(), site.starts(), len(site.log())
    for session_id in ids:
        try_every_command(site, session_id)
    assert site.pool.tool("condor_ping", "-addr", site.address, "READ").returncode == 0
    said = [line for line in site.log()[before:].splitlines() if "DC_NOP_READ" not in line]
    assert UNPROVED in "\n".join(said)
    assert [line for line in said if NO_EFFECT.search(line)] == []
    assert (site.pid(), site.starts()) == (pid, starts)


def test_one_process_gives_commands_with_and_without_a_message_in_any_order(site: Site) -> None:
    before = len(site.log())
    done = site.pool.run(sys.executable, "-c", MIXED, stdin=json.dumps([site.address, site.request(EndOfLease=1)]))
    assert done.returncode == 0, done.stdout + done.stderr + site.log()[before:]
    site.wait(lambda: site.log()[before:].count("Reconfigured") == RECONFIGURES, "each reconfig to be carried out")
    said = site.log()[before:]
    assert len(re.findall(r"DC_RECONFIG from \S+ at \S+$", said, re.MULTILINE)) == RECONFIGURES
    assert said.count("(DC_SET_PEACEFUL_SHUTDOWN)") == 2
    assert UNPROVED not in said


def test_no_tool_of_htcondors_names_a_session_for_a_command_without_a_message(site: Site) -> None:
    before = len(site.log())
    address = site.address
    for arguments in (
        ("condor_ping", "-addr", address, "-table", "READ", "ADMINISTRATOR", "DAEMON"),
        ("condor_ping", "-addr", address, "DC_RECONFIG", "CA_AUTH_CMD"),
        ("condor_config_val", "-addr", address, "LOCAL_DIR"),
        ("condor_config_val", "-addr", address, "-verbose", "LOCAL_DIR", "SPOOL"),
        ("condor_config_val", "-addr", address, "-summary"),
        ("condor_fetchlog", address, "ANNEXD"),
        ("condor_reconfig", "-addr", address),
        ("condor_reconfig", "-daemon", "annexd"),
        ("condor_who", "-daemons"),
        ("condor_who", "-daemons", "-diagnostic"),
        ("condor_off", "-peaceful", "-addr", address),
    ):
        for _ in range(2):
            done = site.pool.tool(*arguments)
            assert done.returncode == 0, (arguments, done.stdout, done.stderr)
            assert "no cmd map" not in done.stdout, arguments
    assert UNPROVED not in site.log()[before:]


@pytest.mark.parametrize(
    "arguments",
    [
        ["condor_off", "-graceful", "-addr", "ADDRESS"],
        ["condor_off", "-fast", "-addr", "ADDRESS"],
        ["condor_restart", "-daemon", "annexd"],
        ["condor_restart", "-fast", "-daemon", "annexd"],
    ],
    ids=" ".join,
)
def test_tools_end_and_restart_it_twice_in_a_row(site: Site, arguments: list[str]) -> None:
    for _ in range(2):
        starts, before = site.starts(), len(site.log())
        done = site.pool.tool(*(site.address if each == "ADDRESS" else each for each in arguments))
        assert done.returncode == 0, done.stderr
        site.wait_for_restart(starts)
        site.wait(lambda: site.pool.tool("condor_ping", "-addr", site.address, "READ").returncode == 0, "it to answer")
        assert UNPROVED not in site.log()[before:]
