"""The resources on which EC2's calls need their action, and the further needs of calls that create capacity.

Source: AWS, "Service Authorization Reference", Amazon EC2; where it is incomplete, the evidence at each function.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models import ec2_backends

from test.cloud.ec2_base import Acting
from test.cloud.launch_templates import Template
from test.cloud.needs import Found, Parameters, Regions, arn_of, of_tags, pass_role, roles_of, tagging
from test.cloud.policies import Need
from test.cloud.request import Request
from test.cloud.views import ACCOUNT

LISTS = {  # parameter -> kind of resource, for operations on named resources
    "SpotFleetRequestIds": "spot-fleet-request",
    "SpotFleetRequestId": "spot-fleet-request",
    "FleetIds": "fleet",
    "FleetId": "fleet",
    "InstanceIds": "instance",
    "InstanceId": "instance",
    "LaunchTemplateId": "launch-template",
    "GroupId": "security-group",
}
KINDS = {
    "sfr": "spot-fleet-request",
    "fleet": "fleet",
    "i": "instance",
    "sg": "security-group",
    "lt": "launch-template",
    "vpc": "vpc",
    "subnet": "subnet",
}
OF_ALL = ("Describe", "Get", "Search")
BY_RESOURCE = frozenset(
    {
        "DescribeSpotFleetInstances",
        "DescribeSpotFleetRequestHistory",
        "DescribeFleetInstances",
        "DescribeFleetHistory",
        "GetConsoleOutput",
    }
)
PASSED_BY_FLEETS = {
    "ec2": ("ec2.amazonaws.com",),
    "spotfleet": ("spotfleet.amazonaws.com",),
    "both": ("ec2.amazonaws.com", "spotfleet.amazonaws.com"),
}
MADE = {"RequestSpotFleet": "spot-fleet-request", "CreateFleet": "fleet", "CreateLaunchTemplate": "launch-template"}


def found(request: Request, asked: Parameters, regions: Regions) -> Found:
    operation = request.operation
    if operation.startswith(OF_ALL) and operation not in BY_RESOURCE:
        yield "*", {}
    elif operation in {"CreateTags", "DeleteTags"}:
        for each in asked["Resources"]:
            for arn, context in _tagged(request, KINDS.get(each.partition("-")[0], "*"), each, regions):
                yield arn, context | of_tags(asked.get("Tags") or [])
    elif operation in MADE:
        yield arn_of(request, "ec2", f"{MADE[operation]}/*"), {}
    elif operation == "CreateSecurityGroup":
        yield arn_of(request, "ec2", "security-group/*"), {}
        yield arn_of(request, "ec2", f"vpc/{asked.get('VpcId', '*')}"), {}
    else:
        yield from _named(request, asked, regions)


def _named(request: Request, asked: Parameters, regions: Regions) -> Found:
    if template := _template(request, asked, regions):
        asked = {"LaunchTemplateId": template.template_id}
    for parameter, kind in LISTS.items():
        if parameter in asked:
            value = asked[parameter]
            for name in value if isinstance(value, list) else [value]:
                yield from _tagged(request, kind, name, regions)
            return
    yield "*", {}


def _template(request: Request, wanted: Parameters, regions: Regions) -> Template | None:
    """Return the launch template by its ID or its name; its ARN needs the ID."""
    if "LaunchTemplateId" not in wanted and "LaunchTemplateName" not in wanted:
        return None
    try:
        return regions[request.region].templates.find(wanted)
    except EC2ClientError:
        return None


def _tagged(request: Request, kind: str, name: str, regions: Regions) -> Found:
    tags = _tags(kind, name, request.region, regions)
    context = {
        f"{prefix}:resourcetag/{key.lower()}": [value] for key, value in tags.items() for prefix in ("ec2", "aws")
    }
    yield arn_of(request, "ec2", f"{kind}/{name}"), context


def _tags(kind: str, name: str, region: str, regions: Regions) -> Mapping[str, str]:
    fleets = regions[region]
    known = fleets.instances.get(name) or fleets.fleets.get(name) or fleets.templates.by_id(name)
    if kind in {"instance", "spot-fleet-request", "fleet", "launch-template"} and known is not None:
        return known.tags.at(fleets.clock())
    described = ec2_backends[ACCOUNT][region].describe_tags(filters={"resource-id": [name]})
    return {each["key"]: each["value"] for each in described}


def _spot_fleet(request: Request, asked: Parameters, _: Regions) -> Iterator[Need]:
    """Yield what Spot Fleet requires of its caller; where the evidence is doubtful, Behaviour decides.

    ec2:RunInstances is always needed (certain): AWS, EC2 user guide, "Spot Fleet permissions"; AWS's mail of 2020,
    quoted in github.com/dan-v/rattlesnakeos-stack/issues/164.  CreateTags is needed on `*` (the guide: "For Resource,
    you must specify *"; doubtful: aws-rfdk names spot-fleet-request/*) and for the launch.  PassRole is needed as ec2
    (near certain: AWS's managed policies AWSThinkboxDeadlineSpotEventPluginAdminPolicy and BatchServiceRolePolicy) and
    as spotfleet.
    """
    config = asked["SpotFleetRequestConfig"]
    yield Need("ec2:RunInstances", "*")
    yield from _passed_by_fleets(str(config["IamFleetRole"]))
    if config.get("TagSpecifications"):
        everything = Acting.chosen.now.fleet_tagging == "everything"
        tagged = "*" if everything else arn_of(request, "ec2", "spot-fleet-request/*")
        yield tagging(tagged, "RequestSpotFleet", config["TagSpecifications"])
    for specification in config.get("LaunchSpecifications") or []:
        if specification.get("TagSpecifications"):
            yield tagging(arn_of(request, "ec2", "instance/*"), "RunInstances", specification["TagSpecifications"])
    for profile in {str(each) for each in map(_profile_of, config.get("LaunchSpecifications") or []) if each}:
        for role_arn in roles_of(profile):
            yield from _passed_by_fleets(role_arn)


def _passed_by_fleets(role_arn: str) -> Iterator[Need]:
    for service in PASSED_BY_FLEETS[Acting.chosen.now.passed_as]:
        yield pass_role(role_arn, service)


def _profile_of(specification: Parameters) -> str | None:
    profile = specification.get("IamInstanceProfile") or {}
    name = profile.get("Arn") or profile.get("Name")
    return str(name) if name else None


def _create_fleet(request: Request, asked: Parameters, regions: Regions) -> Iterator[Need]:
    """Yield what CreateFleet requires of its caller besides its own action.

    These are RunInstances on `*`, CreateTags for the fleet and its instances, and PassRole as ec2 of the roles in the
    templates' profiles: LIKELY, the controller policies of github.com/aws/karpenter-provider-aws (which names the
    launch template and the instances too) and EC2's user guide, "EC2 Fleet prerequisites".  Of the instances' tags only
    the templates' are checked.
    """
    yield Need("ec2:RunInstances", "*")
    if asked.get("TagSpecifications"):
        yield tagging(arn_of(request, "ec2", "fleet/*"), "CreateFleet", asked["TagSpecifications"])
    for each in asked["LaunchTemplateConfigs"]:
        wanted = each.get("LaunchTemplateSpecification") or {}
        template = _template(request, wanted, regions)
        if template is None:
            continue
        yield from _on_template("ec2:CreateFleet", request, template, regions)
        try:
            made_of = template.version(str(wanted.get("Version", "$Default"))).data
        except EC2ClientError:
            continue
        groups = [group for group in made_of.get("TagSpecifications") or [] if group.get("ResourceType") == "instance"]
        if groups:
            yield tagging(arn_of(request, "ec2", "instance/*"), "RunInstances", groups)
        for role_arn in roles_of(_profile_of(made_of) or ""):
            yield pass_role(role_arn, "ec2.amazonaws.com")


def _on_template(action: str, request: Request, template: Template, regions: Regions) -> Iterator[Need]:
    """Yield the need on the template.  CERTAIN: the reference lists launch-template as a resource of CreateFleet."""
    for arn, context in _tagged(request, "launch-template", template.template_id, regions):
        yield Need(action, arn, context)


def _create_template(request: Request, asked: Parameters, _: Regions) -> Iterator[Need]:
    """Yield the need for the template's own tags only.

    That PassRole is not needed before a launch is LIKELY: the reference lists none.
    """
    if asked.get("TagSpecifications"):
        yield tagging(arn_of(request, "ec2", "launch-template/*"), "CreateLaunchTemplate", asked["TagSpecifications"])


def _delete_fleets(request: Request, asked: Parameters, regions: Regions) -> Iterator[Need]:
    """Yield what a deletion with termination requires: see Behaviour.delete_right."""
    fleets = regions[request.region]
    if not asked.get("TerminateInstances"):
        return
    if fleets.chosen.now.delete_right == "all":
        yield Need("ec2:TerminateInstances", "*")
        return
    known = [fleets.fleets[each] for each in asked["FleetIds"] if each in fleets.fleets]
    for instance in (instance for fleet in known for instance in fleet.live()):
        for arn, context in _tagged(request, "instance", instance.instance_id, regions):
            yield Need("ec2:TerminateInstances", arn, context)


PASSING_ON: Mapping[str, Callable[[Request, Parameters, Regions], Iterator[Need]]] = {
    "RequestSpotFleet": _spot_fleet,
    "CreateFleet": _create_fleet,
    "CreateLaunchTemplate": _create_template,
    "DeleteFleets": _delete_fleets,
}
