"""Machines learn of a new end from the annex's object, so an extension without a new object is taken back."""

import io
import json
import tarfile
from dataclasses import replace
from typing import Any

import pytest

from test.annex.changes import ordered, refused
from test.annex.fleets import BOB, end_of, writes
from test.annex.joining import BUCKET
from test.annex.site import BYSTANDER, PACE, Site

HASTY = replace(PACE, forward_deadline_s=0.2, undo_patience_s=5.0)
LATER_S = 600


@pytest.fixture
def annex(joined: Site) -> dict[str, Any]:
    return ordered(joined)


def told_end_s(site: Site, annex: dict[str, Any]) -> int:
    """Return the end that the machines read."""
    s3 = site.cloud.client("s3", BYSTANDER)
    body = s3.get_object(Bucket=BUCKET, Key=f"annex/{annex['AnnexID']}.tar.gz")["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(body), mode="r:gz") as tar:
        file = tar.extractfile("annex.json")
        assert file is not None
        return int(json.load(file)["LeaseEnd"])


@pytest.mark.parametrize("by_s", [LATER_S, -LATER_S], ids=["extend", "shorten"])
def test_the_tag_is_seen_first_and_the_object_written_before_the_answer(
    joined: Site, annex: dict[str, Any], by_s: int
) -> None:
    assert told_end_s(joined, annex) == annex["EndOfLease"]
    reply = joined.change("physics", EndOfLease=annex["EndOfLease"] + by_s)
    assert (reply["Result"], writes(joined)) == ("Success", ["CreateTags", "PutObject"]), reply
    assert told_end_s(joined, annex) == end_of(joined, annex["BulkRequestID"]) == annex["EndOfLease"] + by_s


@pytest.mark.parametrize(
    "fault", [{"kind": "denied"}, {"kind": "error", "code": "NoSuchBucket", "status": 404}], ids=["denied", "no bucket"]
)
def test_an_extension_whose_object_is_refused_is_taken_back(
    joined: Site, annex: dict[str, Any], fault: dict[str, Any]
) -> None:
    joined.cloud.fault("PutObject", times=1000, **fault)
    reply = joined.change("physics", LeaseExtension=LATER_S)
    refused(reply, "Failure", "PutObject s3://")
    assert reply["EndOfLease"] == annex["EndOfLease"] == end_of(joined, annex["BulkRequestID"])
    joined.cloud.clear_faults()
    assert joined.change("physics", LeaseExtension=LATER_S)["Result"] == "Success"


@pytest.mark.parametrize("when", ["before", "after"])
def test_an_extension_whose_object_gets_no_answer_is_taken_back_with_the_object(
    joined: Site, annex: dict[str, Any], when: str
) -> None:
    joined.cloud.fault("PutObject", "reset", times=3, when=when)
    reply = joined.change("physics", pace=replace(HASTY, base_s=0.2, cap_s=0.2), LeaseExtension=LATER_S)
    if reply["Result"] == "Failure":
        joined.restart()
        assert end_of(joined, annex["BulkRequestID"]) == annex["EndOfLease"]
        assert told_end_s(joined, annex) == annex["EndOfLease"]
    else:
        assert told_end_s(joined, annex) == end_of(joined, annex["BulkRequestID"]) == annex["EndOfLease"] + LATER_S


def test_a_lease_is_shortened_even_if_its_machines_cannot_learn_of_it_with_a_warning(
    joined: Site, annex: dict[str, Any]
) -> None:
    joined.cloud.fault("PutObject", "denied", times=1000)
    reply = joined.change("physics", EndOfLease=annex["EndOfLease"] - LATER_S)
    assert (reply["Result"], reply["EndOfLease"]) == ("Success", annex["EndOfLease"] - LATER_S)
    assert "PutObject s3://" in str(reply["Warning"])
    assert end_of(joined, annex["BulkRequestID"]) == annex["EndOfLease"] - LATER_S


def test_the_keys_of_a_change_write_its_object_too(joined: Site, annex: dict[str, Any]) -> None:
    joined.keys = {f"/backup{path}": content for path, content in joined.keys.items()}
    refused(joined.change("physics", LeaseExtension=LATER_S), "InvalidRequest", "PublicKeyFile cannot be used")
    joined.readers.add(BOB)
    joined.defaults = replace(joined.defaults, super_users=frozenset([BOB]))
    keys: dict[str, Any] = {"PublicKeyFile": "/backup/home/alice/public", "SecretKeyFile": "/backup/home/alice/secret"}
    reply = joined.change(annex["AnnexID"], BOB, LeaseExtension=LATER_S, **keys)
    assert reply["Result"] == "Success", reply
    assert told_end_s(joined, annex) == annex["EndOfLease"] + LATER_S


def test_the_machines_of_a_cancelled_annex_learn_of_it(joined: Site, annex: dict[str, Any]) -> None:
    reply = joined.cancel("physics")
    assert told_end_s(joined, annex) == reply["EndOfLease"]


def test_an_outage_of_s3_keeps_no_annex_from_being_cancelled(joined: Site, annex: dict[str, Any]) -> None:
    joined.cloud.fault("PutObject", "internal", times=1000)
    assert joined.cancel("physics")["Result"] == "Success"
    joined.check_nothing_left()
    del annex
