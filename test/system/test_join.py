"""Machines that boot for real and join the pool with a token of their own, from the order to the end of the lease."""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from test.replies import accepted
from test.system.annexes import JoiningSite

LEVELS = (
    "READ",
    "WRITE",
    "DAEMON",
    "ADMINISTRATOR",
    "NEGOTIATOR",
    "ADVERTISE_SCHEDD",
    "ADVERTISE_STARTD",
    "ADVERTISE_MASTER",
)
ON_PHYSICS = 'requirements = TARGET.AnnexName == "physics"'
BRIEF: dict[str, Any] = {"AnnexName": "brief", "lease_s": 70}
IDLER: dict[str, Any] = {"AnnexName": "idler", "lease_s": 3600, "MaxIdleTime": 15}
PHYSICS: dict[str, Any] = {"AnnexName": "physics", "lease_s": 3600}


@pytest.fixture(scope="module")
def site() -> Iterator[JoiningSite]:
    with JoiningSite(machines=8) as site:
        yield site


@pytest.fixture(scope="module", autouse=True)
def annexes(site: JoiningSite) -> dict[str, dict[str, Any]]:
    """Order three annexes with a machine each, wait until all have joined, and return the replies.

    Two of the annexes end during the tests.
    """
    replies = {str(order["AnnexName"]): site.order(TargetCapacity=1, **order) for order in (BRIEF, IDLER, PHYSICS)}
    assert [reply["Result"] for reply in replies.values()] == ["Success"] * 3, replies
    assert len(site.objects()) == 3
    site.submit("endless", "sleep 600", 'requirements = TARGET.AnnexName == "brief"')
    joined: set[str] = set()

    def have_joined() -> bool:
        joined.update(slot[1] for slot in site.slots("AnnexName"))
        return joined >= replies.keys()

    site.wait(have_joined, "a machine of each annex in the pool, if not all at once", 60.0)
    job = site.pool.directory / "endless.log"
    site.wait(lambda: "Job executing" in job.read_text(), "the job to start", 60.0)
    return replies


@pytest.fixture
def annex_id(annexes: dict[str, dict[str, Any]]) -> str:
    """Return the ID of the annex that outlives the tests."""
    return str(annexes["physics"]["AnnexID"])


def of(site: JoiningSite, name: str) -> list[list[str]]:
    """Return the slots of the annex with this name."""
    return [slot for slot in site.slots("AnnexName") if slot[1] == name]


def ping(site: JoiningSite, daemon: str, tokens: Path) -> dict[str, str]:
    """Return a daemon's verdict on each level, for a client with the tokens in this folder and no other credentials."""
    env = {
        "_CONDOR_SEC_TOKEN_DIRECTORY": str(tokens),
        "_CONDOR_SEC_TOKEN_SYSTEM_DIRECTORY": str(tokens),
        "_CONDOR_SEC_CLIENT_AUTHENTICATION_METHODS": "IDTOKENS",
        "_CONDOR_SEC_CLIENT_AUTHENTICATION": "REQUIRED",
    }
    said = site.pool.tool("condor_ping", "-addr", site.pool.address(daemon), "-table", *LEVELS, env=env).stdout
    rows = [line.split() for line in said.splitlines()]
    return {row[0]: row[4] for row in rows if len(row) > 4 and row[0] in LEVELS}


def machine_of(site: JoiningSite, annex_id: str) -> Path:
    return next(each for each in site.machines() if annex_id in (each / "boot.log").read_text())


def test_a_machine_joins_by_its_annexs_own_token_and_says_which_it_is(site: JoiningSite, annex_id: str) -> None:
    slots = site.slots("AnnexName", "AnnexID", "LeaseEnd", "AuthenticatedIdentity")
    [[name, label, said_id, end, identity]] = [slot for slot in slots if slot[1] == "physics"]
    assert name.startswith("slot1@i-")
    assert (label, said_id, identity) == ("physics", annex_id, f"{annex_id}@annexd.test")
    assert int(end) > time.time() + 3000


