"""Annexes by EC2 Fleet, created by hand: annexd sees, shortens and ends them as it does those by Spot Fleet."""

import time
from dataclasses import replace

import pytest

from annexd.annex.fleet.inventory import (
    cancel_fleet,
    end_fleet,
    fleets_of_annex,
    fleets_with_token,
    living_instances,
    take_inventory,
)
from annexd.annex.fleet.kinds import EC2_FLEET, SPOT_FLEET, kind_of
from annexd.annex.lease.identifiers import leased_token
from annexd.annex.lease.lease import tags, utc
from annexd.annex.reconcile import OVERDUE_S
from annexd.workflow import Refused, Retry
from test.annex.ads import OWNER
from test.annex.clouds import as_new, deployed
from test.annex.fleets import KEYS, by_hand, ec2_fleet, fleet, instances_of, look, stamp, writes
from test.annex.site import Site, wait_for
from test.cloud.orders import described_fleet, ec2_fleet_config, template

__all__ = ["as_new", "deployed"]  # a cloud of its own: instances run on in it
pytestmark = pytest.mark.usefixtures("as_new")

ROLE_MESSAGE = "iamFleetRoleInvalid"


@pytest.fixture(autouse=True)
def _of_the_cloud(site: Site) -> None:
    """Name the emulated AWS in the site's defaults, so that annexd trusts its clock."""
    site.defaults = replace(site.trusting(), lease_function_arn=site.arn)


def state_of(site: Site, fleet_id: str) -> str:
    return str(described_fleet(by_hand(site), fleet_id)["FleetState"])


def ended(site: Site, fleet_id: str) -> None:
    """End the fleet as the undo of an order does, until AWS shows nothing of it."""

    def is_ended() -> bool:
        [found] = [each for each in take_inventory(by_hand(site)).fleets if each.fleet_id == fleet_id]
        try:
            end_fleet(by_hand(site), fleet_id, found.state)
        except Retry:
            return False
        return True

    wait_for(is_ended, f"the end of {fleet_id}")


def test_an_annex_by_ec2_fleet_is_seen_beside_one_by_spot_fleet(site: Site) -> None:
    spot, ec2 = fleet(site, "annex-1", lease_s=1000), ec2_fleet(site, "annex-2", lease_s=2000)
    site.cloud.clear_audit()
    report = look(site)
    assert report.fleets == {spot, ec2}
    assert len(report.instances) == 4
    seen = {annex.annex_id: annex for annex in report.annexes}
    assert (seen["annex-2"].fleet_id, seen["annex-2"].owner, seen["annex-2"].instances) == (ec2, OWNER, 2)
    assert abs(float(seen["annex-2"].end_of_lease_s or 0) - time.time() - 2000) < 60
    assert (report.overdue, report.faults, writes(site)) == (frozenset(), (), [])


def test_answers_of_ec2_fleet_are_read_like_those_of_spot_fleet(site: Site) -> None:
    ids = [fleet(site, "annex-1", lease_s=1000), ec2_fleet(site, "annex-1", lease_s=1000)]
    found = {each.fleet_id: each for each in fleets_of_annex(by_hand(site), "annex-1", ())}
    first, second = (found[each] for each in ids)
    for name in ("state", "target", "fulfilled", "activity", "is_one_time", "is_ended", "written_end_s"):
        assert getattr(first, name) == getattr(second, name), name
    assert (first.kind, second.kind) == (SPOT_FLEET, EC2_FLEET)
    assert [kind_of(each) for each in ids] == [SPOT_FLEET, EC2_FLEET]
    assert fleets_with_token(by_hand(site), second.client_token, EC2_FLEET) == [second]
    assert fleets_with_token(by_hand(site), second.client_token) == []


def test_fleets_on_every_page_are_read(site: Site) -> None:
    made_of = template(by_hand(site))
    tokens = [leased_token("annex-1", int(time.time()) + 1000) for _ in range(101)]
    for token in tokens:
        by_hand(site).create_fleet(**ec2_fleet_config(made_of, 1, ClientToken=token))
    site.cloud.clear_audit()
    found = fleets_of_annex(by_hand(site), "annex-1", ())
    assert sorted(each.client_token for each in found) == sorted(tokens)
    assert len(site.cloud.calls("DescribeFleets")) == 2
    cancel_fleet(by_hand(site), found[0].fleet_id)  # 100 are left, which one call can end


def test_a_foreign_fleet_is_never_ours_for_any_tags(site: Site) -> None:
    own = [{"ResourceType": "fleet", "Tags": tags("annex-1", OWNER, int(time.time()) - 9000)}]
    config = ec2_fleet_config(template(by_hand(site)), 2, TagSpecifications=own)
    by_hand(site).create_fleet(**config)
    report = look(site)
    assert (report.fleets, report.instances, report.annexes) == (frozenset(), frozenset(), ())
    assert len(site.cloud.running_instances()) == 2


@pytest.mark.parametrize("variant", ["acted-upon", "refused", "no-effect"])
@pytest.mark.parametrize("before", ["active", "deleted_running"])
def test_an_undo_ends_it_in_every_variant_and_from_every_state(site: Site, variant: str, before: str) -> None:
    site.cloud.behave(second_cancel=variant)
    fleet_id = ec2_fleet(site, "annex-1", lease_s=1000)
    if before == "deleted_running":
        by_hand(site).delete_fleets(FleetIds=[fleet_id], TerminateInstances=False)
    ended(site, fleet_id)
    assert (state_of(site, fleet_id), instances_of(site, fleet_id)) == ("deleted", [])


