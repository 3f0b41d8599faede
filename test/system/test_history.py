"""-history shows an owner each order, its end, and its instances' run time, from journal and archive."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from typing import Any

import pytest

from annexd.tool import costs
from annexd.tool.errors import REFUSED
from test.cloud import Cloud
from test.replies import accepted
from test.system.site import Site
from test.system.tool import as_user, condor_annex

CONFIG = "ANNEXD_RECONCILE_INTERVAL = 1\nQUEUE_SUPER_USERS = root, condor, chief\n"
CONFIG += "ALLOW_ANNEX = mallory@annexd.test, chief@annexd.test\n"


@pytest.fixture(scope="module")
def site(cloud: Cloud) -> Iterator[Site]:
    with Site(cloud, CONFIG) as site:
        yield site


def history(site: Site, *arguments: str, **more: Any) -> list[dict[str, Any]]:
    done = condor_annex(site, "-history", "-json", *arguments, **more)
    assert done.returncode == 0, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def test_it_shows_what_was_ordered_how_it_ended_and_how_long_it_ran_also_after_a_kill(site: Site) -> None:
    site.cloud.set_prices(spot={"m5.large us-east-1a": [[-3600, 36.0]]})
    one = accepted(site.order(TargetCapacity=2, AnnexName="first", SpotPrice="100"))
    site.wait(lambda: (history(site, "first")[0]["InstanceSeconds"] or 0) > 0, "instance-seconds")
    site.wait(lambda: history(site, "first")[0]["UnpricedInstances"] == 0, "prices", 60.0)
    [living] = json.loads(condor_annex(site, "-status", "-json").stdout)
    assert living["EstimatedCost"] >= 1.2, "a minute each, at a cent a second"
    assert costs.NOTE in condor_annex(site, "-status").stdout
    constraint = f'MyType == "Annex" && Name == "{one["AnnexID"]}" && EstimatedCost >= 1.2'
    asked = ("condor_status", "-any", "-constraint", constraint, "-af", "UnpricedInstances")
    site.wait(lambda: site.pool.tool(*asked).stdout.split() == ["0"], "its ad with the cost", 60.0)
    site.cloud.fault("RequestSpotFleet", "denied")
    assert site.order()["Result"] == "Failure"
    cancelled = condor_annex(site, "-cancel", one["AnnexID"])
    assert cancelled.returncode == 0, cancelled.stderr
    site.wait(lambda: history(site, "first")[0]["InstancesEnded"] == 2, "its instances to have ended")
    before = history(site)
    starts = site.starts()
    site.kill()
    site.wait_for_restart(starts)
    after = history(site)
    assert [each["State"] for each in after] == ["failed", "cancelled"], "the newest first"
    assert after == before
    failed, ended = after
    assert "RequestSpotFleet" in failed["Reason"] or "denied" in failed["Reason"].lower()
    assert (failed["InstanceSeconds"], failed["EstimatedCost"]) == (None, None), "no invented number"
    billed = site.cloud.meter()["annexes"][one["AnnexID"]]
    error = 0.01 * ended["InstanceSecondsError"] + 0.02
    assert (ended["EstimatedCost"], billed["unpriced"]) == (pytest.approx(billed["dollars"], abs=error), 0)
    assert (ended["AnnexName"], ended["TargetCapacity"], ended["BulkRequestID"]) == ("first", 2, one["BulkRequestID"])
    assert ended["OrderTime"] <= ended["EndOfLease"] < ended["OrderedEndOfLease"]
    assert 0 < ended["InstanceSeconds"] < 600
    shown = condor_annex(site, "-history")
    assert f"{ended['EstimatedCost']:.2f}" in shown.stdout
    assert costs.NOTE in shown.stderr


def test_csv_limit_since_and_sums_by_owner(site: Site) -> None:
    for number in range(3):
        accepted(site.order(AnnexName=f"annex-{number}"))
    assert [each["AnnexName"] for each in history(site, "-limit", "2")] == ["annex-2", "annex-1"]
    done = condor_annex(site, "-history", "-csv", "-limit", "2")
    assert [row["AnnexName"] for row in csv.DictReader(io.StringIO(done.stdout))] == ["annex-2", "annex-1"]
    assert "only the newest 2" in done.stderr
    assert history(site, "-since", "2040-01-01T00:00Z") == []
    total = history(site, "-by", "owner")
    assert [each["Annexes"] for each in total] == [len(history(site))]
    priced = [each["EstimatedCost"] or 0.0 for each in history(site)]
    assert total[0]["EstimatedCost"] == pytest.approx(sum(priced), abs=0.5)


def test_only_its_owner_and_super_users_see_an_annex(site: Site) -> None:
    annex = accepted(site.order())["AnnexID"]
    stranger = condor_annex(site, "-history", annex, env=as_user(site, "mallory"))
    assert (stranger.returncode, stranger.stdout) == (REFUSED, "")
    assert "knows no annex" in stranger.stderr
    assert [each["AnnexID"] for each in history(site, annex, env=as_user(site, "chief"))] == [annex]
