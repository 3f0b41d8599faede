"""Test that a lease ends by AWS's clock if the machine's clock is wrong at boot or is set later."""

from __future__ import annotations

import time
from collections.abc import Callable
from email.utils import formatdate

import pytest

from test.cloud import Cloud
from test.instance.account import Account
from test.instance.machine import Machine
from test.instance.script import script

Make = Callable[[str], Machine]
LEASE_S, GRACE_S, HOURS_S = 3600, 600, 7200
WRONG = pytest.mark.parametrize("ahead_s", [HOURS_S, -HOURS_S], ids=["slow", "fast"])  # AWS's clock, to the machine's


def instance(account: Account, ahead_s: float = 0) -> str:
    account.annex(lease_s=LEASE_S + ahead_s)
    return account.instance_of_template(account.own_profile(), MetadataOptions={"InstanceMetadataTags": "enabled"})


def assert_ends_with_its_lease(booted: Machine, seconds: dict[str, int]) -> None:
    [unit] = booted.standing()
    assert LEASE_S + GRACE_S - 60 < seconds[unit] <= LEASE_S + GRACE_S, unit


@WRONG
def test_a_clock_that_is_wrong_at_the_first_boot_changes_no_lease(
    account: Account, machine: Make, cloud: Cloud, ahead_s: float
) -> None:
    booted = machine(instance(account, ahead_s))
    cloud.set_clock_ahead(ahead_s)
    outcome = booted.boot(f"--grace={GRACE_S}")
    assert (outcome.status, outcome.was_shut_down) == (0, False), outcome.log
    assert_ends_with_its_lease(booted, outcome.timers())


def test_there_is_a_timer_for_the_lease_at_every_moment_of_its_replacement(account: Account, machine: Make) -> None:
    """After a reboot a timer by the machine's own clock runs until AWS has provided the time."""
    booted = machine(instance(account))
    booted.boot()
    outcome = booted.reboot()
    tools = [each["arguments"] for each in outcome.calls if each["tool"] in {"systemd-run", "systemctl"}]
    armed = next(i for i, call in enumerate(tools) if any("-by-aws" in each for each in call) and call[0] == "--quiet")
    stopped = next(i for i, call in enumerate(tools) if call[0] == "stop" and "lease" in call[1])
    assert armed < stopped


@WRONG
def test_a_clock_that_is_wrong_at_a_reboot_changes_no_lease(
    account: Account, machine: Make, cloud: Cloud, ahead_s: float
) -> None:
    booted = machine(instance(account, ahead_s))
    cloud.set_clock_ahead(ahead_s)
    booted.boot()
    outcome = booted.reboot(f"--grace={GRACE_S}")
    assert (outcome.status, outcome.was_shut_down) == (0, False), outcome.log
    assert_ends_with_its_lease(booted, outcome.timers())


def test_at_a_reboot_without_aws_the_machines_own_clock_counts(account: Account, machine: Make) -> None:
    booted = machine(instance(account))
    booted.boot()
    booted.environment["AWS_ENDPOINT_URL"] = "http://127.0.0.1:1"
    outcome = booted.reboot(f"--grace={GRACE_S}", "--patience=1")
    assert outcome.status == 0, outcome.log
    assert "this machine's own clock counts" in outcome.log
    assert_ends_with_its_lease(booted, outcome.timers())


@pytest.mark.parametrize("ahead_s", [0, HOURS_S, -HOURS_S])
def test_the_log_shows_the_same_end_as_the_timers(
    account: Account, machine: Make, cloud: Cloud, ahead_s: float
) -> None:
    booted = machine(instance(account, ahead_s))
    cloud.set_clock_ahead(ahead_s)
    outcome = booted.boot()
    logged = {
        int(line.split(" turned off in ")[1].split()[0]) for line in outcome.log.splitlines() if " off in " in line
    }
    assert logged == set(outcome.timers().values()), outcome.log


def test_a_second_run_leaves_the_timer_by_awss_clock_alone(account: Account, machine: Make, cloud: Cloud) -> None:
    booted = machine(instance(account))
    booted.boot()
    before = booted.standing()
    assert before
    cloud.set_clock_ahead(HOURS_S / 4)
    outcome = booted.boot()
    assert (booted.standing(), "lease" in " ".join(outcome.timers())) == (before, False)


def test_a_clock_that_is_set_after_aws_was_asked_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, aws_s = script.Clock(), time.time() + HOURS_S
    clock.note(script.Answer(200, {"date": formatdate(aws_s, usegmt=True)}, b""))
    assert abs(clock.now_s() - aws_s) < 5
    real_s = time.time
    monkeypatch.setattr(script.time, "time", lambda: real_s() + HOURS_S)  # like chrony
    assert abs(clock.now_s() - aws_s) < 5


@pytest.mark.parametrize("date", [None, "", "soon", "Tue, 99 Foo 2026 25:61:61 GMT", "1 Jan 99999 00:00:00 GMT"])
def test_an_answer_without_a_usable_date_sets_no_clock(date: str | None) -> None:
    clock = script.Clock()
    clock.note(script.Answer(200, {} if date is None else {"date": date}, b""))
    assert not clock.is_aws
