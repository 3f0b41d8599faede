"""HTCondor's own tools and bindings as clients get the same responses as from the pool's schedd."""

import getpass
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from test.cloud import Cloud
from test.parity.lists import LEVELS as CONFIGURED_LEVELS
from test.pool import DOMAIN
from test.system.site import Site

LEVELS = ("ALLOW", *CONFIGURED_LEVELS)
CLIENTS = {
    "by default": {},
    "FS only": {"_CONDOR_SEC_CLIENT_AUTHENTICATION_METHODS": "FS"},
    "IDTOKENS only": {"_CONDOR_SEC_CLIENT_AUTHENTICATION_METHODS": "IDTOKENS"},
    "a method that neither has": {"_CONDOR_SEC_CLIENT_AUTHENTICATION_METHODS": "MUNGE"},
    "no authentication": {"_CONDOR_SEC_CLIENT_AUTHENTICATION": "NEVER"},
    "no encryption": {"_CONDOR_SEC_CLIENT_ENCRYPTION": "NEVER", "_CONDOR_SEC_CLIENT_INTEGRITY": "NEVER"},
    "encryption preferred": {"_CONDOR_SEC_CLIENT_ENCRYPTION": "PREFERRED"},
}


@pytest.fixture(scope="module")
def site(cloud: Cloud) -> Iterator[Site]:
    with Site(cloud, "ANNEXD_DEBUG = D_SECURITY\nDENY_WRITE = mallory@*") as site:
        for user in (getpass.getuser(), "alice", "mallory"):
            token = Path(site.pool.directory, f"{user}.token")
            token.touch(mode=0o600)
            token.write_text(site.pool.token(f"{user}@{DOMAIN}") + "\n")
        yield site


def with_token(site: Site, user: str) -> dict[str, str]:
    """Return the environment of a client with this user's token and no other credentials."""
    folder = Path(site.pool.directory, f"tokens-{user}")
    folder.mkdir(mode=0o700, exist_ok=True)
    token = folder / "token"
    token.touch(mode=0o600)
    token.write_text(Path(site.pool.directory, f"{user}.token").read_text())
    return {"_CONDOR_SEC_TOKEN_DIRECTORY": str(folder), "_CONDOR_SEC_CLIENT_AUTHENTICATION_METHODS": "IDTOKENS"}


def table(site: Site, daemon: str, env: dict[str, str]) -> str:
    said = site.pool.tool("condor_ping", "-addr", site.pool.address(daemon), "-table", *LEVELS, env=env)
    return re.sub(r"\s+\(use -verbose for more info\)", "", said.stdout)


@pytest.mark.parametrize("client", CLIENTS)
def test_condor_ping_gets_the_schedds_answers_at_every_level(site: Site, client: str) -> None:
    annexd, schedd = table(site, "ANNEXD", CLIENTS[client]), table(site, "SCHEDD", CLIENTS[client])
    assert annexd == schedd
    assert all(level in annexd for level in LEVELS)


@pytest.mark.parametrize("user", ["alice", "mallory"])
def test_condor_ping_with_a_token_gets_the_schedds_answers(site: Site, user: str) -> None:
    env = with_token(site, user)
    annexd = table(site, "ANNEXD", env)
    assert annexd == table(site, "SCHEDD", env)
    assert f"{user}@{DOMAIN}" in annexd


def test_a_bad_token_falls_back_to_fs(site: Site) -> None:
    env = with_token(site, "alice")
    folder = Path(env["_CONDOR_SEC_TOKEN_DIRECTORY"]).with_name("tokens-bad")
    folder.mkdir(mode=0o700)
    good = Path(env["_CONDOR_SEC_TOKEN_DIRECTORY"], "token").read_text().strip()
    (folder / "token").touch(mode=0o600)
    (folder / "token").write_text(good[:-6] + "AAAAAA\n")
    env = {"_CONDOR_SEC_TOKEN_DIRECTORY": str(folder), "_CONDOR_SEC_CLIENT_AUTHENTICATION_METHODS": "IDTOKENS,FS"}
    annexd = table(site, "ANNEXD", env)
    assert "FS" in annexd
    assert annexd == table(site, "SCHEDD", env)


def orders_granted(site: Site) -> int:
    return len(re.findall(r"PERMISSION GRANTED .* \(CA_AUTH_CMD\)", site.log()))


