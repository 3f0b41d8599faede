"""Check the bucket: it exists, is private and encrypted, requires TLS, and its objects expire."""

import json
from collections.abc import Callable, Iterator
from typing import Any, Final

from annexd.account.checks.finding import Finding
from annexd.account.checks.roles import grants_of
from annexd.account.checks.view import RECREATE, View

BUCKET: Final = "Bucket"
PREFIX: Final = "annex/"


def bucket(view: View) -> Iterator[Finding]:
    s3, name = view.client("s3"), view.name(BUCKET)
    place = view.found("GetBucketLocation", s3.get_bucket_location, Bucket=name)
    if place is None:
        yield view.fault("bucket", f"{name} is gone", RECREATE)
        return
    for check in (_public, _encryption, _transport, _expiry):
        yield from check(view, s3, name)


def _public(view: View, s3: Any, name: str) -> Iterator[Finding]:
    expected = view.deployed.properties(BUCKET)["PublicAccessBlockConfiguration"]
    block = view.found("GetPublicAccessBlock", s3.get_public_access_block, Bucket=name) or {}
    open_ways = [way for way in expected if not block.get("PublicAccessBlockConfiguration", {}).get(way)]
    status = view.found("GetBucketPolicyStatus", s3.get_bucket_policy_status, Bucket=name) or {}
    controls = view.found("GetBucketOwnershipControls", s3.get_bucket_ownership_controls, Bucket=name) or {}
    rules = controls.get("OwnershipControls", {}).get("Rules") or [{}]
    if status.get("PolicyStatus", {}).get("IsPublic"):
        repair = f"aws s3api delete-bucket-policy --bucket {name}, then {RECREATE}"
        yield view.fault("bucket's privacy", "its bucket policy makes it public", repair)
    elif open_ways:
        block_all = ",".join(f"{way}=true" for way in expected)
        repair = f"aws s3api put-public-access-block --bucket {name} --public-access-block-configuration {block_all}"
        yield view.fault("bucket's privacy", f"it may be made public: {', '.join(open_ways)} off", repair)
    elif rules[0].get("ObjectOwnership") != "BucketOwnerEnforced":
        repair = f"aws s3api put-bucket-ownership-controls --bucket {name} --ownership-controls "
        yield view.fault(
            "bucket's privacy",
            "its objects may have their own ACLs",
            f"{repair}'Rules=[{{ObjectOwnership=BucketOwnerEnforced}}]'",
        )
    else:
        yield view.ok("bucket's privacy", "it is private and cannot be made public")


def _encryption(view: View, s3: Any, name: str) -> Iterator[Finding]:
    response = view.found("GetBucketEncryption", s3.get_bucket_encryption, Bucket=name)
    if response is None:
        rule = '{"Rules":[{"ApplyServerSideEncryptionByDefault":{"SSEAlgorithm":"AES256"}}]}'
        repair = f"aws s3api put-bucket-encryption --bucket {name} --server-side-encryption-configuration '{rule}'"
        yield view.fault("bucket's encryption", "new objects are not encrypted", repair)
    else:
        yield view.ok("bucket's encryption", "new objects are encrypted")


def _transport(view: View, s3: Any, name: str) -> Iterator[Finding]:
    """Check that it has exactly the template's policy."""
    response = view.found("GetBucketPolicy", s3.get_bucket_policy, Bucket=name)
    expected = set(grants_of(view.deployed.properties("BucketPolicy")["PolicyDocument"]))
    found = set(grants_of(json.loads(response["Policy"]))) if response else set()
    if found == expected:
        yield view.ok("bucket's policy", "it requires TLS")
        return
    what = "allows access without TLS" if expected - found else "has more statements than the one that requires TLS"
    yield view.fault("bucket's policy", f"its policy {what}", f"restore it in S3, or {RECREATE}")


def _expiry(view: View, s3: Any, name: str) -> Iterator[Finding]:
    get: Callable[..., Any] = s3.get_bucket_lifecycle_configuration
    response = view.found("GetBucketLifecycleConfiguration", get, Bucket=name) or {"Rules": []}
    [expected] = view.deployed.properties(BUCKET)["LifecycleConfiguration"]["Rules"]
    days = [
        rule["Expiration"]["Days"]
        for rule in response["Rules"]
        if rule["Status"] == "Enabled" and _prefix(rule) in (PREFIX, "") and rule.get("Expiration", {}).get("Days")
    ]
    if not days:
        yield view.fault("bucket's expiry", "objects never expire", f"restore the lifecycle rule, or {RECREATE}")
    elif min(days) < expected["ExpirationInDays"]:
        what = f"objects expire after {min(days)} days, before the longest lease ends"
        yield view.fault("bucket's expiry", what, f"set it to {expected['ExpirationInDays']} days, or {RECREATE}")
    else:
        yield view.ok("bucket's expiry", f"objects expire after {min(days)} days")


def _prefix(rule: dict[str, Any]) -> str | None:
    found = rule.get("Prefix", (rule.get("Filter") or {}).get("Prefix", ""))
    return str(found) if found is not None else None
