"""Users learn why their machines ended: from the machine's own message, or because AWS interrupted it."""

from collections.abc import Iterator

import pytest

from annexd.annex.fleet.endings import INTERRUPTED, LONGEST_MESSAGE, last_message
from annexd.annex.fleet.trouble import Trouble
from test.annex.fleets import fleet, instances_of, look
from test.annex.site import Site, wait_for

MARK = "[   12.345678] condor-annex-ec2[812]: 2026-11-28T20:00:00Z condor-annex-ec2: "
FAULT = "this machine cannot be configured: reading the configuration: no success within the time of --patience"
REASON = f"Booting\r\n{MARK}this is i-1 in us-east-1\r\n{MARK}{FAULT}\r\n{MARK}it is turned off now\r\nPower down\r\n"
JOINED = f"{MARK}done: HTCondor may start\n"


@pytest.fixture(autouse=True)
def _at_once(site: Site) -> Iterator[None]:
    site.cloud.behave(console_late_s=0.0)
    yield
    site.cloud.behave(console_late_s=1.0)


def ended(site: Site, console: str = "", **more: str) -> Trouble | None:
    """End one instance of a fleet of two like this; return the trouble that annexd sees."""
    fleet_id = fleet(site, "annex-1", 1000)
    first, _ = instances_of(site, fleet_id)
    site.cloud.turn_off(first, console, **more)
    wait_for(lambda: first not in instances_of(site, fleet_id), "the instance to be gone")
    return look(site).troubles.get(fleet_id)


def test_a_machine_that_could_not_join_says_why(site: Site) -> None:
    trouble = ended(site, REASON)
    assert trouble is not None
    assert "1 of its instances turned themselves off; i-" in trouble.text
    assert f"says on its console: {FAULT}" in trouble.text


@pytest.mark.parametrize("reason", sorted(INTERRUPTED))
def test_an_interruption_by_aws_is_reported(site: Site, reason: str) -> None:
    trouble = ended(site, reason=reason)
    assert trouble is not None
    assert trouble.text.startswith("AWS has interrupted 1 of its Spot instances")


@pytest.mark.parametrize("console", ["", "Power down\n", JOINED, REASON + JOINED])
def test_a_machine_that_joined_or_said_nothing_is_not_reported_as_trouble(site: Site, console: str) -> None:
    assert ended(site, console) is None


def test_a_console_that_is_not_there_yet_is_read_later(site: Site) -> None:
    site.cloud.behave(console_late_s=600.0)
    assert ended(site, REASON) is None
    site.cloud.behave(console_late_s=0.0)
    assert [FAULT in each.text for each in look(site).troubles.values()] == [True]


def test_one_console_is_read_for_each_fleet(site: Site) -> None:
    fleet_id = fleet(site, "annex-1", 1000)
    for each in instances_of(site, fleet_id):
        site.cloud.turn_off(each, REASON)
    wait_for(lambda: not instances_of(site, fleet_id), "the instances to be gone")
    site.cloud.clear_audit()
    assert "2 of its instances turned themselves off" in look(site).troubles[fleet_id].text
    assert len(site.cloud.calls("GetConsoleOutput")) == 1


def test_a_missing_right_to_read_it_is_reported(site: Site) -> None:
    site.cloud.fault("GetConsoleOutput", "denied", times=9)
    trouble = ended(site, REASON)
    assert trouble is not None
    assert "annexd cannot read the console of i-" in trouble.text
    site.cloud.clear_faults()


def test_words_of_a_console_are_short_and_of_one_line() -> None:
    message = last_message(f"{MARK}this machine cannot be configured: a\x1b[31m\0\tb \u202e{'x' * 5000}\r\nmore")
    assert message.startswith("this machine cannot be configured: a [31m b x")
    assert (len(message), message.isprintable()) == (LONGEST_MESSAGE, True)
