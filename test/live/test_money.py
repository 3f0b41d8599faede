"""Test that the maximum cost is computed in advance, and that a rehearsal needs a confirmation."""

from __future__ import annotations

from pathlib import Path

import pytest

from test.cloud import Cloud
from test.live import prices
from test.live.host import TURN_OFF
from test.live.kit import Rehearsed, everything, key_of
from test.live.pace import AWS
from test.live.steps import STEPS
from test.live.stopping import LONGEST_S


@pytest.mark.parametrize("instance_type", sorted(prices.INSTANCE_HOUR))
def test_a_whole_rehearsal_costs_less_than_a_dollar_at_its_worst(instance_type: str) -> None:
    lifetimes_s = prices.lifetimes_s(AWS, [*STEPS])
    assert prices.at_most(prices.lines(instance_type, lifetimes_s, LONGEST_S + AWS.clean_up_s)) < prices.MOST


PUBLISHED = {  # AWS's price list of 20 July 2026, us-east-1 and GovCloud (test/live/prices.py has the source)
    "t3.nano": (0.0052, 0.0061),
    "t4g.nano": (0.0042, 0.0049),
}


def test_the_price_of_an_instance_with_its_margin_is_above_every_published_one() -> None:
    assert prices.INSTANCE_HOUR.keys() == PUBLISHED.keys()
    for instance_type, published in PUBLISHED.items():
        assert published[0] <= prices.INSTANCE_HOUR[instance_type]
        assert max(published) < prices.MARGIN * prices.INSTANCE_HOUR[instance_type]


def test_every_step_that_starts_a_machine_is_in_the_sum() -> None:
    start_machines = {"annex", "ec2-fleet", "short-lease", "expiry", "protection"}
    assert {each for each in STEPS if prices.lifetimes_s(AWS, [each])} == start_machines
    assert len(prices.lifetimes_s(AWS, [*STEPS])) == len(start_machines)


def test_every_machine_turns_itself_off_within_the_time_that_is_paid_for() -> None:
    longest_s = max(prices.lifetimes_s(AWS, [*STEPS]))
    assert "shutdown -h +55" in TURN_OFF
    assert longest_s <= 3600


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--yes", "--budget", "0.05"], "the cost exceeds the budget of $0.05: nothing was done"),
        ([], "There is no terminal for a confirmation: use --yes"),
        (["--yes", "--output", "/proc/report"], "the report's folder cannot be created: "),
        (["--yes", "--region", "us-est-1"], "unknown region: us-est-1"),
    ],
)
def test_nothing_is_made_over_the_budget_without_a_yes_or_with_a_mistake(
    cloud: Cloud, tmp_path: Path, arguments: list[str], message: str
) -> None:
    key_of(cloud)
    before = everything(cloud)
    rehearsed = Rehearsed(cloud, tmp_path / "report", *arguments)
    assert rehearsed.end() == 2, rehearsed.text()
    assert message in rehearsed.text()
    assert everything(cloud) == before
    made = [each["operation"] for each in cloud.audit() if each["kind"] == "call"]
    assert not [
        each
        for each in made
        if each.startswith(("Create", "Put", "Request", "Run"))
        and each not in ("CreateUser", "PutUserPolicy", "CreateAccessKey")
    ]
