"""Test AWS's limits of fleets in a new account, with EC2's published limits of calls, in virtual time.

Each test prints its numbers in docs/performance.md (pytest -rP).
"""

from __future__ import annotations

import resource
import time
import tracemalloc
from typing import Any

import pytest

from test.lease.account import ended_long_ago
from test.lease.annexes import annexes, token
from test.lease.enforcer import Enforcer, enforcer
from test.lease.fleets import ACTS, IDLES, REFUSES
from test.whole import WHOLE

A_HUNDRED, A_THOUSAND = 100, 1000
SIZES = [A_HUNDRED, pytest.param(A_THOUSAND, marks=WHOLE)]
VARIANTS = [(ACTS, A_THOUSAND), *[pytest.param(each, A_THOUSAND, marks=WHOLE) for each in (REFUSES, IDLES)]]
VARIANTS += [(REFUSES, A_HUNDRED), (IDLES, A_HUNDRED)]


def report(what: str, receipt: dict[str, Any], watched: Enforcer) -> None:
    figures = {key: receipt[key] for key in ("duration_s", "calls", "throttled", "ended", "over", "stuck", "errors")}
    print(what, figures, dict(watched.account.calls), f"{max(map(len, watched.lines))} bytes of receipt")


def first_cancels(watched: Enforcer) -> dict[str, float]:
    """Return the time of each fleet's first cancellation."""
    first: dict[str, float] = {}
    for at_s, what, name in watched.account.effects:
        if what.startswith("cancel"):
            first.setdefault(name, at_s)
    return first


@pytest.mark.parametrize(("variant", "number_of_annexes"), VARIANTS)
def test_annexes_that_end_in_one_tick_are_all_cancelled_in_one_run_and_gone_within_three(
    variant: str, number_of_annexes: int
) -> None:
    watched = enforcer()
    account = watched.account
    fleets = annexes(account, number_of_annexes, 200, 10, variant=variant)
    before = watched.tick()
    report(f"{variant}: the tick before, with stamps,", before, watched)
    assert (before["fleets"], before["instances"], before["complete"]) == (
        number_of_annexes,
        10 * number_of_annexes,
        True,
    )
    begin_s = watched.next_tick_s
    for number in (1, 2, 3):
        receipt = watched.tick()
        report(f"{variant}: run {number}:", receipt, watched)
        assert receipt["complete"]
        assert receipt["duration_s"] < 225
        if number == 1:
            assert len(first_cancels(watched)) == number_of_annexes
            assert max(first_cancels(watched).values()) < begin_s + 60
        if not account.living():
            break
    assert account.living() == []
    assert all(machine.ending_s is not None for fleet in fleets for machine in fleet.machines)
    latest_s = max(machine.ending_s or 0.0 for machine in account.machines.values())
    print(f"{variant}: the last instance was asked to end {latest_s - begin_s:.0f} s after the tick")


@pytest.mark.parametrize("number_of_annexes", SIZES)
def test_after_an_outage_of_an_hour_all_instances_are_gone_within_three_runs(number_of_annexes: int) -> None:
    watched = enforcer()
    annexes(watched.account, number_of_annexes, -3600, 10, variant=IDLES)
    for _ in range(3):
        report("after an outage:", watched.tick(), watched)
    assert watched.account.living() == []


def _an_account(living: int) -> Enforcer:
    """Create an account with ten ended annexes for each living one."""
    watched = enforcer()
    now_s = watched.timeline.now_s
    for number in range(10 * living):
        ended_long_ago(watched.account, token(f"ended-{number}", now_s - 3600))
    annexes(watched.account, living, 10_000, 10)
    return watched


@pytest.mark.parametrize("living", SIZES)
def test_a_run_over_living_annexes_and_ten_times_as_many_ended_ones_takes_less_than_a_minute(living: int) -> None:
    watched = _an_account(living)
    for number in (1, 2):
        report(f"run {number}, which stamps,", watched.tick(), watched)
    watched.account.calls.clear()
    cpu_s = time.process_time()
    receipt = watched.tick()
    report(f"{time.process_time() - cpu_s:.1f} s of CPU, this account's included:", receipt, watched)
    assert (receipt["fleets"], receipt["instances"], receipt["over"]) == (living, 10 * living, 0)
    assert (receipt["errors"], receipt["throttled"] < 30) == (0, True)
    assert receipt["duration_s"] < 60
    assert watched.account.calls["CreateTags"] == 1, "the DryRun alone: all are stamped"
    assert len(watched.account.living()) == 10 * living


@pytest.mark.parametrize("living", SIZES)
def test_memory_is_a_page_of_answers_and_a_line_for_each_fleet_and_instance(living: int) -> None:
    watched = _an_account(living)
    watched.account.user_data = "A" * 21_848  # 16 kB in base64, EC2's limit: pages of 4.4 MB
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    tracemalloc.start()
    receipt = watched.tick()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(f"memory of a run: peak {peak / 2**20:.0f} MiB with this account's answers, RSS + {grown / 2**10:.0f} MiB")
    assert receipt["complete"]
    assert peak < 128 * 2**20
