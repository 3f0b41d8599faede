"""-status and -wait count an annex's machines in the pool as condor_status does."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from annexd.tool import errors
from test.replies import accepted
from test.system.site import REQUEST, Site
from test.system.tool import condor_annex, key_options

CONFIG = """
ANNEXD_RECONCILE_INTERVAL = 1
ANNEX_PROVISIONING_DELAY = 20
"""
ADVERTISE = """
import classad2, htcondor2, json, sys
ads = [classad2.ClassAd(ad) for ad in json.load(sys.stdin)]
htcondor2.Collector().advertise(ads, "UPDATE_STARTD_AD", True)
"""
WITHDRAW = """
import classad2, htcondor2, json, sys
ads = [classad2.ClassAd({"MyType": "Query", "TargetType": "Machine", "Name": name}) for name in json.load(sys.stdin)]
for ad in ads:
    ad["Requirements"] = classad2.ExprTree(f'TARGET.Name == "{ad["Name"]}"')
htcondor2.Collector().advertise(ads, "INVALIDATE_STARTD_ADS", True)
"""


def slot(annex_id: str, name: str, state: str) -> dict[str, Any]:
    return {"MyType": "Machine", "Name": name, "Machine": "ip-10-0-0-1", "AnnexID": annex_id, "State": state}


def advertise(site: Site, *slots: dict[str, Any]) -> None:
    done = site.pool.run(sys.executable, "-c", ADVERTISE, stdin=json.dumps(slots))
    assert done.returncode == 0, done.stderr


def withdraw(site: Site, *names: str) -> None:
    done = site.pool.run(sys.executable, "-c", WITHDRAW, stdin=json.dumps(names))
    assert done.returncode == 0, done.stderr


def annex_in_status(site: Site, annex_id: str) -> dict[str, Any]:
    done = condor_annex(site, "-status", "-json", annex_id)
    assert done.returncode == 0, done.stderr
    [annex] = json.loads(done.stdout)
    return dict(annex)


def machines_in_condor_status(site: Site, annex_id: str, more: str = "") -> int:
    constraint = f'AnnexID == "{annex_id}"{more}'
    names = site.pool.tool("condor_status", "-constraint", constraint, "-af", "Name").stdout.split()
    return len({name.rpartition("@")[2] for name in names})


def test_machines_in_the_pool_are_counted_as_condor_status_shows_them(site: Site) -> None:
    annex_id = str(accepted(site.order())["AnnexID"])
    advertise(
        site,
        slot(annex_id, "slot1@i-01", "Unclaimed"),
        slot(annex_id, "slot1_1@i-01", "Claimed"),
        slot(annex_id, "slot1@i-02", "Unclaimed"),
        slot("annex-of-somebody-else", "slot1@i-03", "Claimed"),
    )
    site.wait(lambda: annex_in_status(site, annex_id)["Joined"], "the machines in -status")
    annex = annex_in_status(site, annex_id)
    assert (annex["Joined"], annex["Claimed"], annex["PoolFault"]) == (2, 1, None)
    assert machines_in_condor_status(site, annex_id) == 2
    assert machines_in_condor_status(site, annex_id, ' && State == "Claimed"') == 1


@contextmanager
def waiting(site: Site, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run condor_annex -wait in a process of its own while the block runs."""
    process = subprocess.Popen(
        [sys.executable, "-m", "annexd.tool.main", "-wait", *arguments],
        env=site.pool.env,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def next_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


@pytest.fixture
def annex_id(site: Site) -> str:
    """Order an annex of two machines; return its ID."""
    return str(accepted(site.order(TargetCapacity=2))["AnnexID"])


def test_wait_ends_with_0_once_so_many_machines_are_in_condor_status(site: Site, annex_id: str) -> None:
    with waiting(site, "joined=100%", "-json", annex_id) as process:
        first = json.loads(next_line(process))
        assert (first["TargetCapacity"], first["Joined"] or 0) == (2, 0)
        for count in (1, 2):
            advertise(site, slot(annex_id, f"slot1@i-{annex_id}-{count}", "Unclaimed"))
            while (json.loads(next_line(process))["Joined"] or 0) < count:
                pass
            assert machines_in_condor_status(site, annex_id) == count
        assert process.wait(30) == errors.OK


def joined_and_claimed(site: Site, annex_id: str) -> tuple[int, int]:
    claimed = machines_in_condor_status(site, annex_id, ' && State == "Claimed"')
    return machines_in_condor_status(site, annex_id), claimed


def test_each_line_of_wait_counts_as_condor_status_does_while_machines_come_work_and_go(site: Site) -> None:
    annex_id = str(accepted(site.order(TargetCapacity=3))["AnnexID"])
    one, two, three = (f"i-{annex_id[-8:]}-{number}" for number in (1, 2, 3))
    idle = [slot(annex_id, f"slot1@{each}", "Unclaimed") for each in (one, two, three)]
    busy = [slot(annex_id, f"slot1_{number}@{one}", "Claimed") for number in (1, 2)]
    changes: tuple[tuple[Callable[[], None], tuple[int, int]], ...] = (
        (lambda: advertise(site, *idle[:2], *busy), (2, 1)),
        (lambda: withdraw(site, f"slot1@{two}", *(f"slot1_{number}@{one}" for number in (1, 2))), (1, 0)),
        (lambda: advertise(site, *idle, busy[0]), (3, 1)),
    )
    with waiting(site, "joined=100%", "-json", annex_id) as process:
        before = joined_and_claimed(site, annex_id)
        for change, expected in changes:
            change()
            now = joined_and_claimed(site, annex_id)
            assert now == expected
            # annexd may have queried the collector before the change; its counts then lie between the old and the new.
            while (reported := counts_in(next_line(process))) != now:
                assert all(min(pair) <= count <= max(pair) for *pair, count in zip(before, now, reported, strict=True))
            before = now
        assert process.wait(30) == errors.OK


def counts_in(text: str) -> tuple[int, int]:
    """Return joined and claimed from a line of -wait -json; both are 0 before the collector's first response."""
    line = json.loads(text)
    return line["Joined"] or 0, line["Claimed"] or 0


def test_wait_ends_with_a_status_of_its_own_and_awss_reason_when_nothing_can_come(site: Site) -> None:
    site.cloud.behave(fleet_trouble="role")
    try:
        annex_id = str(accepted(site.order())["AnnexID"])
        with waiting(site, annex_id) as process:
            assert process.wait(90) == errors.UNREACHABLE
            assert process.stderr is not None
            assert "iamFleetRoleInvalid" in process.stderr.read()
    finally:
        site.cloud.behave(fleet_trouble="")


def test_ctrl_c_leaves_the_annex_and_says_how_to_come_back(site: Site, annex_id: str) -> None:
    with waiting(site, "joined=2", annex_id) as process:
        next_line(process)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == errors.INTERRUPTED
        assert process.stderr is not None
        assert f"condor_annex -wait joined=2 {annex_id} waits again" in process.stderr.read()
    assert annex_in_status(site, annex_id)["State"] == "leased"


def test_wait_goes_on_when_annexd_is_killed(site: Site, annex_id: str) -> None:
    with waiting(site, "joined=1", annex_id) as process:
        next_line(process)
        starts = site.starts()
        site.kill()
        site.wait_for_restart(starts)
        advertise(site, slot(annex_id, f"slot1@i-{annex_id}", "Unclaimed"))
        assert process.wait(90) == errors.OK


def test_an_order_can_wait_itself(site: Site) -> None:
    arguments = ("-lease-duration", "1h", *key_options(site), "-timeout", "20s", "-wait", "joined=1", str(REQUEST))
    done = condor_annex(site, *arguments)
    assert done.returncode == errors.UNREACHABLE, done.stderr
    fleet_id, *lines = done.stdout.splitlines()
    assert fleet_id.startswith("sfr-")
    assert lines[0].startswith("asked "), done.stdout
    assert "not joined=1 within 20 s; the annex continues" in done.stderr


def test_watch_shows_the_table_again_until_ctrl_c(site: Site, annex_id: str) -> None:
    command = [sys.executable, "-m", "annexd.tool.main", "-status", "-watch", annex_id]
    with subprocess.Popen(command, env=site.pool.env, text=True, stdout=subprocess.PIPE) as process:
        shown = [next_line(process)]
        while sum(line.startswith("Name ") for line in shown) < 2:
            shown.append(next_line(process))
            assert shown[-1], shown
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == errors.OK
