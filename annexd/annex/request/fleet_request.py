"""The fleet that a request describes: its API, and the request to AWS without the parts that only an order has.

One concept of a fleet, two renderers: a Spot Fleet request config is sent as it is, or becomes a CreateFleet request;
and EC2 Fleet's own JSON is sent as it is.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from annexd.annex.lease.lease import utc
from annexd.annex.request.account_defaults import FLEET_ROLE, filled, with_fleet_role
from annexd.annex.request.ad_attributes import AdAttributes
from annexd.annex.request.defaults import Defaults
from annexd.annex.request.ec2_fleet import Rendered, rendered
from annexd.annex.request.ec2_fleet_file import read_ec2_fleet
from annexd.annex.request.faults import shown
from annexd.annex.request.fleet_api import EC2_FLEET, EXPECTED, OF_EC2_FLEET, OPTIONS, SPOT_FLEET, read_api
from annexd.annex.request.fleet_checks import faults_of_config
from annexd.annex.request.network_defaults import notes_of_network
from annexd.annex.request.price_bounds import MAX_PRICE, with_bounds
from annexd.annex.request.spot_fleet import checked_config
from annexd.annex.request.template_data import TemplateVersion

NOT_TAKEN: Final = {
    "validfrom": "ValidFrom was ignored: the request is valid at once",
    "validuntil": "ValidUntil was ignored: it is set from ANNEX_PROVISIONING_DELAY",
    "clienttoken": "ClientToken was ignored: annexd sets its own, to find the fleet again",
    "fulfilledcapacity": "FulfilledCapacity was ignored: AWS counts it",
    "ondemandfulfilledcapacity": "OnDemandFulfilledCapacity was ignored: AWS counts it",
}
NO_ROLE: Final = "arn:aws:iam::000000000000:role/none"  # for a config that is not sent: AWS's model requires one


@dataclass(frozen=True)
class FleetRequest:
    """The request to AWS.

    `config` is SpotFleetRequestConfigData or a CreateFleet request, without token and tags; `versions` are those of the
    launch template that annexd makes for an EC2 Fleet, without tags; `notes`: what was ignored or changed, for the
    reply.
    """

    api: str
    config: Mapping[str, Any]
    versions: tuple[TemplateVersion, ...]
    notes: tuple[str, ...]


def read_fleet(
    own: AdAttributes,
    fleet: Mapping[str, Any],
    valid_until_s: int,
    defaults: Defaults,
    *,
    joins: bool,
    bounds: Mapping[str, str],
) -> FleetRequest:
    """Return the fleet that these attributes describe; its faults are added to `own.faults`.

    `joins`: its instances join the pool; `bounds`: see price_bounds.
    """
    names = {name.lower() for name in fleet}
    api = _api(own, names, defaults)
    notes = [note for name, note in NOT_TAKEN.items() if name in names]
    fleet = {name: value for name, value in fleet.items() if name.lower() not in NOT_TAKEN}
    read = _of_ec2_fleet if names & OF_EC2_FLEET else _of_spot_fleet
    found = read(fleet, api, defaults, joins, bounds)
    own.faults += found.faults
    if found.faults:
        return FleetRequest(api, {}, (), ())
    ours = {"TerminateInstancesWithExpiration": False, "ValidUntil": utc(valid_until_s)}
    if found.config.get("TerminateInstancesWithExpiration"):
        notes.append("TerminateInstancesWithExpiration became false: the lease ends the instances")
    if found.config.get("Type") == "maintain":
        notes.append(f"Type is maintain: AWS replaces lost instances until {utc(valid_until_s)} only")
    config = {"Type": "request", **found.config, **ours}
    return FleetRequest(api, config, tuple(found.versions), (*notes, *found.notes))


def _api(own: AdAttributes, names: set[str], defaults: Defaults) -> str:
    """Return the API that the request chooses, or else its file, or else the administrator."""
    asked = own.text("FleetAPI", lambda text: None if read_api(text) else f"must be {EXPECTED}, not {shown(text)}")
    wanted = read_api(asked) if asked else None
    foreign = bool(names & OF_EC2_FLEET)
    if foreign and wanted == SPOT_FLEET:
        own.faults.append(
            "the file is an EC2 Fleet request, by its TargetCapacitySpecification, SpotOptions or OnDemandOptions, "
            f"which RequestSpotFleet does not accept: order it with -fleet-api {OPTIONS[EC2_FLEET]}"
        )
    return wanted or (EC2_FLEET if foreign else defaults.fleet_api)


def _of_ec2_fleet(
    fleet: Mapping[str, Any], _api: str, defaults: Defaults, joins: bool, bounds: Mapping[str, str]
) -> Rendered:
    found = read_ec2_fleet(fleet, defaults, profile=defaults.instance_profile_arn if joins else None)
    if not found.faults:
        found.notes += _notes_of_copies(found.config, defaults, joins)
        found.config = with_bounds(found.config, bounds, MAX_PRICE)
    return found


def _of_spot_fleet(
    fleet: Mapping[str, Any], api: str, defaults: Defaults, joins: bool, bounds: Mapping[str, str]
) -> Rendered:
    """Render a Spot Fleet request config, for either API."""
    role_is_own = any(name.lower() == FLEET_ROLE.lower() for name in fleet)
    if api == EC2_FLEET:
        fleet = {name: value for name, value in fleet.items() if name.lower() != FLEET_ROLE.lower()}
        fleet = {**fleet, FLEET_ROLE: NO_ROLE}
    found = Rendered()
    config = checked_config(with_fleet_role(fleet, defaults), found.faults)
    found.faults += faults_of_config(config, defaults, api)
    if found.faults:
        return found
    config = with_bounds(config, bounds)
    if api == SPOT_FLEET:
        found.config, found.notes = filled(config, defaults, joins=joins)
        return found
    return _translated(config, defaults, joins=joins, role_is_own=role_is_own)


def _translated(config: Mapping[str, Any], defaults: Defaults, *, joins: bool, role_is_own: bool) -> Rendered:
    profile = defaults.instance_profile_arn if joins else None
    if "LaunchTemplateConfigs" in config:
        notes = _notes_of_copies(config, defaults, joins)
    else:
        config, notes = filled(config, defaults, joins=joins)
    found = rendered({"Type": "request", **config}, profile=profile, role_is_own=role_is_own)
    found.notes = [*found.notes, *notes]
    return found


def _notes_of_copies(config: Mapping[str, Any], defaults: Defaults, joins: bool) -> list[str]:
    """Return notes on the user's launch templates; their copies get the instance profile where they have none."""
    notes = notes_of_network(config, defaults)
    if joins and defaults.instance_profile_arn is None:
        what = "an instance profile that may read the annex's object in S3"
        notes.append(f"LaunchTemplateConfigs: the instances join the pool only if the template names {what}")
    return notes
