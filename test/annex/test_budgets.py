"""Budgets on the emulated AWS: nothing is ordered without a reservation, and unspent money returns."""

from __future__ import annotations

import contextlib
import json
import threading
from typing import Any

import pytest

from annexd.annex.bulk_request import bulk_request
from annexd.annex.lease.lease import TAG_LEASE_END, utc
from annexd.annex.past_prices import past_prices
from annexd.annex.reconcile import Report, reconcile
from annexd.annex.reply import ReplyAd
from annexd.annex.request.order import FleetOrder
from annexd.annex.reservations import Rules
from annexd.annex.settlement import Settlement
from annexd.annex.status import Snapshot
from annexd.annex.steps import StepContext
from annexd.annex.usage_recorder import UsageRecorder
from annexd.budget.budget import Budget, Period
from annexd.budget.ledger import Account
from annexd.budget.money import MICRO
from annexd.workflow import Retry
from test.annex.ads import OWNER
from test.annex.priced import seen
from test.annex.site import BYSTANDER, Site, wait_for

SPECIFICATIONS = {"LaunchSpecifications": [seen()], "SpotPrice": None}


def limit(site: Site, dollars: float, rate: float | None = None, **more: Any) -> None:
    """Give the site a single budget, per month."""
    budget = Budget("physics", int(dollars * MICRO), Period.MONTH, None if rate is None else int(rate * MICRO), **more)
    site.rules = Rules((budget,))


def account(site: Site) -> Account:
    with site.life() as life:
        assert life.reservations is not None
        return life.reservations.accounts(site.now_s())[0]


def ordered(site: Site, **changes: Any) -> ReplyAd:
    return site.order(**{**SPECIFICATIONS, **changes})


def accepted(site: Site, **changes: Any) -> ReplyAd:
    reply = ordered(site, **changes)
    assert reply["Result"] == "Success", reply
    return reply


def need_of(site: Site, **changes: Any) -> int:
    """Return the micro-dollars that such an order reserves, by its quote."""
    quote = json.loads(str(site.quote(**{**SPECIFICATIONS, **changes})["Quote"]))
    whole, _, parts = quote["Budgets"][0]["Need"].partition(".")
    return int(whole) * MICRO + int(parts)


def looked(site: Site, context: StepContext, order: FleetOrder) -> tuple[float, Report]:
    """Reconcile until it succeeds, since a busy host may respond late; return when that began, and the report."""
    reports: list[tuple[float, Report]] = []

    def look() -> bool:
        began_s = site.now_s()
        with contextlib.suppress(Retry):
            reports.append((began_s, reconcile(context, order.target, set)))
        return bool(reports)

    wait_for(look, "a look at the account", 60.0)
    return reports[0]


def settled(site: Site) -> Account:
    """Reconcile, settle what is gone, and return the budget's account."""
    with site.life() as life:
        assert life.reservations is not None
        recorder, settlement = UsageRecorder(life.index), Settlement(life.index, life.reservations)
        looks = {}
        for known in life.index.all():
            order = life.index.engine.state(known.command_id).order_as(FleetOrder)
            assert order is not None
            began_s, report = looked(site, life.step_context, order)
            recorder.record(order.target.key, report.launches, began_s)
            looks[order.target.key] = Snapshot(began_s, {each.annex_id: each for each in report.annexes})
            unpriced = recorder.unpriced().get(order.target.key, {})
            if unpriced:
                prices = past_prices(life.step_context, order.target, site.asking(), unpriced).prices
                recorder.price({order.target.key}, prices)
        settlement.sweep(looks, site.now_s())
        return life.reservations.accounts(site.now_s())[0]


