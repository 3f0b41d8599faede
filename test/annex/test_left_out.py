"""A fleet that is missing from an EC2 list proves nothing, and ends no lease early."""

import time
from dataclasses import replace

from annexd.annex.lease.lease import TAG_LEASE_END, utc
from annexd.annex.reconcile import OVERDUE_S, reconcile
from test.annex.fleets import target
from test.annex.site import BYSTANDER, Site

HOUR_S = 3600


def test_an_annex_that_ec2_does_not_show_yet_is_cancelled_all_the_same(site: Site) -> None:
    site.step_context = lambda: replace(Site.step_context(site), settle_s=30.0)  # type: ignore[method-assign]  # as on a slow machine
    ordered = site.order()
    site.cloud.fault("DescribeSpotFleetRequests", "lag", lag_s=60.0)
    answer = site.cancel(str(ordered["AnnexID"]))
    assert answer["Result"] == "Success", answer
    site.check_nothing_left()


def test_a_fleet_that_the_list_leaves_out_is_not_ended_at_an_old_end_of_its_instances_stamps(site: Site) -> None:
    ordered = site.order()
    fleet_id = str(ordered["BulkRequestID"])
    site.beat()  # it stamps the instances
    ec2 = site.cloud.client("ec2", BYSTANDER)
    ec2.create_tags(Resources=[fleet_id], Tags=[{"Key": TAG_LEASE_END, "Value": utc(time.time() + 5 * HOUR_S)}])
    site.cloud.fault("DescribeSpotFleetRequests", "omit", matching=fleet_id)
    context = replace(site.step_context(), now_s=lambda: time.time() + HOUR_S + OVERDUE_S + 60)
    report = reconcile(context, target(site), set)
    assert (report.overdue, report.ended) == (frozenset(), ())
    assert len(report.instances) == 2
    assert [fleet["id"] for fleet in site.live_fleets()] == [fleet_id]
