"""annexd dies at every append: AWS never bills anything without a lease, and nothing stays half done."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from test.annex.fleets import end_of, tags_of
from test.annex.killed import kill
from test.annex.site import Site, wait_for
from test.whole import WHOLE

COURSES: dict[str, list[dict[str, Any]]] = {  # the faults
    "all goes well": [],
    "the fleet is refused": [{"operation": "RequestSpotFleet", "kind": "denied", "times": 1000}],
    "the lease function is unknown": [
        {"operation": "GetFunction", "kind": "error", "code": "ResourceNotFoundException", "times": 1000}
    ],
    "the answer is lost, then refused": [
        {"operation": "RequestSpotFleet", "kind": "reset", "times": 1, "when": "after"},
        {"operation": "RequestSpotFleet", "kind": "denied", "times": 1000},
    ],
}
MOST_RECORDS = 200
COMMANDS: dict[str, Callable[[Site, Any], dict[str, Any]]] = {  # on an annex of an hour
    "extend": lambda site, annex: dict(site.change(annex["AnnexID"], LeaseExtension=600)),
    "cancel": lambda site, annex: dict(site.cancel(annex["AnnexID"])),
    "grow": lambda site, annex: dict(site.resize(annex["AnnexID"], 5)),
}


def begin(site: Site, faults: list[dict[str, Any]]) -> None:
    site.clean()
    for fault in faults:
        site.cloud.fault(**fault)


def records(site: Site, reply: dict[str, Any]) -> int:
    journal = site.journal()
    count = len(journal.history(str(reply["CommandID"])))
    journal.close()
    return count


def another_home(site: Site, home: Path, at: int) -> None:
    site.home = home / str(at)
    site.home.mkdir()


@pytest.mark.parametrize(
    "written", [pytest.param(False, id="before the record", marks=WHOLE), pytest.param(True, id="after the record")]
)
@pytest.mark.parametrize("course", COURSES)
def test_an_order_that_dies_at_any_append_leaves_nothing_without_a_lease(
    site: Site, course: str, written: bool
) -> None:
    """The number of appends varies, because an undo polls until it sees the end."""
    home, died_at = site.home, 0
    for at in range(1, MOST_RECORDS):
        another_home(site, home, at)
        begin(site, COURSES[course])
        with site.mortal(at, written=written) as deaths:
            site.order()
        if not deaths:
            break
        died_at = at
        check_restart(site, course, unfinished=site.unfinished() > 0)
    assert 4 <= died_at < MOST_RECORDS - 1


def check_restart(site: Site, course: str, *, unfinished: bool) -> None:
    """Check what the next daemon does with the order."""
    site.check_all_leased()
    results = [result for result, _ in site.restart()]
    site.check_all_leased()
    expected = "Success" if course == "all goes well" else "Failure"
    assert results == ([expected] if unfinished else [])
    if expected == "Failure":
        site.check_nothing_left()
    elif unfinished:
        assert len(site.live_fleets()) == 1
        assert len(site.cloud.running_instances()) == 2


@pytest.mark.parametrize("written", [False, True], ids=["before the record", "after the record"])
@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_that_dies_at_any_append_is_carried_out_as_a_whole_or_not_at_all(
    site: Site, command: str, written: bool
) -> None:
    home, died_at = site.home, 0
    for at in range(1, MOST_RECORDS):
        another_home(site, home, at)
        site.clean()
        annex = dict(site.order())
        with site.mortal(at, written=written) as deaths:
            COMMANDS[command](site, annex)
        if not deaths:
            break
        died_at = at
        assert site.restart() in ([], [("Success", "")])
        check_command(site, command, annex, done=at > 1 or written)
    assert 6 <= died_at < MOST_RECORDS - 1


def check_command(site: Site, command: str, annex: dict[str, Any], *, done: bool) -> None:
    site.check_all_leased()
    by_s = 600 if command == "extend" and done else 0
    if command == "cancel" and done:
        assert "htcondor:annex-cancelled" in tags_of(site, annex["BulkRequestID"])
        site.check_nothing_left()
    else:
        assert end_of(site, annex["BulkRequestID"]) == annex["EndOfLease"] + by_s
        assert len(site.live_fleets()) == (2 if command == "grow" and done else 1)
        machines = 5 if command == "grow" and done else 2
        wait_for(lambda: len(site.cloud.running_instances()) == machines, f"{machines} machines")


def test_a_real_kill_after_any_append_of_an_order_is_as_harmless(site: Site) -> None:
    count, home = records(site, dict(site.order())), site.home
    for at in range(1, count + 1):
        another_home(site, home, at)
        site.clean()
        kill(site, "order", at)
        site.check_all_leased()
        assert site.restart() == ([("Success", "")] if at < count else [])
        assert len(site.live_fleets()) == 1
        assert len(site.cloud.effects("fleet requested")) == 1


@pytest.mark.parametrize("command", COMMANDS)
def test_a_real_kill_after_any_append_of_a_command_is_as_harmless(site: Site, command: str) -> None:
    annex = dict(site.order())
    count, home = records(site, COMMANDS[command](site, annex)), site.home
    for at in range(1, count + 1):
        another_home(site, home, at)
        site.clean()
        annex = dict(site.order(AnnexName="physics"))
        kill(site, command, at)
        assert site.restart() == ([("Success", "")] if at < count else [])
        check_command(site, command, annex, done=True)
