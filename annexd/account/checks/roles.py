"""Compare each role's rights with the template: missing ones cause failures, additional ones are a risk."""

import json
from collections.abc import Iterator
from typing import Any, Final

from annexd.account import service_roles
from annexd.account.checks.finding import Finding
from annexd.account.checks.view import RECREATE, REMADE, View

Grant = tuple[str, str, str, str]  # effect, action, resource, condition
ROLES: Final = {  # logical IDs in the template, by title
    "lease role": "LeaseRole",
    "instance role": "InstanceRole",
    "fleet role": "FleetRole",
}


def roles(view: View) -> Iterator[Finding]:
    for title, logical_id in ROLES.items():
        yield from _role(view, title, logical_id)


def _role(view: View, title: str, logical_id: str) -> Iterator[Finding]:
    name = view.name(logical_id)
    role = view.found("GetRole", view.client("iam").get_role, RoleName=name)
    if role is None:
        yield view.fault(title, "it was deleted", REMADE if logical_id == "LeaseRole" else RECREATE)
        return
    expected, wanted_policies = _expected(view, logical_id)
    grants, attached = _actual(view, name)
    faults = _differences("may not", expected - grants) + _differences("may unnecessarily", grants - expected)
    faults += [f"lacks the attached policy {arn}" for arn in sorted(wanted_policies - attached)]
    faults += [f"has the unnecessary attached policy {arn}" for arn in sorted(attached - wanted_policies)]
    faults += _trust(view, logical_id, role["Role"])
    if role["Role"].get("PermissionsBoundary"):
        faults.append(f"has the boundary {role['Role']['PermissionsBoundary'].get('PermissionsBoundaryArn')}")
    if faults:
        yield view.fault(title, f"{name} {'; '.join(faults)}", f"restore it in IAM, or {RECREATE}")
    else:
        yield view.ok(title, "it has exactly the rights in the template")


def _expected(view: View, logical_id: str) -> tuple[set[Grant], set[str]]:
    properties = view.deployed.properties(logical_id)
    documents = [policy["PolicyDocument"] for policy in properties.get("Policies", ())]
    if logical_id == "InstanceRole":
        documents.append(view.deployed.properties("InstancePolicy")["PolicyDocument"])
    return {grant for document in documents for grant in grants_of(document)}, set(
        properties.get("ManagedPolicyArns", ())
    )


def _actual(view: View, name: str) -> tuple[set[Grant], set[str]]:
    iam = view.client("iam")
    inline = [policy for page in _pages(view, iam, "list_role_policies", name) for policy in page["PolicyNames"]]
    documents = [
        (view.found("GetRolePolicy", iam.get_role_policy, RoleName=name, PolicyName=policy) or {})["PolicyDocument"]
        for policy in inline
    ]
    attached = {
        policy["PolicyArn"]
        for page in _pages(view, iam, "list_attached_role_policies", name)
        for policy in page["AttachedPolicies"]
    }
    return {grant for document in documents for grant in grants_of(document)}, attached


def _pages(view: View, iam: Any, operation: str, name: str) -> list[dict[str, Any]]:
    paginate = iam.get_paginator(operation).paginate
    return view.found(operation, lambda **asked: list(paginate(**asked)), RoleName=name) or []


def grants_of(document: Any) -> Iterator[Grant]:
    """Yield a policy's statements as single grants, so that order and grouping do not matter."""
    for statement in _listed(document.get("Statement")):
        condition = json.dumps(statement.get("Condition") or {}, sort_keys=True)
        names = "Action" if "Action" in statement else "NotAction"
        places = "Resource" if "Resource" in statement else "NotResource"
        for action in _listed(statement.get(names)):
            for resource in _listed(statement.get(places)):
                mark = "" if names == "Action" and places == "Resource" else "everything but "
                yield str(statement["Effect"]), f"{mark}{action}", str(resource), condition


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _differences(verb: str, grants: set[Grant]) -> list[str]:
    return [
        f"{verb} {action} on {resource}" + (f" if {condition}" if condition != "{}" else "")
        if effect == "Allow"
        else f"{verb} be denied {action} on {resource}"
        for effect, action, resource, condition in sorted(grants)
    ]


def _trust(view: View, logical_id: str, role: dict[str, Any]) -> list[str]:
    """Check that only one service may assume the role."""
    expected = view.deployed.properties(logical_id)["AssumeRolePolicyDocument"]["Statement"][0]["Principal"]["Service"]
    statements = _listed(role["AssumeRolePolicyDocument"].get("Statement"))
    trusted = [each.get("Principal") for each in statements if each.get("Effect") == "Allow"]
    if trusted in ([{"Service": expected}], [{"Service": [expected]}]):
        return []
    return [f"may be assumed by {json.dumps(trusted)}, not only by {expected}"]


def service_linked_roles(view: View) -> Iterator[Finding]:
    missing = list(service_roles.missing(view.client("iam")))
    commands = "; ".join(f"aws iam create-service-linked-role --aws-service-name {service}" for service in missing)
    if missing:
        names = ", ".join(service_roles.NAMES[service] for service in missing)
        what = f"{names} is missing: EC2 cannot start instances of such fleets"
        yield view.fault("service-linked roles", what, f"condor_annex -setup, or {commands}")
    else:
        yield view.ok("service-linked roles", "the roles that EC2 needs for fleets and Spot instances exist")


def profile(view: View) -> Iterator[Finding]:
    """Check that the instance profile contains the instance role."""
    name = view.name("InstanceProfile")
    response = view.found("GetInstanceProfile", view.client("iam").get_instance_profile, InstanceProfileName=name)
    held = [role["RoleName"] for role in response["InstanceProfile"]["Roles"]] if response else []
    role = view.name("InstanceRole")
    if response is None:
        yield view.fault("instance profile", "it was deleted: no instance can be launched with it", RECREATE)
    elif held != [role]:
        yield view.fault(
            "instance profile",
            f"it contains {', '.join(held) or 'no role'}, not {role}",
            f"aws iam add-role-to-instance-profile --instance-profile-name {name} --role-name {role}",
        )
    else:
        yield view.ok("instance profile", "it contains the instance role")