def test_instances_are_terminated_separately_if_deleting_with_them_is_denied(site: Site) -> None:
    fleet_id = ec2_fleet(site, "annex-1", lease_s=1000)
    site.cloud.fault("DeleteFleets", "denied", times=99, matching="TerminateInstances=true")
    ended(site, fleet_id)
    assert (state_of(site, fleet_id), instances_of(site, fleet_id)) == ("deleted", [])


def test_a_fleet_that_may_not_be_deleted_at_all_is_refused_and_a_failure_of_one_entry_asked_again(site: Site) -> None:
    fleet_id = ec2_fleet(site, "annex-1", lease_s=1000)
    site.cloud.fault("DeleteFleets", "partial", matching=fleet_id)
    with pytest.raises(Retry, match="unexpectedError"):
        cancel_fleet(by_hand(site), fleet_id)
    site.cloud.fault("DeleteFleets", "denied", times=2)
    with pytest.raises(Refused, match="DeleteFleets"):
        cancel_fleet(by_hand(site), fleet_id)
    cancel_fleet(by_hand(site), fleet_id)
    cancel_fleet(by_hand(site), fleet_id)


def test_an_overdue_one_is_ended_by_reconciliation_and_no_other(site: Site) -> None:
    late, living = ec2_fleet(site, "annex-1", -OVERDUE_S - 60), ec2_fleet(site, "annex-2", lease_s=1000)
    report = look(site)
    assert report.overdue == {late}
    assert [message.partition(" ")[0] for message in report.ended] == [late]
    wait_for(lambda: instances_of(site, late) == [], "its instances are gone")
    assert len(instances_of(site, living)) == 2


@pytest.mark.parametrize("variant", ["refused", "empty"])
def test_stamped_instances_of_a_fleet_that_aws_has_forgotten_are_seen_and_ended(site: Site, variant: str) -> None:
    site.cloud.behave(unknown_fleet=variant)
    fleet_id = ec2_fleet(site, "annex-1", lease_s=1000)
    stamp(site, fleet_id, "annex-1", time.time() + 1000)
    site.cloud.forget_fleet(fleet_id)
    [seen] = look(site).annexes
    assert (seen.annex_id, seen.fleet_id, seen.instances) == ("annex-1", fleet_id, 2)
    assert len(living_instances(by_hand(site), fleet_id)) == 2
    look(site, ahead_s=1000 + OVERDUE_S + 60)
    wait_for(lambda: instances_of(site, fleet_id) == [], "its instances are gone")


def test_a_fleet_that_is_in_no_list_is_found_by_its_id(site: Site) -> None:
    fleet_id = ec2_fleet(site, "annex-1", lease_s=1000)
    stamp(site, fleet_id, "annex-1", time.time() - 9000)
    site.cloud.fault("DescribeFleets", "omit", matching=fleet_id)
    report = look(site)
    assert report.fleets == {fleet_id}
    assert not report.overdue
    assert len(instances_of(site, fleet_id)) == 2


@pytest.mark.parametrize("message", ["as-documented", "as-modelled"])
def test_a_fleet_that_starts_nothing_is_explained_by_its_own_history(site: Site, message: str) -> None:
    site.cloud.behave(fleet_trouble="role", fleet_events=message)
    fleet_id = ec2_fleet(site, "annex-1", lease_s=1000)
    assert ROLE_MESSAGE in look(site).troubles[fleet_id].text
    assert [call["params"]["FleetId"] for call in site.cloud.calls("DescribeFleetHistory")] == [fleet_id]


def test_one_that_aws_ended_beyond_a_quota_has_failed(site: Site) -> None:
    site.cloud.behave(fleet_trouble="fleet-quota")
    fleet_id = ec2_fleet(site, "annex-1", lease_s=1000)
    trouble = look(site).troubles[fleet_id]
    assert trouble.has_failed
    assert trouble.text.startswith("the EC2 Fleet was cancelled before anything was started")


@pytest.mark.parametrize("message", ["as-documented", "as-modelled"])
def test_a_fleet_that_somebody_deleted_with_its_instances_is_not_reported_as_trouble(site: Site, message: str) -> None:
    site.cloud.behave(fleet_events=message)
    fleet_id = ec2_fleet(site, "annex-1", lease_s=1000)
    by_hand(site).delete_fleets(FleetIds=[fleet_id], TerminateInstances=True)
    assert look(site).troubles == {}


@pytest.mark.parametrize("deleted_before", [False, True])
def test_a_user_cancels_it_by_its_id_at_once_and_for_good(site: Site, deleted_before: bool) -> None:
    fleet_id = ec2_fleet(site, "annex-1", lease_s=1000)
    if deleted_before:
        by_hand(site).delete_fleets(FleetIds=[fleet_id], TerminateInstances=False)
    answer = site.cancel(fleet_id, **KEYS)
    assert (answer["Result"], answer["BulkRequestID"]) == ("Success", fleet_id)
    assert state_of(site, fleet_id).startswith("deleted")
    wait_for(lambda: instances_of(site, fleet_id) == [], "its instances are gone")
    own = {each["Key"]: each["Value"] for each in described_fleet(by_hand(site), fleet_id)["Tags"]}
    assert "htcondor:annex-cancelled" in own


def test_a_user_shortens_it_by_its_annex_id(site: Site) -> None:
    fleet_id = ec2_fleet(site, "annex-1", lease_s=5000)
    end_s = int(time.time()) + 2000
    answer = site.change("annex-1", EndOfLease=end_s, **KEYS)
    assert answer["Result"] == "Success", answer["ErrorString"]
    own = {each["Key"]: each["Value"] for each in described_fleet(by_hand(site), fleet_id)["Tags"]}
    assert own["htcondor:annex-lease-end"] == utc(end_s)
