"""Leases of machines with jobs are extended: a real pool, real jobs, a budget, and a kill -9 during an extension."""

from __future__ import annotations

import json
from typing import Any

from annexd.annex.lease.lease import utc
from test.system.annexes import JoiningSite
from test.system.demanding import WANTS, configure
from test.system.site import end_in_aws
from test.system.tool import condor_annex

PRICES = {"on_demand": {"m5.large": 0.96}, "gb_month": 0.08, "address_hour": 0.005}
LEASE_S = 660  # less than ten minutes plus the drain, so an annex is due from the start
KNOBS = """
ANNEX_DEMAND = enforce
ANNEX_OFFER_small_IMAGE = ami-03cf127a
ANNEX_OFFER_small_VOLUME_SIZE = 20
ANNEX_OFFER_small_LEASE = 11m
ANNEX_OFFER_small_MAX_LEASE = 22m
ANNEX_OFFER_small_MAX = 1
ANNEX_BUDGETS = demand
ANNEX_BUDGET_demand_PERIOD = once
ANNEX_BUDGET_demand_DOLLARS = 0.45
"""


def offers(site: JoiningSite) -> str:
    done = condor_annex(site, "-offers")
    assert done.returncode == 0, done.stderr
    return done.stdout


def wait_for_word(site: JoiningSite, word: str) -> None:
    site.wait(lambda: word in offers(site), f"{word!r} in -offers: {offers(site)}", 60.0)


def leases(site: JoiningSite) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(condor_annex(site, "-demand", "-json").stdout)["Leases"]
    return found


def annex_of(site: JoiningSite) -> dict[str, Any]:
    [found] = json.loads(condor_annex(site, "-status", "-json").stdout)
    return dict(found)


def test_a_lease_is_extended_once_while_a_job_runs_and_only_as_far_as_the_budget_goes() -> None:
    with JoiningSite(machines=1) as site:
        site.cloud.set_prices(spot={"m5.large": [[-86400, 0.3]]}, **PRICES)
        configure(site, f"ANNEX_DEFAULT_PRICING_URL = {site.cloud.url}", KNOBS)
        site.submit("first", "sleep 600", *WANTS)
        site.wait(lambda: len(site.fleets()) == 1, f"an order: {offers(site)}", 60.0)
        wait_for_word(site, "budget demand: this can cost $0.1")
        annex = annex_of(site)
        end_s, words = annex["EndOfLease"], f"small: annex {annex['AnnexID']} ends at"
        assert words in offers(site)
        assert "and is not extended: no further try before" in offers(site)
        assert site.log().count(f"Demand: extending annex {annex['AnnexID']}") == 1, "it waits"

        site.pool.tool("condor_rm", "-all")
        site.wait(lambda: annex_of(site)["Claimed"] == 0, "the job to leave", 60.0)
        site.pool.configure("ANNEX_BUDGET_demand_DOLLARS = 5\n")
        wait_for_word(site, "and is not extended: no machine of it has a job")

        site.pool.configure("ANNEX_DEMAND = observe\n")
        site.submit("second", "sleep 600", *WANTS)
        wait_for_word(site, f"small: annex {annex['AnnexID']} would be extended from")
        [new_end_s] = [each["NewEndOfLease"] for each in leases(site)]
        assert abs(new_end_s - end_s - LEASE_S) <= 2, "a lease more, in whole seconds since it was accepted"
        assert end_in_aws(site, annex) == utc(end_s), "observe moves nothing"

        starts = site.starts()
        site.cloud.fault("CreateTags", "hang", when="before", hang_s=30, matching="lease-end")
        site.pool.configure("ANNEX_DEMAND = enforce\n")
        site.wait(lambda: not site.cloud.faults(), f"the call that hangs: {offers(site)}", 60.0)
        site.kill()
        site.wait_for_restart(starts)
        site.wait(lambda: "-extension-1 finished: Success" in site.log(), "annexd to go on with it", 60.0)
        site.wait(lambda: leases(site) == [], f"an end that is far away: {leases(site)}", 60.0)
        assert end_in_aws(site, annex) == utc(new_end_s), "once, not twice"
        assert annex_of(site)["EndOfLease"] == new_end_s
        assert "-extension-2" not in site.log()
