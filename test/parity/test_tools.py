"""Test that HTCondor's tools and bindings have the same output and exit status with annexd as with the schedd."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from test.pool import ANNEXD_CONFIG, Pool

DAEMONS = ("MASTER", "COLLECTOR", "SHARED_PORT", "SCHEDD", "ANNEXD")
CONFIG = """
TRIED = 1 $(UID_DOMAIN)
EMPTY =
SCHEDD.FOR_US = two words
ANNEXD.FOR_US = two words
"""
ADDRESS, SUBSYSTEM = "<address>", "<SUBSYSTEM>"
SAME: tuple[str, ...] = (
    "condor_config_val -addr <address> UID_DOMAIN",
    "condor_config_val -addr <address> TRIED NOT_THERE uid_domain FOR_US EMPTY",
    "condor_config_val -addr <address> -raw TRIED",
    "condor_config_val -addr <address> -verbose NOT_THERE",
    "condor_config_val -addr <address> -dump TRIED",
    "condor_config_val -addr <address> -dump NO_SUCH_NAME",
    "condor_config_val -addr <address> -name somebody TRIED",
    "condor_config_val -addr <address> -set TRIED=3",
    "condor_config_val -addr <address> -rset TRIED=3",
    "condor_config_val -addr <address> -unset TRIED",
    "condor_fetchlog <address> NOPE",
    "condor_fetchlog <address> <SUBSYSTEM>.old",
    "condor_fetchlog <address> <SUBSYSTEM>.slot1",
    "condor_reconfig -addr <address>",
    "condor_reconfig -full -addr <address>",
    "condor_reconfig -daemon <SUBSYSTEM>",
    "condor_reconfig -subsystem <SUBSYSTEM>",
    "condor_ping -addr <address>",
    "condor_ping -addr <address> -quiet WRITE",
    "condor_ping -addr <address> -quiet CONFIG",
    "condor_ping -addr <address> DC_RECONFIG DC_OFF_FAST 60099",
    "condor_ping -addr <address> NOSUCH",
    "condor_set_shutdown -exec program -addr <address>",
    "condor_off -peaceful -addr <address>",
    "condor_off -force-graceful -addr <address>",
)
IS_23 = os.environ.get("HTCONDOR_SERIES") == "23"
if not IS_23:  # 23's daemons report no default for a name without one; 25's, and annexd, report its value
    SAME += ("condor_config_val -addr <address> -verbose TRIED",)
# The bindings are of 25 and refuse the directories that 23's daemons name for FS.
BINDINGS_METHODS = {"_CONDOR_SEC_CLIENT_AUTHENTICATION_METHODS": "IDTOKENS"} if IS_23 else {}
BINDINGS = """
import classad2, htcondor2, sys
address = sys.argv[1]
ad = classad2.ClassAd({"MyAddress": address, "MyType": "Generic", "Name": "somebody"})
config = htcondor2.RemoteParam(ad)

def change():
    config["TRIED"] = "3"

def forget():
    del config["TRIED"]

questions = {
    "value": lambda: config["TRIED"], "own value": lambda: config["FOR_US"], "no value": lambda: config["NOT_THERE"],
    "is there": lambda: ("UID_DOMAIN" in config, "NOT_THERE" in config), "change": change, "forget": forget,
    "ping": lambda: htcondor2.ping(address, "WRITE")["MyRemoteUserName"],
    "ping CONFIG": lambda: htcondor2.ping(address, "CONFIG"),
    "ping for nothing": lambda: htcondor2.ping(address, "NONE"),
    "masters": lambda: list(htcondor2.Collector(address).query(htcondor2.AdType.Master)),
} | {name: lambda name=name: htcondor2.send_command(ad, getattr(htcondor2.DaemonCommands, name))
     for name in ("Reconfig", "SetPeacefulShutdown", "SetForceShutdown")}
for name, ask in questions.items():
    try:
        print(name, ask())
    except Exception as error:
        print(name, type(error).__name__, error)
"""


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    with Pool(ANNEXD_CONFIG + CONFIG, daemons=DAEMONS) as pool:
        yield pool


def answer(pool: Pool, daemon: str, done: subprocess.CompletedProcess[str]) -> tuple[int, str, str]:
    """Return the exit status, output and errors, with the daemon's address and name replaced."""

    def neutral(text: str) -> str:
        text = text.replace(pool.address(daemon), ADDRESS)
        lines = (
            line.replace(f"{daemon}.", "").replace(daemon.lower(), SUBSYSTEM)
            for line in text.splitlines()
            if not line.startswith((" # at", "#\t")) and line.partition(".")[0] not in DAEMONS
        )
        return "\n".join(line.replace(daemon, SUBSYSTEM) for line in lines)

    return done.returncode, neutral(done.stdout.replace("annexd.test", "domain")), neutral(done.stderr)


@pytest.mark.parametrize("command", SAME)
def test_a_tool_gets_the_same_answer_from_both(pool: Pool, command: str) -> None:
    answers = []
    for daemon in ("SCHEDD", "ANNEXD"):
        tool, *arguments = (
            pool.address(daemon) if word == ADDRESS else word.replace(SUBSYSTEM, daemon) for word in command.split()
        )
        answers.append(answer(pool, daemon, pool.tool(tool, *arguments)))
    assert answers[0] == answers[1]


def test_the_bindings_get_the_same_answers_from_both(pool: Pool) -> None:
    schedd, annexd = (
        answer(pool, daemon, pool.run(sys.executable, "-c", BINDINGS, pool.address(daemon), env=BINDINGS_METHODS))
        for daemon in ("SCHEDD", "ANNEXD")
    )
    assert schedd == annexd
    assert schedd[0] == 0, schedd[2]


def test_condor_who_shows_both(pool: Pool) -> None:
    output = pool.tool("condor_who", "-quick").stdout
    for daemon in ("SCHEDD", "ANNEXD"):
        assert f'{daemon} = "Alive"' in output
        assert f'{daemon}_Addr = "{pool.address(daemon)}"' in output
    daemons = pool.tool("condor_who", "-daemons").stdout
    assert all(f"{daemon.capitalize()} " in daemons for daemon in ("SCHEDD", "ANNEXD"))
