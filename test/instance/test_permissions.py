"""Test how the one object that an instance is meant to read is derived from the permissions of its role."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from test.instance.machine import SCRIPT
from test.instance.script import script

ONE = "arn:aws:s3:::bucket/annex/annex-one.tar.gz"
ANY = "arn:aws:s3:::bucket/annex/*.tar.gz"


def allow(action: Any, resource: Any, **more: Any) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": action, "Resource": resource, **more}]}


@pytest.mark.parametrize(
    "document",
    [
        allow("s3:GetObject", ONE),
        allow(["s3:GetObject", "s3:ListBucket"], ["arn:aws:s3:::bucket", ONE]),
        allow("s3:Get*", [ONE]),
        allow("S3:getobject", ONE),
        allow("*", ONE),
        {"Statement": {"Effect": "Allow", "Action": "s3:GetObject", "Resource": ONE}},
    ],
)
def test_a_policy_that_allows_to_read_an_object_shows_which(document: dict[str, Any]) -> None:
    found = script.allowed_objects(document)
    assert script.object_to_read(found, "annex-two") == ("bucket", "annex/annex-one.tar.gz")


@pytest.mark.parametrize(
    "document",
    [
        allow("s3:PutObject", ONE),
        allow("s3:GetObjectAcl", ONE),
        allow("ec2:DescribeTags", "*"),
        {"Statement": [{"Effect": "Deny", "Action": "s3:GetObject", "Resource": ONE}]},
        {"Statement": []},
        {},
    ],
)
def test_any_other_policy_shows_no_object(document: dict[str, Any]) -> None:
    assert script.allowed_objects(document) == []


def test_the_star_is_the_annex_of_the_instance() -> None:
    assert script.object_to_read([ANY], "annex-two") == ("bucket", "annex/annex-two.tar.gz")


def test_a_wildcard_policy_waits_for_the_tag_that_names_the_annex() -> None:
    with pytest.raises(script.NotYet, match="no tag htcondor:annex-id"):
        script.object_to_read([ANY], None)


def test_a_pattern_and_the_object_that_it_stands_for_are_one_object() -> None:
    assert script.object_to_read([ANY, ONE], "annex-one") == ("bucket", "annex/annex-one.tar.gz")


@pytest.mark.parametrize(
    "other",
    [
        "arn:aws:s3:::bucket/*",
        "arn:aws:s3:::bucket/annex/*",
        "arn:aws:s3:::bucket",
        "arn:aws:s3:::bucket/a*b*",
        "arn:aws:s3:::bucket/${aws:userid}/x",
        "*",
    ],
)
def test_a_policy_without_a_single_object_is_skipped(other: str) -> None:
    assert script.object_to_read([other, ONE], "annex-one") == ("bucket", "annex/annex-one.tar.gz")
    with pytest.raises(script.NotYet, match="names one object"):
        script.object_to_read([other], "annex-one")


def test_permission_to_two_objects_is_refused_with_both_named() -> None:
    with pytest.raises(script.Refused, match=r"s3://bucket/annex/annex-one\.tar\.gz, s3://bucket/other\.tar\.gz"):
        script.object_to_read([ONE, "arn:aws:s3:::bucket/other.tar.gz"], "annex-one")


@pytest.mark.parametrize(
    ("partition", "domain", "host", "region"),
    [
        ("aws", "amazonaws.com", "https://iam.amazonaws.com", "us-east-1"),
        ("aws-cn", "amazonaws.com.cn", "https://iam.cn-north-1.amazonaws.com.cn", "cn-north-1"),
        ("aws-us-gov", "amazonaws.com", "https://iam.us-gov.amazonaws.com", "us-gov-west-1"),
    ],
)
def test_iam_is_asked_where_its_partition_has_it(partition: str, domain: str, host: str, region: str) -> None:
    identity = script.Identity("i-00000000", "some-region-1", partition, domain)
    assert script.Aws(None, identity, None).endpoint("iam") == (host, region)
    assert script.Aws(None, identity, None).endpoint("ec2") == (f"https://ec2.some-region-1.{domain}", "some-region-1")


def test_the_script_is_python_3_9_and_needs_the_standard_library_only() -> None:
    tree = ast.parse(SCRIPT.read_text(encoding="utf-8"), feature_version=(3, 9))
    imported = {
        each.name.partition(".")[0] for node in ast.walk(tree) if isinstance(node, ast.Import) for each in node.names
    } | {str(node.module).partition(".")[0] for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert imported <= sys.stdlib_module_names


@pytest.mark.parametrize(
    ("file", "content", "is_ec2"),
    [
        ("sys_vendor", "Amazon EC2", True),
        ("bios_version", "4.11.amazon", True),
        ("product_uuid", "EC2E1916-9099", True),
        ("sys_vendor", "QEMU", False),
        ("product_uuid", "aaec2aaa", False),
    ],
)
def test_an_ec2_instance_is_known_by_its_firmware(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, content: str, is_ec2: bool
) -> None:
    monkeypatch.delenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", raising=False)
    (tmp_path / file).write_text(content)
    assert script.is_in_ec2(str(tmp_path)) == is_ec2


PAGE = (SCRIPT.parents[1] / "docs" / "man" / "condor-annex-ec2.8").read_text().replace("\\-", "-")


@pytest.mark.parametrize("option", re.findall(r'add_argument\("(--[a-z-]+)"', SCRIPT.read_text(encoding="utf-8")))
def test_every_option_is_in_the_manual(option: str) -> None:
    assert re.search(rf"\.BI? {option}\b", PAGE)


@pytest.mark.parametrize(
    "limit", [f"more than {script.MAX_MEMBERS} files", f"more than {script.MAX_UNPACKED >> 20} MiB"]
)
def test_the_manual_states_the_limits(limit: str) -> None:
    assert limit in PAGE
