"""Idle jobs become leased machines: a real pool, a real annexd, real jobs, and an AWS whose instances boot."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest

from test.system.annexes import JoiningSite
from test.system.demanding import WANTS, configure
from test.system.tool import condor_annex


@pytest.fixture(scope="module")
def site() -> Iterator[JoiningSite]:
    with JoiningSite(machines=2) as site:
        configure(site)
        yield site


def demand(site: JoiningSite) -> dict[str, Any]:
    done = condor_annex(site, "-demand", "-json")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def ads(site: JoiningSite, kind: str, *attributes: str) -> list[str]:
    asked = ("condor_status", "-any", "-constraint", f'MyType == "{kind}"', "-af", *attributes)
    return site.pool.tool(*asked).stdout.splitlines()


def offer_of(site: JoiningSite) -> dict[str, Any]:
    [found] = json.loads(condor_annex(site, "-offers", "-json").stdout)
    return dict(found)


def states(site: JoiningSite) -> set[str]:
    return {part["State"] for group in demand(site)["Groups"] for part in group["Parts"]}


def test_an_offer_whose_machines_are_unknown_is_named_to_its_jobs_in_the_words_of_its_knobs() -> None:
    with JoiningSite(machines=1) as site:
        configure(site, "ANNEX_DEMAND_OWNER = nobody-here", "ANNEX_OFFERS = small, gpu")
        site.submit("waiting", "echo served", *WANTS)
        site.wait(lambda: states(site) == {"Closed"}, f"the job to be seen: {demand(site)}", 90.0)
        why = condor_annex(site, "-why", "1.0").stdout
        for words in ("offer small: ", "ANNEX_DEFAULT_ACCESS_KEY_FILE", "ANNEX_DEMAND_OWNER"):
            assert words in why
        assert "PublicKeyFile" not in why
        shown = condor_annex(site, "-offers").stdout
        assert re.search(r"^gpu: .*ANNEX_OFFER_gpu_INSTANCE_TYPE .*ANNEX_OFFER_gpu_MAX", shown, re.MULTILINE), shown
        assert "Offer gpu cannot be used: " in site.log()
        site.pool.configure("ANNEX_OFFERS = gpu\n")
        site.wait(lambda: "offer gpu cannot be used" in condor_annex(site, "-why", "1.0").stdout, "the reason", 60.0)


def test_observing_shows_that_a_budget_would_refuse_and_each_job_its_own_reason() -> None:
    with JoiningSite(machines=1) as site:
        site.cloud.set_prices(
            spot={"m5.large": [[-3600, 0.03]]}, on_demand={"m5.large": 0.1}, gb_month=0.1, address_hour=0.005
        )
        budget = ("ANNEX_BUDGETS = jobs", "ANNEX_BUDGET_jobs_DOLLARS = 0.001", "ANNEX_BUDGET_jobs_PERIOD = day")
        applies = 'ANNEX_BUDGET_jobs_APPLIES = Offer == "small"'
        prices = (f"ANNEX_DEFAULT_PRICING_URL = {site.cloud.url}", "ANNEX_OFFER_small_VOLUME_SIZE = 20G")
        image = "ANNEX_OFFER_small_IMAGE = ami-03cf127a"
        configure(site, *budget, applies, *prices, image)
        site.submit("waiting", "echo served", *WANTS)
        site.submit("other", "echo served")
        site.wait(lambda: states(site) == {"Closed", "NoOffer"}, "both jobs", 90.0)
        why = condor_annex(site, "-why", "1.0").stdout
        assert "offer small: budget jobs: this can cost $" in why, why
        assert "NoOffer" not in why
        assert "WantAnnex" in condor_annex(site, "-why", "2").stdout
        assert condor_annex(site, "-pause", "small").returncode == 0
        assert ": pause of offer small" in site.log()


def test_a_job_is_observed_then_served_and_its_machine_is_the_offers(site: JoiningSite) -> None:
    output = site.submit("demanding", "echo served", *WANTS)
    site.wait(lambda: states(site) == {"Ordering"}, f"the job to be seen: {demand(site)}", 90.0)
    assert not site.fleets(), "observe orders nothing"
    shown = condor_annex(site, "-demand")
    assert "1 machine of offer small" in shown.stdout, shown.stdout + shown.stderr
    assert "ANNEX_DEMAND is observe: nothing is ordered" in shown.stdout
    why = condor_annex(site, "-why", "1.0")
    assert why.stdout == "1 job like it: Ordering, 1 machine of offer small (observed only: nothing is ordered)\n", why
    offers = condor_annex(site, "-offers")
    assert re.search(r"^small +ready +0 +0 +2 +1 +2 ", offers.stdout, re.MULTILINE), offers.stdout

    site.wait(lambda: ads(site, "AnnexOffer", "Offer", "AnnexState") == ["small ready"], "the offer's ad", 60.0)
    site.wait(lambda: ads(site, "AnnexDemand", "Idle", "JobsOrdering") == ["1 1"], "the jobs' ad", 60.0)

    site.pool.configure("ANNEX_DEMAND = enforce\n")
    assert site.output_of(output, 120.0) == "served\n"
    [fleet] = site.fleets()
    assert fleet["config"]["TargetCapacitySpecification"]["TotalTargetCapacity"] == 1
    assert {offer for _slot, offer in site.slots("AnnexOffer")} == {"small"}
    site.wait(lambda: offer_of(site)["Source"] == "a machine", f"its photograph: {offer_of(site)}", 60.0)
    total = site.slots("TotalSlotMemory", "TotalSlotCpus")[0][1:]
    assert [str(offer_of(site)[name]) for name in ("Memory", "Cpus")] == total


def test_a_paused_offer_orders_nothing_and_a_resumed_one_does(site: JoiningSite) -> None:
    paused = condor_annex(site, "-pause", "small")
    assert (paused.returncode, paused.stdout) == (0, "Offer small is paused: nothing more is ordered by it\n"), paused
    for name in ("first", "second"):
        site.submit(name, "sleep 600", *WANTS, "request_cpus = 2")
    site.wait(lambda: "Closed" in states(site), f"a job to wait: {demand(site)}", 90.0)
    offer = offer_of(site)
    assert (offer["State"], offer["Wanted"]) == ("closed", 0)
    assert "condor_annex -resume small" in offer["Why"]
    assert "paused by" in condor_annex(site, "-why", "3.0").stdout + condor_annex(site, "-why", "2.0").stdout
    assert "has no job 99.0" in condor_annex(site, "-why", "99").stderr
    before = len(site.fleets())
    resumed = condor_annex(site, "-resume", "small")
    assert (resumed.returncode, resumed.stdout) == (0, "Offer small is resumed\n"), resumed
    site.wait(lambda: len(site.fleets()) > before, f"an order: {demand(site)}", 60.0)


def test_capacity_that_aws_refuses_is_not_asked_for_again_at_once() -> None:
    with JoiningSite("ANNEX_PROVISIONING_DELAY = 15\n", machines=1) as site:
        site.cloud.set_capacity(**{"m5.large * spot": 0})
        configure(site, "ANNEX_DEMAND = enforce")
        site.submit("hopeless", "echo served", *WANTS)
        site.wait(lambda: len(site.fleets(active=False)) == 1, f"an order: {demand(site)}", 60.0)
        closed = "small: all its capacity is closed until"
        site.wait(
            lambda: closed in condor_annex(site, "-offers").stdout, f"its type to be closed: {demand(site)}", 150.0
        )
        assert site.log().count("Demand: ordering") == 1


def test_the_pools_own_rules_confirm_demand_before_anything_is_ordered() -> None:
    with JoiningSite(machines=1) as site:
        configure(site, "ANNEX_DEMAND_CONFIRM = ghosts")
        output = site.submit("confirmed", "echo served", *WANTS)
        site.wait(lambda: states(site) == {"NotConfirmed"}, f"the job to be seen: {demand(site)}", 90.0)
        word = "condor_annex -demand-config writes its configuration"
        site.wait(lambda: word in condor_annex(site, "-why", "1.0").stdout, f"the reason: {demand(site)}", 60.0)
        site.pool.configure(condor_annex(site, "-demand-config").stdout)
        site.wait(lambda: states(site) == {"Ordering"}, f"the negotiator's answer: {demand(site)}", 120.0)
        assert not site.fleets(), "observe orders nothing"
        stop_while_a_negotiator_is_busy(site)
        site.pool.configure("ANNEX_DEMAND = enforce\n")
        assert site.output_of(output, 120.0) == "served\n"
        site.wait(lambda: not ghosts(site), f"no ghost without demand: {ghosts(site)}", 60.0)


def stop_while_a_negotiator_is_busy(site: JoiningSite) -> None:
    """Stop annexd while it may wait for the ghosts' negotiator, which hangs; check that no ghost stays in the pool."""
    assert ghosts(site)
    [log] = [each for each in (site.pool.directory / "log").glob("NegotiatorAnnex*Log") if "MatchLog" not in each.name]
    negotiator, annexd = int(re.findall(r"\*\* PID = (\d+)", log.read_text())[-1]), site.pid()
    starts = site.starts()
    os.kill(negotiator, signal.SIGSTOP)
    try:
        time.sleep(3)  # longer than ANNEX_DEMAND_INTERVAL
        site.pool.tool("condor_off", "-daemon", "annexd")
        site.wait_for_end(annexd)
    finally:
        os.kill(negotiator, signal.SIGCONT)
    assert not ghosts(site)
    site.pool.tool("condor_on", "-daemon", "annexd")
    site.wait_for_restart(starts)


def ghosts(site: JoiningSite) -> str:
    return site.pool.tool("condor_status", "-constraint", "Offline =?= true", "-af", "Name").stdout