def test_an_order_reserves_its_worst_case_and_the_next_one_has_only_what_is_left(priced: Site) -> None:
    limit(priced, 1)
    end_s = int(priced.now_s()) + 3600
    need = need_of(priced, EndOfLease=end_s)
    accepted(priced, EndOfLease=end_s)
    first = account(priced)
    assert first.annexes == 1
    assert 0 < first.reserved.money <= need
    priced.rules = Rules((Budget("physics", 2 * need - 1000, Period.MONTH),))
    reply = ordered(priced)
    assert reply["Result"] == "InvalidState"
    assert "budget physics: this can cost $0." in str(reply["ErrorString"])
    assert "are left" in str(reply["ErrorString"])
    assert ("order 1 instead of 2" in str(reply["ErrorString"]), reply["CapacityLeft"]) == (True, 1)
    priced.rules = Rules((Budget("physics", need + need // 4, Period.MONTH),))
    reply = ordered(priced)
    assert ("order less" in str(reply["ErrorString"]), reply["CapacityLeft"]) == (True, 0)
    assert len(priced.live_fleets()) == 1


@pytest.mark.parametrize(("api", "price"), [("SpotFleet", "SpotPrice"), ("EC2Fleet", "MaxPrice")])
def test_an_order_under_a_budget_sends_the_list_price_as_the_bound(priced: Site, api: str, price: str) -> None:
    limit(priced, 10)
    reply = accepted(priced, FleetAPI=api, LaunchSpecifications=[seen(), seen(InstanceType="c5.xlarge")])
    [fleet] = priced.live_fleets()
    config = fleet["config"]
    parts = config.get("LaunchSpecifications") or [
        each for template in config["LaunchTemplateConfigs"] for each in template["Overrides"]
    ]
    assert {each["InstanceType"]: each[price] for each in parts} == {"m5.large": "0.096000", "c5.xlarge": "0.170000"}
    assert "this bound of the Spot price is sent" in str(reply["Warning"])
    with priced.life() as life:
        order = life.index.engine.state(str(reply["CommandID"])).order_as(FleetOrder)
        assert order is not None
        assert str(order.config).count("0.096000") == 1, "the journal has what was sent"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"LaunchSpecifications": [seen(InstanceType="r5.large")]}, "the On-Demand price of r5.large"),
        ({"LaunchSpecifications": [seen(InstanceType="t3.micro")]}, "unlimited CPU credits"),
        ({"LaunchSpecifications": [seen("ami-12345678")]}, "the volumes of the image"),
        (
            {
                "LaunchSpecifications": None,
                "LaunchTemplateConfigs": [
                    {
                        "LaunchTemplateSpecification": {"LaunchTemplateName": "mine", "Version": "1"},
                        "Overrides": [{"InstanceType": "m5.large"}],
                    }
                ],
            },
            "a launch template of yours",
        ),
    ],
)
def test_an_order_without_a_bound_is_refused_only_under_a_budget(
    priced: Site, changes: dict[str, Any], message: str
) -> None:
    limit(priced, 1000)
    reply = ordered(priced, **changes)
    assert reply["Result"] == "InvalidRequest", reply
    assert "budget physics: this order has no bound" in str(reply["ErrorString"])
    assert message in str(reply["ErrorString"])
    assert priced.live_fleets() == []
    priced.rules = Rules(priced.rules.budgets, lambda _applies, _ad: False)
    assert message not in str(ordered(priced, **changes).get("ErrorString"))


def test_without_a_budget_that_applies_aws_is_asked_nothing_more(priced: Site) -> None:
    accepted(priced)
    calls = priced.operations()
    priced.cloud.clear_audit()
    limit(priced, 0.000001)
    priced.rules = Rules(priced.rules.budgets, lambda _applies, _ad: False)
    accepted(priced)
    assert priced.operations() == calls
    assert account(priced).reserved.money == 0


def test_the_rate_counts_what_is_reserved_at_once(priced: Site) -> None:
    limit(priced, 1000, rate=0.41)  # two machines of 0.096, their volumes and addresses: a little above 0.2 an hour
    accepted(priced)
    reply = ordered(priced)
    assert reply["Result"] == "InvalidState"
    assert "an hour at once" in str(reply["ErrorString"])
    limit(priced, 1000, rate=0.42)
    accepted(priced)
    assert len(priced.live_fleets()) == 2