def test_its_ad_is_out_of_date_after_two_updates_that_did_not_come(site: JoiningSite) -> None:
    for _name, lifetime_s, annex in site.slots("ClassAdLifetime", "AnnexName"):
        assert annex != "physics" or 580 < int(lifetime_s) <= 600, "a twelfth of the lease, twice"


def test_a_job_of_its_owners_runs_there_and_its_output_comes_back(site: JoiningSite, annex_id: str) -> None:
    output = site.submit("mine", "echo done for $ANNEX", f'environment = "ANNEX={annex_id}"', ON_PHYSICS)
    assert site.output_of(output) == f"done for {annex_id}\n"


def test_a_job_that_says_it_takes_longer_than_the_lease_does_not_start(site: JoiningSite, annex_id: str) -> None:
    output = site.submit("long", "echo too long", "allowed_execute_duration = 7200", ON_PHYSICS)
    short = site.submit("short", "echo in time", "allowed_execute_duration = 60", ON_PHYSICS)
    assert site.output_of(short) == "in time\n"
    assert not output.exists() or not output.read_text(), f"{annex_id} took it"


def test_somebody_elses_job_does_not_start_unless_the_annex_is_everybodys(site: JoiningSite, annex_id: str) -> None:
    site.order(lease_s=3600, AnnexName="for-bob", AnnexOwner="bob@annexd.test", TargetCapacity=1)
    site.order(lease_s=3600, AnnexName="for-all", NoOwner=True, TargetCapacity=1)
    site.wait(lambda: of(site, "for-bob") and of(site, "for-all"), "both annexes in the pool", 60.0)
    everywhere = {
        name: site.submit(name, "echo ran", f'requirements = TARGET.AnnexName == "{name}"')
        for name in ("for-bob", "for-all")
    }
    assert site.output_of(everywhere["for-all"]) == "ran\n"
    analysis = site.pool.tool("condor_q", "-better-analyze").stdout
    assert not everywhere["for-bob"].exists() or not everywhere["for-bob"].read_text(), f"{annex_id}\n{analysis}"


def test_its_token_is_good_for_advertising_a_machine_and_for_nothing_else(site: JoiningSite, annex_id: str) -> None:
    tokens = machine_of(site, annex_id) / "tokens.d"
    allowed = {"READ", "ADVERTISE_STARTD", "ADVERTISE_MASTER"}
    for daemon in ("COLLECTOR", "SCHEDD"):
        said = ping(site, daemon, tokens)
        assert {level for level, verdict in said.items() if verdict == "ALLOW"} == allowed, f"{daemon}: {said}"


def test_annexd_itself_takes_no_order_for_it(site: JoiningSite, annex_id: str) -> None:
    said = ping(site, "ANNEXD", machine_of(site, annex_id) / "tokens.d")
    assert said["ADMINISTRATOR"] != "ALLOW", said
    assert said["WRITE"] != "ALLOW", said


def test_htcondor_reads_the_token(site: JoiningSite, annex_id: str) -> None:
    said = site.pool.tool("condor_token_list", "-dir", str(machine_of(site, annex_id) / "tokens.d")).stdout
    assert f'"sub":"{annex_id}@annexd.test"' in said
    assert "ADVERTISE_STARTD" in said


def test_nobody_advertises_as_another_annex(site: JoiningSite, annex_id: str) -> None:
    tokens = machine_of(site, annex_id) / "tokens.d"
    for claimed, taken in ((annex_id, True), ("annex-of-somebody-else", False)):
        ad = site.pool.directory / "forged_ad"
        ad.write_text(
            f'MyType = "Machine"\nName = "slot1@{claimed}"\nMyAddress = "<127.0.0.1:1>"\n'
            f'StartdIpAddr = "<127.0.0.1:1>"\nAnnexID = "{claimed}"\nAnnexName = "forged"\n'
        )
        site.pool.tool(
            "condor_advertise",
            "UPDATE_STARTD_AD",
            str(ad),
            env={
                "_CONDOR_SEC_TOKEN_DIRECTORY": str(tokens),
                "_CONDOR_SEC_TOKEN_SYSTEM_DIRECTORY": str(tokens),
                "_CONDOR_SEC_CLIENT_AUTHENTICATION_METHODS": "IDTOKENS",
            },
        )
        names = [name for name, _ in of(site, "forged")]
        assert (f"slot1@{claimed}" in names) == taken, names


