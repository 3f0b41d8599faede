"""Whose a fleet is: exactly the annex's whose ID is all that stands before its token's last underscore."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest

from test.cloud import Cloud
from test.lease.annexes import LONG_OVER_S, TEMPLATE, Annex

Run = Callable[..., dict[str, Any]]


def test_the_lease_of_an_annex_ends_its_own_fleets_all_of_them(annex: Annex, run: Run) -> None:
    fleets = [annex.arm().request(2), annex.request(3)]
    receipt = run(annex)
    assert receipt["outcome"] == "ended"
    assert receipt["instances_ended"] == 5
    assert set(receipt["fleets"]) == set(fleets)
    assert annex.alive(*fleets) == []
    assert not annex.is_leased()


@pytest.mark.parametrize(
    "token",
    [
        "{id}2_0123456789abcdef",
        "{id}-2_0123456789abcdef",
        "{id}_2_0123456789abcdef",
        "{id}__0123456789abcdef",
        "x{id}_0123456789abcdef",
        "{half}_0123456789abcdef",
        "{upper}_0123456789abcdef",
        "{id}",
        "_{id}",
        "",
    ],
)
def test_a_fleet_that_only_looks_like_the_annexs_is_never_touched(annex: Annex, run: Run, token: str) -> None:
    own = annex.arm().request()
    name = annex.annex_id
    other = annex.request(1, token.format(id=name, half=name[:9], upper=name.upper()))
    assert run(annex)["outcome"] == "ended"
    assert annex.alive(own) == []
    assert len(annex.alive(other)) == 1
    assert annex.state(other) == "active"


def test_an_annex_id_may_have_underscores_of_its_own(cloud: Cloud, function_arn: str, run: Run) -> None:
    stem = f"a{uuid.uuid4().hex[:8]}"
    short, longer = (Annex(cloud, function_arn, annex_id=name).arm() for name in (stem, f"{stem}_b"))
    fleet_of_short, fleet_of_longer = short.request(), longer.request()
    assert run(longer)["outcome"] == "ended"
    assert len(short.alive(fleet_of_short)) == 1
    assert longer.alive(fleet_of_longer) == []


def test_a_fleet_made_by_hand_from_a_copy_with_the_annexs_tags_is_not_its_own(annex: Annex, run: Run) -> None:
    annex.over_s = LONG_OVER_S
    copy = annex.arm().request(1, token="")
    assert annex.cloud.running_instances()[-1]["tags"]["htcondor:annex-id"] == annex.annex_id
    receipt = run(annex)
    assert receipt["outcome"] == "ended"
    assert receipt["fleets_found"] == 0
    assert len(annex.alive(copy)) == 1


def test_its_fleets_are_found_on_every_page_and_cancelled_by_the_hundred() -> None:
    with Cloud(speed=0) as crowded:
        _check_a_crowd(Annex(crowded, crowded.deploy_template(TEMPLATE)).arm())


def _check_a_crowd(annex: Annex) -> None:
    for number in range(1390):
        annex.request(1, token=f"crowd-{annex.annex_id}_{number:016}")
    fleets = [annex.request(1) for _ in range(110)]
    annex.cloud.tick(annex.annex_id)
    [ended] = annex.cloud.effects("function ended")
    assert (ended["payload"]["outcome"], ended["payload"]["fleets_found"]) == ("ended", 110)
    assert annex.alive(*fleets) == []
    assert len(annex.cloud.running_instances()) == 1390
    sizes = [len(call["params"]["SpotFleetRequestIds"]) for call in annex.cloud.calls("CancelSpotFleetRequests")]
    assert sizes == [100, 10]