def test_64_orders_at_once_never_exceed_the_budget(priced: Site) -> None:
    limit(priced, 100)
    end_s = int(priced.now_s()) + 3600
    need = need_of(priced, TargetCapacity=1, EndOfLease=end_s)
    limit(priced, (5 * need + need // 2) / MICRO)
    replies: list[ReplyAd] = []
    with priced.life() as life:

        def order() -> None:
            ad = priced.ad(**SPECIFICATIONS, TargetCapacity=1, EndOfLease=end_s)
            replies.append(
                bulk_request(
                    ad, OWNER, life.index.engine, priced.asking(), priced.now_s(), access=life.step_context.access,
                    reservations=life.reservations,
                )
            )  # fmt: skip

        threads = [threading.Thread(target=order) for _ in range(64)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
    results = [each["Result"] for each in replies]
    refused = results.count("InvalidState")  # on a busy host, some orders may get their prices too late
    assert (len(results), results.count("Success")) == (64, 5), results
    assert refused > 30, results
    found = account(priced)
    assert found.left is not None
    assert found.left >= 0
    assert len(priced.live_fleets()) == 5


@pytest.mark.parametrize("written", [False, True])
@pytest.mark.parametrize("at", range(1, 13))
def test_a_crash_at_each_append_leaves_order_and_reservation_or_neither(priced: Site, at: int, written: bool) -> None:
    limit(priced, 100)
    end_s = int(priced.now_s()) + 3600
    need = need_of(priced, EndOfLease=end_s)
    limit(priced, (need + need // 2) / MICRO)
    with priced.mortal(at, written=written):
        ordered(priced, CommandID="first", EndOfLease=end_s)
    second = ordered(priced, CommandID="second", EndOfLease=end_s)
    priced.restart()
    first = ordered(priced, CommandID="first", EndOfLease=end_s)
    assert [first["Result"], second["Result"]].count("Success") == 1, (first, second)
    found = account(priced)
    assert found.left is not None
    assert found.left >= 0
    assert found.annexes == 1
    assert len(priced.live_fleets()) == 1


def test_an_extension_reserves_the_difference_and_a_shortening_returns_it(priced: Site) -> None:
    limit(priced, 1)
    annex, command = str(accepted(priced)["AnnexID"]), iter(range(9))
    before = account(priced)
    reply = priced.change(annex, LeaseExtension=3600, CommandID=f"c-{next(command)}")
    assert reply["Result"] == "Success", reply
    longer = account(priced)
    assert longer.reserved.money - before.reserved.money == pytest.approx(before.reserved.rate, abs=2)
    assert longer.reserved.rate == before.reserved.rate
    refused = priced.change(annex, LeaseExtension=36000, CommandID=f"c-{next(command)}")
    assert refused["Result"] == "InvalidState"
    assert "budget physics: this can cost $2." in str(refused["ErrorString"])
    assert account(priced) == longer
    end_s = int(str(reply["EndOfLease"])) - 3600
    assert priced.change(annex, EndOfLease=end_s, CommandID=f"c-{next(command)}")["Result"] == "Success"
    assert account(priced).reserved == before.reserved


def test_a_growing_annex_reserves_the_difference_first(priced: Site) -> None:
    limit(priced, 1)
    annex = str(accepted(priced)["AnnexID"])
    before = account(priced)
    assert priced.resize(annex, 3, CommandID="more")["Result"] == "Success"
    after = account(priced)
    assert after.reserved.rate == pytest.approx(before.reserved.rate * 1.5, abs=2)
    refused = priced.resize(annex, 30, CommandID="many")
    assert refused["Result"] == "InvalidState"
    assert "budget physics" in str(refused["ErrorString"])
    assert account(priced) == after
    assert priced.change(annex, LeaseExtension=600, CommandID="longer")["Result"] == "Success"


def test_an_annex_of_which_a_budget_knows_nothing_is_not_extended_under_it(priced: Site) -> None:
    annex = str(accepted(priced)["AnnexID"])
    limit(priced, 1000)
    refused = priced.change(annex, LeaseExtension=600, CommandID="longer")
    assert refused["Result"] == "InvalidState"
    assert "when budget physics did not apply" in str(refused["ErrorString"])
    end_s = int(priced.now_s()) + 3000
    assert priced.change(annex, EndOfLease=end_s, CommandID="shorter")["Result"] == "Success"


def test_the_reservation_of_an_undone_order_is_returned_whole(priced: Site) -> None:
    limit(priced, 1)
    priced.cloud.fault("RequestSpotFleet", "denied", times=10)
    reply = ordered(priced, FleetAPI="SpotFleet")
    assert reply["Result"] == "Failure", reply
    found = account(priced)
    assert (found.reserved.money, found.reserved.rate, found.spent) == (0, 0, 0)
    assert settled(priced).spent == 0


def test_a_failed_order_whose_machines_may_have_run_counts_for_the_time_it_took(priced: Site) -> None:
    limit(priced, 1)
    priced.cloud.fault("RequestSpotFleet", "internal", times=100, when="after")
    reply = ordered(priced, FleetAPI="SpotFleet")
    assert reply["Result"] == "Failure", reply
    held = account(priced)
    assert held.reserved.money > 0
    priced.cloud.clear_faults()
    found = settled(priced)
    assert found.reserved.money == 0
    assert 0 < found.spent < held.reserved.money / 5


def test_a_cancelled_annex_counts_what_ran_and_returns_the_rest(priced: Site) -> None:
    limit(priced, 1)
    annex = str(accepted(priced)["AnnexID"])
    wait_for(lambda: len(priced.cloud.running_instances()) == 2, "both machines")
    reserved = settled(priced).reserved.money
    assert reserved == account(priced).reserved.money > 0, "it lives"
    assert priced.cancel(annex, CommandID="cancel")["Result"] == "Success"
    priced.away_s = 100.0  # beyond the minimum time that is billed
    found = settled(priced)
    assert found.reserved.money == 0
    assert 0 < found.spent < reserved
    assert found.annexes == 0
    assert account(priced) == found, "after a restart, too"


def check_holds(site: Site, annex_id: str) -> None:
    """Check that an annex at rest reserves exactly the amount of its fleets until its end, within the budget."""
    with site.life() as life:
        assert life.reservations is not None
        [known] = [each for each in life.index.all() if each.annex_id == annex_id]
        end_s, entry = life.index.end_s(known), life.reservations.entries()[annex_id]
        [found] = life.reservations.accounts(site.now_s())
    assert found.reserved.money == sum(each.amount(end_s) for each in entry.holds.values())
    assert found.left is not None
    assert found.left >= 0


@pytest.mark.parametrize("written", [False, True])
@pytest.mark.parametrize("at", range(1, 11))
def test_a_crash_at_each_append_of_an_extension_reserves_for_the_end_that_the_lease_has(
    priced: Site, at: int, written: bool
) -> None:
    limit(priced, 0.6)  # enough for the order and one of two extensions
    annex = str(accepted(priced)["AnnexID"])
    with priced.mortal(at, written=written):
        priced.change(annex, LeaseExtension=3600, CommandID="first")
    priced.restart()
    priced.change(annex, LeaseExtension=3600, CommandID="second")
    priced.restart()
    check_holds(priced, annex)


@pytest.mark.parametrize("written", [False, True])
@pytest.mark.parametrize("at", range(1, 13))
def test_a_crash_at_each_append_of_a_growth_reserves_for_the_fleets_that_there_are(
    priced: Site, at: int, written: bool
) -> None:
    limit(priced, 0.6)
    annex = str(accepted(priced)["AnnexID"])
    with priced.mortal(at, written=written):
        priced.resize(annex, 4, CommandID="first")
    priced.restart()
    priced.resize(annex, 6, CommandID="second")
    priced.restart()
    check_holds(priced, annex)
    machines = sum(int(fleet["config"]["TargetCapacity"]) for fleet in priced.live_fleets())
    assert account(priced).reserved.rate == pytest.approx(machines * 103_381, abs=5)


def test_a_lease_that_ends_later_than_annexd_knows_is_not_extended_beyond_what_is_reserved(priced: Site) -> None:
    limit(priced, 1)
    reply = accepted(priced)
    [fleet] = priced.live_fleets()
    later_s = int(str(reply["EndOfLease"])) + 1800
    tag = {"Key": TAG_LEASE_END, "Value": utc(later_s)}
    priced.cloud.client("ec2", BYSTANDER).create_tags(Resources=[fleet["id"]], Tags=[tag])
    before = account(priced)
    refused = priced.change(str(reply["AnnexID"]), LeaseExtension=3600, CommandID="longer")
    assert refused["Result"] == "Failure"
    assert "give the new end with -until" in str(refused["ErrorString"])
    assert account(priced) == before
    moved = priced.change(str(reply["AnnexID"]), EndOfLease=later_s + 600, CommandID="until")
    assert moved["Result"] == "Success", moved
    assert account(priced).reserved.money > before.reserved.money


@pytest.mark.parametrize("api", ["SpotFleet", "EC2Fleet"])
def test_a_quote_shows_the_bound_that_a_budget_has_sent_and_the_room_of_it(priced: Site, api: str) -> None:
    limit(priced, 1, rate=5)
    reply = priced.quote(**SPECIFICATIONS, FleetAPI=api)
    assert reply["Result"] == "Success", reply
    quote = json.loads(str(reply["Quote"]))
    [pool], [budget] = quote["Pools"], quote["Budgets"]
    assert (pool["PriceBound"], pool["PriceBoundIsSent"]) == ("0.096000", True)
    assert (budget["Name"], budget["Left"], budget["RateLeft"]) == ("physics", "1.000000", "5.000000")
    assert float(budget["Need"]) == pytest.approx(float(quote["Most"]["Total"]), abs=0.001)
    limit(priced, 0.1)
    assert "budget physics: this can cost" in str(priced.quote(**SPECIFICATIONS, FleetAPI=api)["ErrorString"])
    assert account(priced).reserved.money == 0, "a quote reserves nothing"
