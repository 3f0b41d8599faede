"""Check that Spot can use the key with which volumes are encrypted by default.

With a customer managed key, EC2's service-linked roles for Spot and fleets need a grant, or instances end while they
start (Client.InternalError): EC2 user guide, "Spot Fleet permissions", "EC2 Fleet prerequisites" and "Service-linked
role for Spot Instances", "Grant
access to customer managed keys for use with encrypted AMIs and EBS snapshots".  Their own policies cannot be changed,
so no IAM policy can allow it: a grant does, or the key policy.
The key of an encrypted image cannot be checked here (docs/troubleshooting.md).
"""

import json
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any, Final

from annexd.account import service_roles
from annexd.account.checks.finding import Finding
from annexd.account.checks.view import View
from annexd.account.session import translate_aws_errors

CHECK: Final = "volumes' key"
GRANTED: Final = (  # as in the user guide's command
    "Decrypt Encrypt GenerateDataKey GenerateDataKeyWithoutPlaintext CreateGrant DescribeKey ReEncryptFrom ReEncryptTo"
)
NEEDED: Final = frozenset(  # EBS user guide, "How Amazon EBS encryption works" and its permissions
    ["CreateGrant", "Decrypt", "DescribeKey", "GenerateDataKeyWithoutPlaintext", "ReEncryptFrom", "ReEncryptTo"]
)


def volumes(view: View) -> Iterator[Finding]:
    ec2 = view.client("ec2")
    with translate_aws_errors("GetEbsEncryptionByDefault"):
        if not ec2.get_ebs_encryption_by_default()["EbsEncryptionByDefault"]:
            yield view.ok(CHECK, "volumes are not encrypted by default")
            return
    with translate_aws_errors("GetEbsDefaultKmsKeyId"):
        key = str(ec2.get_ebs_default_kms_key_id()["KmsKeyId"])
    if key.endswith("alias/aws/ebs"):
        yield view.ok(CHECK, "volumes are encrypted with the AWS managed key")
        return
    with translate_aws_errors(f"DescribeKey {key}"):
        response = view.client("kms").describe_key(KeyId=key)["KeyMetadata"]
    if response.get("KeyManager") == "AWS":
        yield view.ok(CHECK, "volumes are encrypted with the AWS managed key")
    elif response["KeyState"] != "Enabled":
        what = f"volumes are encrypted by default with {key}, which is {response['KeyState']}: no instance can start"
        yield view.fault(CHECK, what, "enable the key, or set another default: aws ec2 modify-ebs-default-kms-key-id")
    else:
        yield _customer_key(view, key)


def _customer_key(view: View, key: str) -> Finding:
    arns = service_roles.arns(view.partition, view.identity["Account"])
    kms = view.client("kms")
    lacking = [name for name, arn in arns.items() if NEEDED - _granted(kms, key, arn)]
    if lacking:
        allowed = _policy(kms, key)
        lacking = [name for name in lacking if NEEDED - _allowed(allowed, arns[name])]
    if not lacking:
        return view.ok(CHECK, f"Spot may use {key}, which encrypts volumes by default")
    commands = ", and ".join(
        f"aws kms create-grant --region {view.region} --key-id {key} --grantee-principal {arns[name]} "
        f"--operations {GRANTED}"
        for name in lacking
    )
    what = f"volumes are encrypted by default with {key}, which {' and '.join(lacking)} may not use: no instance starts"
    return view.fault(CHECK, what, commands)


def _granted(kms: Any, key: str, role: str) -> set[str]:
    """Return the operations of the role's grants that have no constraints."""
    with translate_aws_errors(f"ListGrants {key}"):
        pages = kms.get_paginator("list_grants").paginate(KeyId=key, GranteePrincipal=role)
        grants = [grant for page in pages for grant in page["Grants"]]
    return {
        operation
        for grant in grants
        if grant.get("GranteePrincipal") == role and not grant.get("Constraints")
        for operation in grant["Operations"]
    }


def _policy(kms: Any, key: str) -> list[dict[str, Any]]:
    with translate_aws_errors(f"GetKeyPolicy {key}"):
        statements = json.loads(kms.get_key_policy(KeyId=key, PolicyName="default")["Policy"])["Statement"]
    return list(statements) if isinstance(statements, list) else [statements]


def _allowed(statements: list[dict[str, Any]], role: str) -> set[str]:
    """Return what the key policy allows the role by name; conditions are ignored."""
    patterns = [
        action
        for each in statements
        if each.get("Effect") == "Allow" and role in _listed((each.get("Principal") or {}), "AWS")
        for action in _listed(each, "Action")
    ]
    return {each for each in NEEDED if any(fnmatchcase(f"kms:{each}".lower(), one.lower()) for one in patterns)}


def _listed(part: Any, name: str) -> list[str]:
    found = part.get(name, ()) if isinstance(part, dict) else ()
    return [found] if isinstance(found, str) else [str(each) for each in found]
