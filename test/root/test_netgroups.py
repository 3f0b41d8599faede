"""Netgroups of the system's database in a pool started by root: schedd and annexd decide alike.  Needs root.

The pool's daemons see another /etc in their own mount namespace; the machine's /etc stays unchanged.
"""

import pwd
from collections.abc import Iterator
from pathlib import Path

import pytest

from test.pool import ANNEXD_CONFIG, DOMAIN, Pool
from test.root.run_as import run_as

CONDOR, ALICE, BOB = (pwd.getpwnam(name) for name in ("daemon", "nobody", "games"))
DAEMONS = ("MASTER", "COLLECTOR", "SHARED_PORT", "SCHEDD", "ANNEXD")
OWN = {
    "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\nnetgroup: files\n",
    "netgroup": f"""
        users     (,{ALICE.pw_name},{DOMAIN.upper()})
        addresses (127.0.0.2,,)
        names     (127-0-0-2.{DOMAIN},,)
        strangers (,{ALICE.pw_name},elsewhere.org) (-,{BOB.pw_name},)
        nested    users strangers
        """.replace("\n        ", "\n"),
}
CONFIG = f"""
ALLOW_ADMINISTRATOR = root@{DOMAIN}, {CONDOR.pw_name}@{DOMAIN}
ALLOW_DAEMON = $(ALLOW_ADMINISTRATOR), condor@{DOMAIN}, condor@password
ALLOW_READ = *
DENY_READ = +addresses
ALLOW_WRITE = +users
ALLOW_NEGOTIATOR = +addresses
ALLOW_CONFIG = +names
ALLOW_ADVERTISE_MASTER = +strangers, +nosuchgroup, +
ALLOW_ADVERTISE_SCHEDD = *
DENY_ADVERTISE_SCHEDD = +nested
"""
LEVELS = ("READ", "WRITE", "NEGOTIATOR", "CONFIG", "ADVERTISE_MASTER", "ADVERTISE_SCHEDD")
GRANTED = {
    (ALICE.pw_name, "127.0.0.1"): {"READ", "WRITE"},
    (BOB.pw_name, "127.0.0.1"): {"READ", "ADVERTISE_SCHEDD"},
    (ALICE.pw_name, "127.0.0.2"): {"WRITE", "NEGOTIATOR", "CONFIG"},
    (BOB.pw_name, "127.0.0.2"): {"NEGOTIATOR", "CONFIG", "ADVERTISE_SCHEDD"},
}


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pool]:
    directory = tmp_path_factory.mktemp("netgroups")
    pool = Pool(
        ANNEXD_CONFIG + CONFIG,
        daemons=DAEMONS,
        condor_ids=(CONDOR.pw_uid, CONDOR.pw_gid),
        master=directory / "condor_master",
    )
    lay_out_etc(directory / "etc")
    script = directory / "condor_master"
    script.write_text(f"""#!/bin/sh
        exec unshare --mount sh -c 'mount --bind /etc /mnt && mount --bind {directory}/etc /etc && exec "$0" "$@"' \\
            {pool.htcondor.executable("condor_master")} "$@"
        """)
    script.chmod(0o755)
    with pool:
        yield pool


def lay_out_etc(etc: Path) -> None:
    """Link to the machine's /etc, which the pool finds at /mnt, except for the files of this test."""
    etc.mkdir()
    etc.chmod(0o755)
    for name, content in OWN.items():
        (etc / name).write_text(content)
        (etc / name).chmod(0o644)
    for path in Path("/etc").iterdir():
        if path.name not in OWN:
            (etc / path.name).symlink_to(f"/mnt/{path.name}")


def granted(pool: Pool, daemon: str, user: str, address: str) -> set[str]:
    account = pwd.getpwnam(user)
    ping = [str(pool.htcondor.executable("condor_ping")), "-addr", pool.address(daemon), "-table", *LEVELS]
    output = run_as(account, ping, {**pool.env, "_CONDOR_NETWORK_INTERFACE": address}).stdout
    lines = [line.split() for line in output.splitlines()]
    return {words[0] for words in lines if words and words[0] in LEVELS and "ALLOW" in words}


@pytest.mark.parametrize(("user", "address"), GRANTED)
def test_netgroups_in_lists_apply_to_annexd_as_to_the_schedd(pool: Pool, user: str, address: str) -> None:
    answers = {daemon: granted(pool, daemon, user, address) for daemon in ("SCHEDD", "ANNEXD")}
    assert answers["ANNEXD"] == answers["SCHEDD"] == GRANTED[user, address], pool.log("ANNEXD")[-2000:]


def test_the_log_names_the_netgroup_that_decided(pool: Pool) -> None:
    granted(pool, "ANNEXD", ALICE.pw_name, "127.0.0.2")
    assert f"DENY_READ lists +addresses, which covers {ALICE.pw_name}@{DOMAIN} from 127.0.0.2" in pool.log("ANNEXD")
