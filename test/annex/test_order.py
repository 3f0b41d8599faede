"""An order is complete, named exactly, tagged, and holds no key."""

import json
from typing import Any

from annexd.annex.lease.identifiers import LeasedToken, read_leased_token
from annexd.annex.request.defaults import Defaults
from annexd.annex.request.order import FleetOrder, new_order
from annexd.annex.request.request import BulkRequest
from annexd.workflow import from_json, to_json
from test.annex.ads import ID, NOW_S, OWNER, SPECIFICATION, bulk_request_ad

TAGS = {
    "htcondor:annex-owner": OWNER,
    "htcondor:annex-lease-end": "2027-01-15T09:00:00Z",
}


def order(owner: str = OWNER, **changes: Any) -> FleetOrder:
    return new_order(BulkRequest.from_ad(bulk_request_ad(**changes), NOW_S, Defaults()), owner)


def tags(entry: dict[str, Any]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in entry["Tags"]}


def test_fleet_and_instances_are_tagged_in_the_request_itself() -> None:
    one = order()
    expected = {"htcondor:annex-id": one.annex_id, **TAGS}
    [fleet] = one.config["TagSpecifications"]
    assert (fleet["ResourceType"], tags(fleet)) == ("spot-fleet-request", expected)
    [specification] = one.config["LaunchSpecifications"]
    [instance] = specification["TagSpecifications"]
    assert (instance["ResourceType"], tags(instance)) == ("instance", expected)


def test_the_users_own_tags_are_kept() -> None:
    mine = [{"ResourceType": "instance", "Tags": [{"Key": "project", "Value": "x"}]}]
    one = order(LaunchSpecifications=[{**SPECIFICATION, "TagSpecifications": mine}, SPECIFICATION])
    first, second = one.config["LaunchSpecifications"]
    assert len(first["TagSpecifications"]) == 1
    assert tags(first["TagSpecifications"][0]).items() >= {"project": "x", **TAGS}.items()
    assert "project" not in tags(second["TagSpecifications"][0])


def test_launch_templates_are_passed_on_as_they_are() -> None:
    configs = [{"LaunchTemplateSpecification": {"LaunchTemplateId": f"lt-{ID}", "Version": "1"}}]
    one = order(LaunchSpecifications=None, LaunchTemplateConfigs=configs)
    assert one.config["LaunchTemplateConfigs"] == configs
    assert "LaunchSpecifications" not in one.config


def test_two_orders_of_one_request_share_no_name() -> None:
    request = BulkRequest.from_ad(bulk_request_ad(), NOW_S, Defaults())
    first, second = new_order(request, OWNER), new_order(request, OWNER)
    assert first.annex_id != second.annex_id
    assert first.config["ClientToken"] != second.config["ClientToken"]
    assert first.config["ClientToken"] == first.client_token


def test_an_order_is_json_and_the_same_when_it_comes_back() -> None:
    one = order()
    assert from_json(FleetOrder, json.loads(json.dumps(to_json(one)))) == one


def test_an_owner_whose_name_is_not_a_valid_tag_value_is_still_tagged() -> None:
    [fleet] = order(owner="eve<script>\n@example.org" + "x" * 300).config["TagSpecifications"]
    value = tags(fleet)["htcondor:annex-owner"]
    assert value.startswith("eve_script__@example.orgx")
    assert len(value) == 256


def test_the_end_of_the_lease_is_in_the_immutable_token() -> None:
    one = order(EndOfLease=int(NOW_S) + 7200)
    assert read_leased_token(one.client_token) == LeasedToken(one.annex_id, int(NOW_S) + 7200)


def test_an_order_has_the_endpoint_of_the_log_and_none_of_eventbridge() -> None:
    endpoints = to_json(order().target.endpoints)
    assert "logs_url" in endpoints
    assert "events_url" not in endpoints
