"""Faults of HTCondor's own condor_annex that annexd does not have: one test for each.

They were found by running 25.14.1 against an emulated AWS.  In each test's docstring, "it" is that condor_annex.
"""

from __future__ import annotations

from test.histories.catalog import HistoryRunner
from test.histories.history import Verdict
from test.peer.account import Account

LONG = "an-annex-with-a-name-of-27-"  # the length to which it cuts names


def calls(verdict: Verdict, operation: str) -> int:
    return sum(point.what == operation for point in verdict.met if point.actor == "annexd")


def numbers(runner: HistoryRunner, course: str) -> list[int]:
    """Return the numbers of annexd's points in a course without further faults, in order."""
    return [point.number for point in runner.play_again(course).met if point.actor == "annexd"]


def number_of(runner: HistoryRunner, course: str, operation: str) -> int:
    """Return the number of the point at which annexd calls `operation`."""
    [number] = [
        point.number
        for point in runner.play_again(course).met
        if (point.actor, point.place, point.what) == ("annexd", "call", operation)
    ]
    return number


def test_the_end_of_foo_does_not_end_foobar(account: Account) -> None:
    """condor_annex and its lease function compare client tokens by prefix."""
    foo, foobar, foo_bar = account.annex("foo", 60), account.annex("foobar", 3600), account.fleet("foo_bar_1")
    account.wait(320.0)
    assert account.states(foo, foobar, foo_bar) == ["cancelled", "active", "active"]


def test_a_fleet_without_a_client_token_keeps_no_lease_from_ending(account: Account) -> None:
    """One such fleet in the account, of any user, crashes its lease function at every run."""
    foreign, own = account.fleet(None), account.annex("foo", 60)
    account.wait(320.0)
    assert account.states(foreign, own) == ["active", "cancelled"]


def test_two_requests_never_share_a_lease(account: Account) -> None:
    """It cuts names to 27 characters, and the second request silently replaces the first one's lease."""
    now_s = int(account.stage.timeline.now_s)
    ends = {"first": now_s + 600, "second": now_s + 3600}
    answers = [account.order(name, EndOfLease=end_s, AnnexName=LONG + name) for name, end_s in ends.items()]
    assert [answer["Result"] for answer in answers] == ["Success", "Success"]
    assert [str(answer["ClientToken"]).split("_")[1] for answer in answers] == [str(each) for each in ends.values()]
    account.wait(930.0)
    assert [fleet.client_token for fleet in account.living() if fleet not in account.stage.bystanders] == [
        answers[1]["ClientToken"]
    ]


def test_annexes_whose_names_begin_alike_end_each_at_their_own_time(account: Account) -> None:
    """The fault with 27 characters also shows in its lease function."""
    one, two = account.annex(f"{LONG}1", 60), account.annex(f"{LONG}2", 3600)
    account.wait(320.0)
    assert account.states(one, two) == ["cancelled", "active"]


def test_a_kill_9_while_it_undoes_leaves_nothing(runner: HistoryRunner) -> None:
    """After a crash it never resumes an undo."""
    denied = number_of(runner, "the fleet is denied", "RequestSpotFleet")
    undo = [number for number in numbers(runner, "the fleet is denied") if number >= denied]
    assert len(undo) > 1
    for point in undo[:-1]:
        verdict = runner.play_again(f"the fleet is denied | annexd {point}: killed, restarted after")
        assert not verdict.violations, str(verdict)
        assert verdict.results == ("Failure",)


def test_one_call_of_the_undo_that_fails_leaves_nothing(runner: HistoryRunner) -> None:
    """It skips the rest of its rollback when one call fails."""
    met = runner.play_again("the fleet's answer is lost, then it is denied").met
    first = next(point.number for point in met if point.what == "RequestSpotFleet")
    undo = [point for point in met if point.place == "call" and point.actor == "annexd" and point.number > first]
    assert {"CancelSpotFleetRequests", "DeleteObject"} <= {point.what for point in undo}
    for point in undo:
        for fault in ("500", "throttled", "request lost", "denied"):
            name = f"the fleet's answer is lost, then it is denied | annexd {point.number}: {fault}"
            verdict = runner.play_again(name)
            assert not verdict.violations, str(verdict)
            assert verdict.results == ("Failure",)


def test_the_journal_is_replayed(runner: HistoryRunner) -> None:
    """It writes its journal and never reads it, so unfinished work stays as it is after a crash."""
    for point in numbers(runner, "all goes well")[:-1]:  # the last point is the end of the order
        verdict = runner.play_again(f"all goes well | annexd {point}: killed, restarted after")
        assert not verdict.violations, str(verdict)
        assert verdict.results == ("Success",)


def test_a_connection_that_is_always_dropped_is_given_up_and_undone(runner: HistoryRunner) -> None:
    """It retries without a pause and without end."""
    look = number_of(runner, "all goes well", "GetFunction")
    verdict = runner.play_again(f"all goes well | annexd {look}: requests lost for good")
    assert verdict.results == ("Failure",)
    assert 3 < calls(verdict, "GetFunction") < 20
    fleet = number_of(runner, "all goes well", "RequestSpotFleet")
    verdict = runner.play_again(f"all goes well | annexd {fleet}: requests lost for an hour")
    assert not verdict.violations, str(verdict)
    assert verdict.results == ("Failure",)
    assert calls(verdict, "RequestSpotFleet") < 20


def test_a_denied_call_is_not_asked_again(runner: HistoryRunner) -> None:
    """It makes three attempts at once, also after a 403."""
    fleet = number_of(runner, "all goes well", "RequestSpotFleet")
    verdict = runner.play_again(f"all goes well | annexd {fleet}: denied")
    assert verdict.results == ("Failure",)
    assert calls(verdict, "RequestSpotFleet") == 1


def test_nothing_is_made_for_an_annex_that_is_not_there(account: Account) -> None:
    """When it updates the lease of an unknown annex, it creates a rule without a fleet, which nothing removes."""
    before = account.living()
    answer = account.order("update", Command="CA_UPDATE_LEASE", AnnexID="no-such-annex")
    assert answer["Result"] == "InvalidRequest"
    assert account.living() == before


def test_fleets_beyond_the_first_page_are_found_and_ended(account: Account) -> None:
    """It looks only at the first 1,000 fleets of an account."""
    for number in range(1001):
        account.fleet(f"other_{number:016x}")
    own = account.annex("foo", 60)
    account.wait(320.0)
    assert account.states(own) == ["cancelled"]


def test_an_undo_finds_its_fleet_beyond_the_first_page(account: Account) -> None:
    """annexd has to search 1,001 other fleets after a RequestSpotFleet whose response was lost."""
    for number in range(1001):
        account.fleet(f"other_{number:016x}")
    account.lose_then_deny("RequestSpotFleet")
    answer = account.order("lost")
    account.wait(600.0)
    assert answer["Result"] == "Failure"
    fleets = account.stage.cloud.fleets.fleets.values()
    [own] = (each for each in fleets if each.client_token == answer["ClientToken"])
    assert account.states(own) == ["cancelled"]
