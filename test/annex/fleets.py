"""Fleets in the account: requested as annexd does it, changed by hand, and read as annexd and AWS see them."""

import time
from collections.abc import Mapping, Set
from dataclasses import replace
from datetime import date
from types import MappingProxyType
from typing import Any

from annexd.annex.lease.identifiers import leased_token
from annexd.annex.lease.lease import TAG_CANCELLED, TAG_LEASE_END, lease_end, tags, utc
from annexd.annex.reconcile import Report, reconcile
from annexd.annex.request.account_target import AccountTarget, Requester
from annexd.annex.request.key_source import KeySource
from annexd.aws import Endpoints
from test.annex.ads import OWNER, SPECIFICATION
from test.annex.site import BYSTANDER, Site
from test.cloud.orders import ec2_fleet_config, template

BOB = "bob@example.org"
KEYS: dict[str, Any] = {"PublicKeyFile": "/home/alice/public", "SecretKeyFile": "/home/alice/secret"}
ROLE = "arn:aws:iam::123456789012:role/fleet"
MAX_LEASE_S = 2_592_000
NO_ENDS: Mapping[str, float] = MappingProxyType({})
READING = ("Describe", "List", "Get", "Filter")


def fleet(site: Site, annex_id: str, lease_s: float, token: str | None = None, its_tags: Any = None) -> str:
    """Request a Spot Fleet as annexd does, unless the arguments differ; return its ID."""
    end_s = int(time.time() + lease_s)
    its_tags = tags(annex_id, OWNER, end_s) if its_tags is None else its_tags
    config = {
        "IamFleetRole": ROLE, "TargetCapacity": 2, "Type": "request",
        "ClientToken": leased_token(annex_id, end_s) if token is None else token,
        "TagSpecifications": [{"ResourceType": "spot-fleet-request", "Tags": its_tags}],
        "LaunchSpecifications": [SPECIFICATION],
    }  # fmt: skip
    return str(by_hand(site).request_spot_fleet(SpotFleetRequestConfig=config)["SpotFleetRequestId"])


def ec2_fleet(site: Site, annex_id: str, lease_s: float, capacity: int = 2, **more: Any) -> str:
    """Create an EC2 Fleet as annexd would; return its ID."""
    end_s = int(time.time() + lease_s)
    token, ec2 = leased_token(annex_id, end_s), by_hand(site)
    own = [{"ResourceType": "fleet", "Tags": tags(annex_id, OWNER, end_s)}]
    made_of = template(ec2, token, {"htcondor:annex-id": annex_id})
    asked = ec2_fleet_config(made_of, capacity, ClientToken=token, TagSpecifications=own) | more
    return str(ec2.create_fleet(**asked)["FleetId"])


def by_hand(site: Site) -> Any:
    """Return an EC2 client whose calls do not count as annexd's."""
    return site.cloud.client("ec2", BYSTANDER)


def tag(site: Site, resource_id: str, **values: str) -> None:
    """Write tags by hand; `end` and `cancelled` are the two of a lease."""
    names = {"end": TAG_LEASE_END, "cancelled": TAG_CANCELLED}
    written = [{"Key": names.get(name, f"htcondor:annex-{name}"), "Value": value} for name, value in values.items()]
    by_hand(site).create_tags(Resources=[resource_id], Tags=written)


def tags_of(site: Site, fleet_id: object) -> dict[str, str]:
    return {each["Key"]: each["Value"] for each in described(site, fleet_id)["Tags"]}


def described(site: Site, fleet_id: object) -> dict[str, Any]:
    [seen] = by_hand(site).describe_spot_fleet_requests(SpotFleetRequestIds=[fleet_id])["SpotFleetRequestConfigs"]
    return dict(seen)


def end_of(site: Site, fleet_id: object) -> int:
    """Return when the lease function would end the fleet."""
    seen = described(site, fleet_id)
    end_s = lease_end(
        seen["SpotFleetRequestConfig"]["ClientToken"],
        tags_of(site, fleet_id),
        seen["CreateTime"].timestamp(),
        MAX_LEASE_S,
    )
    assert end_s is not None
    return int(end_s)


def instances_of(site: Site, fleet_id: str) -> list[str]:
    return [str(each["id"]) for each in site.cloud.running_instances() if each["fleet"] == fleet_id]


def stamp(site: Site, fleet_id: str, annex_id: str, end_s: float) -> None:
    """Tag the fleet's instances as the lease function does."""
    for instance_id in instances_of(site, fleet_id):
        tag(site, instance_id, fleet=fleet_id, id=annex_id, end=utc(end_s))


def target(site: Site, url: str | None = None) -> AccountTarget:
    """Return the account, with alice's keys."""
    keys = KeySource(public_key_file="/home/alice/public", secret_key_file="/home/alice/secret")
    url = url or site.cloud.url
    return AccountTarget(
        Requester(OWNER, None, keys), Endpoints("us-east-1", url, url, sts_url=url, logs_url=url, ssm_url=url), site.arn
    )


def look(
    site: Site,
    busy: Set[str] = frozenset(),
    ahead_s: float = 0.0,
    cancelled: Mapping[str, float] = NO_ENDS,
    today: date | None = None,
) -> Report:
    """Reconcile the account as a new annexd does; return the report."""
    context = replace(site.step_context(), now_s=lambda: time.time() + ahead_s)
    return reconcile(context, target(site), lambda: busy, lambda: cancelled, today)


def writes(site: Site) -> list[str]:
    """Return annexd's calls to AWS that were not reads, in order."""
    return [name for name in site.operations() if not name.startswith(READING)]