@pytest.mark.parametrize("method", ["FS", "IDTOKENS"])
def test_a_new_and_a_resumed_session_carry_orders(site: Site, method: str) -> None:
    with site.logged("Reconfigured"):
        site.pool.tool("condor_reconfig", "-daemon", "annexd")
    ad = site.request()
    granted = orders_granted(site)
    env = with_token(site, getpass.getuser()) if method == "IDTOKENS" else CLIENTS["FS only"]
    replies = site.send(ad, ad, ad, env=env)
    assert [reply["Result"] for reply, _code in replies if reply] == ["Success"] * 3
    assert len({reply["BulkRequestID"] for reply, _code in replies if reply}) == 3
    assert orders_granted(site) == granted + 3, "each command of a session is authorized again"


def test_a_user_without_the_right_to_order_gets_the_reason_and_causes_no_calls(site: Site) -> None:
    fleets = len(site.fleets())
    [(reply, code)] = site.send(site.request(), env=with_token(site, "alice"))
    assert reply is None
    assert code == 1
    assert re.search(
        rf"PERMISSION DENIED to alice@{DOMAIN} from .* for command 1000 \(CA_AUTH_CMD\), access level "
        "ANNEX: reason: ALLOW_ANNEX is not defined, and nothing that implies ANNEX is granted",
        site.log(),
    )
    assert len(site.fleets()) == fleets


def test_allow_administrator_annexd_opens_it_for_annexd_alone(site: Site) -> None:
    site.pool.configure(f"ALLOW_ADMINISTRATOR_ANNEXD = $(ALLOW_ADMINISTRATOR), alice@{DOMAIN}")
    env = with_token(site, "alice")
    site.wait(lambda: "ADMINISTRATOR       IDTOKENS" in table(site, "ANNEXD", env), "the new list to count")
    assert "ADMINISTRATOR           FAIL" in table(site, "SCHEDD", env)


def test_one_user_cannot_ask_for_anothers_request(site: Site) -> None:
    site.pool.configure(f"ALLOW_ADMINISTRATOR_ANNEXD = $(ALLOW_ADMINISTRATOR), alice@{DOMAIN}")
    ad = site.request(CommandID="the-request-of-nobody")
    alice = with_token(site, "alice")
    site.wait(lambda: "ADMINISTRATOR       IDTOKENS" in table(site, "ANNEXD", alice), "the new list to count")
    [(first, _)] = site.send(ad)
    [(second, _)] = site.send(ad, env=alice)
    assert first is not None
    assert second is not None
    assert (first["Result"], second["Result"]) == ("Success", "NotAuthorized")
    assert first["BulkRequestID"] not in json.dumps(second)


def test_the_bindings_ping_and_send_commands(site: Site) -> None:
    program = """
import htcondor2, classad2, json, sys
address = sys.argv[1]
print(htcondor2.ping(address, "ADMINISTRATOR")["AuthMethods"])
ad = classad2.ClassAd({"MyAddress": address, "MyType": "Generic"})
htcondor2.send_command(ad, htcondor2.DaemonCommands.Reconfig)
"""
    with site.logged("Reconfigured"):
        said = site.pool.run(sys.executable, "-c", program, site.address)
        assert said.stdout.strip() == "FS", said.stderr


def test_after_a_restart_a_stale_session_costs_one_retry(site: Site) -> None:
    program = """
import classad2, json, sys
from htcondor2 import htcondor2_impl
address, ad = json.load(sys.stdin)
send = lambda: htcondor2_impl._send_generic_payload_command(address, 1000, classad2.ClassAd(ad)._handle)[1]
print(send(), flush=True)
input_ = open(sys.argv[1]).read()
print(send(), flush=True)
print(send(), flush=True)
"""
    gate = site.pool.directory / "gate"
    os.mkfifo(gate)
    client = subprocess.Popen(
        [sys.executable, "-c", program, str(gate)],
        env=site.pool.env,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert client.stdin is not None
    assert client.stdout is not None
    client.stdin.write(json.dumps([site.address, site.request()]))
    client.stdin.close()
    assert client.stdout.readline().strip() == "0"
    starts = site.starts()
    site.kill()
    site.wait_for_restart(starts)
    gate.write_text("go on")
    assert client.stdout.read().split() == ["1", "0"]
    client.stdout.close()
    client.wait()
