"""annexd dies at every append, and AWS is looked at: nothing billed without a lease, nothing left after a failure."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from annexd.annex.bulk_request import bulk_request
from annexd.annex.defaults import Defaults
from test.annex.ads import OWNER
from test.annex.site import Site
from test.workflow.world import Crash, CrashingJournal

TOP = Path(__file__).resolve().parents[2]
COURSES: dict[str, list[dict[str, Any]]] = {  # the faults, and how many records there are then
    "all goes well": [],
    "the fleet is refused": [{"operation": "RequestSpotFleet", "kind": "denied", "times": 1000}],
    "the target is refused": [{"operation": "PutTargets", "kind": "denied", "times": 1000}],
    "the answer is lost, then refused": [
        {"operation": "RequestSpotFleet", "kind": "reset", "times": 1, "when": "after"},
        {"operation": "RequestSpotFleet", "kind": "denied", "times": 1000},
    ],
}


def order(site: Site, course: str) -> None:
    site.clean()
    for fault in COURSES[course]:
        site.cloud.fault(**fault)


def records(site: Site, course: str) -> int:
    order(site, course)
    command_id = str(site.order()["CommandID"])
    journal = site.journal()
    count = len(journal.history(command_id))
    journal.close()
    return count


def die(site: Site, at: int, written: bool) -> None:
    journal = CrashingJournal(site.home / "command_state", at=at, written=written, now_s=site.now_s)
    try:
        with pytest.raises(Crash):
            bulk_request(site.ad(), OWNER, site.engine(journal), Defaults(), site.now_s())
    finally:
        journal.close()


def check_restart(site: Site, course: str, *, unfinished: bool) -> None:
    """What the next daemon makes of it."""
    site.check_all_guarded()
    results = [result for result, _ in site.restart()]
    site.check_all_guarded()
    expected = "Success" if course == "all goes well" else "Failure"
    assert results == ([expected] if unfinished else [])
    if expected == "Failure":
        site.check_nothing_left()
    elif unfinished:
        assert len(site.live_fleets()) == 1
        assert len(site.cloud.running_instances()) == 2


@pytest.mark.parametrize("written", [False, True], ids=["before the record", "after the record"])
@pytest.mark.parametrize("course", COURSES)
def test_dying_at_any_append_leaves_nothing_unguarded(site: Site, course: str, written: bool) -> None:
    count = records(site, course)
    assert count >= 8
    home = site.home
    for at in range(1, count + 1):
        site.home = home / str(at)
        site.home.mkdir()
        order(site, course)
        die(site, at, written)
        accepted, finished = at > 1 or written, at == count and written
        check_restart(site, course, unfinished=accepted and not finished)


KILLED = """
import os, signal, sys
from pathlib import Path
from annexd.annex.bulk_request import bulk_request
from annexd.annex.defaults import Defaults
from test.annex.ads import OWNER
from test.annex.site import Site
from test.cloud import Cloud

cloud = Cloud()
cloud.url = sys.argv[1]
site = Site(cloud, sys.argv[2], Path(sys.argv[3]))
journal, left = site.journal(), int(sys.argv[4])
append = journal.append

def dying(*record):
    global left
    left -= 1
    append(*record)
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)

journal.append = dying
bulk_request(site.ad(), OWNER, site.engine(journal), Defaults(), site.now_s())
"""


def test_a_real_kill_after_any_append_is_as_harmless(site: Site) -> None:
    count = records(site, "all goes well")
    home = site.home
    for at in range(1, count + 1):
        site.clean()
        site.home = home / str(at)
        site.home.mkdir()
        killed = subprocess.run(
            [sys.executable, "-c", KILLED, site.cloud.url, site.arn, str(site.home), str(at)],
            cwd=TOP,
            env={**os.environ, "PYTHONPATH": str(TOP)},
            check=False,
            timeout=60,
            capture_output=True,
            text=True,
        )
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        site.check_all_guarded()
        assert site.restart() == ([("Success", "")] if at < count else [])
        assert len(site.live_fleets()) == 1
        assert len(site.cloud.effects("fleet requested")) == 1
        site.check_all_guarded()
