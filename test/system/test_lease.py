"""The end of a lease: a real run of lambda/lease.py leaves nothing running, even without annexd."""

import json
import time

from test.system.site import Site

LEASE_S = 30


def end_of(site: Site, reply: dict[str, object]) -> None:
    """Wait until the lease has ended, and let its clock tick."""
    end_s = reply["EndOfLease"]
    assert isinstance(end_s, int)
    site.wait(lambda: time.time() > end_s, "the end of the lease")
    site.cloud.tick()


def test_before_its_end_the_lease_leaves_everything_running(site: Site) -> None:
    reply = site.order()
    site.cloud.tick()
    assert reply["BulkRequestID"] in [fleet["id"] for fleet in site.fleets()]


def test_after_its_end_fleet_and_instances_are_gone_while_annexd_is_dead(site: Site) -> None:
    other = site.order()
    reply = site.order(lease_s=LEASE_S, TargetCapacity=30)
    pid = site.pid()
    site.pool.tool("condor_off", "-fast", "-daemon", "annexd")
    site.wait_for_end(pid)
    end_of(site, reply)
    assert reply["BulkRequestID"] not in [fleet["id"] for fleet in site.fleets()]
    site.wait_until_gone(reply["BulkRequestID"])
    assert other["BulkRequestID"] in [fleet["id"] for fleet in site.fleets()], "another annex goes on"
    line = site.cloud.meter()["annexes"][reply["AnnexID"]]
    assert line["live"] == 0
    assert line["latest"] < 60, line
    site.pool.tool("condor_on", "-daemon", "annexd")
    site.wait(site.ad, "annexd to be back")


def test_launch_templates_are_leased_and_ended_too(site: Site) -> None:
    ad = site.request(lease_s=LEASE_S)
    del ad["LaunchSpecifications"]
    del ad["SpotPrice"]
    ad["LaunchTemplateConfigs"] = [
        {
            "LaunchTemplateSpecification": {"LaunchTemplateName": "worker", "Version": "1"},
            "Overrides": [{"InstanceType": "m5.large", "WeightedCapacity": 2.0}],
        }
    ]
    template = {"ImageId": "ami-0e5c4998acc873d00", "InstanceType": "m5.large"}
    site.cloud.client("ec2").create_launch_template(LaunchTemplateName="worker", LaunchTemplateData=template)
    [(reply, _code)] = site.send(ad)
    assert reply is not None
    assert reply["Result"] == "Success", reply
    [fleet] = [fleet for fleet in site.fleets() if fleet["id"] == reply["BulkRequestID"]]
    assert json.loads(json.dumps(fleet["config"]["LaunchTemplateConfigs"])) == ad["LaunchTemplateConfigs"]
    end_of(site, reply)
    assert reply["BulkRequestID"] not in [fleet["id"] for fleet in site.fleets()]