def test_an_expired_token_gets_nowhere(site: JoiningSite) -> None:
    tokens = site.pool.directory / "expired"
    tokens.mkdir(mode=0o700)
    file = tokens / "annex.token"
    file.touch(mode=0o600)
    file.write_text(site.pool.token("annex-0000@annexd.test", "-lifetime", "1", "-authz", "ADVERTISE_STARTD"))
    site.wait(lambda: "ALLOW" not in ping(site, "COLLECTOR", tokens).values(), "the token to expire", 20.0)


def test_a_users_own_files_configure_the_machines(site: JoiningSite) -> None:
    folder = site.pool.directory / "own-config"
    folder.mkdir()
    (folder / "60-mine.conf").write_text('Colour = "blue"\nSTARTD_ATTRS = $(STARTD_ATTRS) Colour\n')
    accepted(site.order(AnnexName="coloured", TargetCapacity=1, ConfigDir=str(folder)))
    site.wait(
        lambda: ["coloured", "blue"] in [slot[1:] for slot in site.slots("AnnexName", "Colour")],
        "a blue machine in the pool",
        60.0,
    )
    os.symlink("/etc/passwd", folder / "61-not-mine.conf")
    reply = site.order(AnnexName="coloured", TargetCapacity=1, ConfigDir=str(folder))
    assert reply["Result"] == "InvalidRequest"
    assert "61-not-mine.conf" in reply["ErrorString"]


def test_a_machine_without_work_turns_itself_off_when_that_is_asked_for(
    site: JoiningSite, annexes: dict[str, dict[str, Any]]
) -> None:
    fleet_id = annexes["idler"]["BulkRequestID"]

    def is_off() -> bool:
        mine = [each for each in site.cloud.running_instances() if each["fleet"] == fleet_id]
        return not mine and not of(site, "idler")

    site.wait(is_off, "the idle machine to be turned off and gone from the pool", 120.0)
    assert time.time() < annexes["idler"]["EndOfLease"]


def test_htcondors_own_tools_find_an_annexs_machines_and_turn_them_off(site: JoiningSite, annex_id: str) -> None:
    reply = site.order(lease_s=3600, AnnexName="unwanted", TargetCapacity=1)
    site.wait(lambda: of(site, "unwanted"), "its machine in the pool", 60.0)

    def recorded(*options: str) -> set[str]:
        return set(site.pool.tool("condor_status", *options, "-af", "AnnexName").stdout.split())

    assert recorded("-annex-name", "unwanted") == {"unwanted"}
    assert recorded("-annex-slots") >= {"unwanted", "physics"}
    site.wait(lambda: "unwanted" in recorded("-master"), "its condor_master in the pool")
    said = site.pool.tool("condor_off", "-annex-name", "unwanted")
    assert said.returncode == 0, said.stderr

    def is_off() -> bool:
        mine = [each for each in site.cloud.running_instances() if each["fleet"] == reply["BulkRequestID"]]
        return not mine and not of(site, "unwanted")

    site.wait(is_off, "its machine to be turned off and gone from the pool", 60.0)
    assert of(site, "physics"), f"{annex_id} goes on"


def test_at_the_end_of_the_lease_the_machine_leaves_the_pool_and_nothing_is_left(
    site: JoiningSite, annexes: dict[str, dict[str, Any]]
) -> None:
    reply = annexes["brief"]
    site.wait(lambda: not of(site, "brief"), "the machine to leave the pool by itself", BRIEF["lease_s"] + 30)
    log = site.pool.directory / "endless.log"
    site.wait(lambda: "Job was evicted" in log.read_text(), "its job to go back into the queue")

    def is_over() -> bool:
        site.cloud.tick()
        return f"annex/{reply['AnnexID']}.tar.gz" not in site.objects()

    site.wait(is_over, "the lease function to end the annex", 120.0)
    site.wait_until_gone(reply["BulkRequestID"])
