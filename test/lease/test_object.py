"""The annex's configuration object, which holds a token: gone after its instances, and no reason to keep those."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from test.cloud import Cloud
from test.lease.annexes import Annex

Run = Callable[..., dict[str, Any]]
BUCKET = "annex-configurations"
DAY_S = 86400.0


@pytest.fixture
def with_object(annex: Annex, cloud: Cloud) -> Annex:
    s3 = cloud.client("s3")
    s3.create_bucket(Bucket=BUCKET)
    annex.config = {"ConfigBucket": BUCKET, "ConfigKey": f"annex/{annex.annex_id}.tar.gz"}
    for key in (annex.config["ConfigKey"], f"annex/{annex.annex_id}2.tar.gz"):
        s3.put_object(Bucket=BUCKET, Key=key, Body=b"token")
    cloud.clear_audit()
    return annex


def keys(annex: Annex) -> set[str]:
    """Of the objects that begin with the annex's ID."""
    prefix = f"annex/{annex.annex_id}"
    listed = annex.cloud.client("s3").list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", [])
    return {each["Key"].removeprefix("annex/") for each in listed}


def test_it_is_deleted_once_the_instances_are_told_to_end_and_again_before_the_lease(
    with_object: Annex, run: Run
) -> None:
    with_object.arm().request(2)
    receipt = run(with_object)
    assert (receipt["outcome"], receipt["config_object"]) == ("ended", "deleted")
    operations = [call["operation"] for call in with_object.cloud.audit() if call["kind"] == "call"]
    assert operations.index("CancelSpotFleetRequests") < operations.index("DeleteObject")
    assert operations[-4:] == ["DescribeInstances", "DeleteObject", "RemoveTargets", "DeleteRule"]
    assert keys(with_object) == {f"{with_object.annex_id}2.tar.gz"}, "and no other"


def test_it_is_deleted_also_when_the_instances_outlast_the_run(with_object: Annex, run: Run) -> None:
    with_object.arm().request(2)
    assert run(with_object, limit_s=0.1)["outcome"] == "ending"
    assert keys(with_object) == {f"{with_object.annex_id}2.tar.gz"}
    assert with_object.is_leased()


def test_an_annex_without_one_asks_nothing_of_s3(annex: Annex, run: Run) -> None:
    annex.arm().request()
    assert run(annex)["config_object"] is None
    assert [call for call in annex.cloud.audit() if call.get("service") == "s3"] == []


def test_when_it_or_its_bucket_is_gone_already_that_is_as_good(with_object: Annex, run: Run) -> None:
    with_object.arm().request()
    with_object.cloud.client("s3").delete_object(Bucket=BUCKET, Key=with_object.config["ConfigKey"])
    assert run(with_object)["outcome"] == "ended"
    with_object.config["ConfigBucket"] = "no-such-bucket"
    assert run(with_object)["config_object"] == "deleted"


def test_while_s3_refuses_the_instances_end_and_the_lease_stays(
    with_object: Annex, lease: ModuleType, run: Run
) -> None:
    fleet = with_object.arm().request(2)
    with_object.cloud.fault("DeleteObject", "denied", 99)
    with pytest.raises(lease.LeaseError, match="DeleteObject"):
        run(with_object)
    assert with_object.alive(fleet) == []
    assert with_object.is_leased()
    with_object.cloud.clear_faults()
    assert run(with_object)["config_object"] == "deleted"
    assert not with_object.is_leased()


def test_after_a_day_it_is_left_to_the_buckets_life_cycle_with_a_word_in_the_receipt(
    with_object: Annex, run: Run
) -> None:
    with_object.over_s = DAY_S + 60
    with_object.arm()
    with_object.cloud.fault("DeleteObject", "denied", 99)
    receipt = run(with_object)
    assert (receipt["outcome"], receipt["errors"]) == ("ended", [])
    assert "left to the bucket's life-cycle rule: delete_object: " in receipt["config_object"]
    assert not with_object.is_leased()


@pytest.mark.parametrize(
    "named",
    [
        {"ConfigKey": "annex/another.tar.gz"},
        {"ConfigKey": "annex/../{id}.tar.gz"},
        {"ConfigKey": None},
        {"ConfigKey": ["annex/{id}.tar.gz"]},
        {"ConfigBucket": None},
        {"ConfigBucket": "Bucket/x"},
        {"ConfigBucket": "arn:aws:s3:::b"},
    ],
)
def test_a_name_that_is_not_its_own_is_not_touched_and_keeps_nothing(
    with_object: Annex, run: Run, named: dict[str, Any]
) -> None:
    fleet = with_object.arm().request()
    with_object.config |= named
    receipt = run(with_object)
    assert receipt["outcome"] == "ended"
    assert "this one is not touched" in receipt["config_object"]
    assert with_object.alive(fleet) == []
    assert with_object.cloud.calls("DeleteObject") == []
    assert not with_object.is_leased()
