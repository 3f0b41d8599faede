"""The annex's object follows the end of its lease, and goes only to a bucket of the lease function's account."""

import io
import json
import tarfile
from typing import Any

import pytest

from annexd.annex.join.config_bundle import Present
from annexd.annex.lease.lease import utc
from annexd.annex.request.order import FleetOrder, new_order
from annexd.annex.request.request import BulkRequest
from annexd.annex.steps.check_lease_function import LeaseFunctionSeen
from annexd.annex.steps.put_object import PutObject, put_present
from annexd.workflow import Json, Refused, Results, Retry
from test.annex.ads import OWNER
from test.annex.joining import BUCKET
from test.annex.orders import join_of
from test.annex.site import Site

MAX_LEASE_S = 30 * 86_400
CHECKED = Results({"check_lease_function": LeaseFunctionSeen(0.0, 0.0, MAX_LEASE_S, digest="", warning="")})


def ordered(site: Site, **changes: Any) -> FleetOrder:
    return new_order(BulkRequest.from_ad(site.ad(**changes), site.now_s(), site.defaults), OWNER)


def put(site: Site, order: FleetOrder) -> None:
    step = PutObject(site.step_context())
    step.forward(order, step.plan(order, CHECKED))


def move(site: Site, order: FleetOrder, end_s: int, cancelled_s: int | None = None) -> None:
    context = site.step_context()
    put_present(context, context.access(order.target), order, Present(end_s, MAX_LEASE_S, cancelled_s))


def read(site: Site, order: FleetOrder) -> dict[str, bytes]:
    body = site.cloud.client("s3").get_object(Bucket=BUCKET, Key=join_of(order).key)["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(body), mode="r:gz") as tar:
        return {entry.name: file.read() for entry in tar if (file := tar.extractfile(entry)) is not None}


def manifest(site: Site, order: FleetOrder) -> Json:
    return dict(json.loads(read(site, order)["annex.json"]))


def test_the_intent_says_how_long_the_stack_lets_a_lease_be_and_so_does_the_object(joined: Site) -> None:
    order = ordered(joined)
    assert PutObject(joined.step_context()).plan(order, CHECKED).max_lease_s == MAX_LEASE_S
    put(joined, order)
    reported = manifest(joined, order)
    assert (reported["MaxLease"], reported["ClientToken"]) == (MAX_LEASE_S, order.client_token)


def test_a_moved_end_replaces_the_object_and_its_token(joined: Site) -> None:
    order = ordered(joined)
    put(joined, order)
    before, end_s = read(joined, order), order.end_of_lease_s + 3600
    move(joined, order, end_s)
    after = read(joined, order)
    assert manifest(joined, order)["Tags"] == {"htcondor:annex-lease-end": utc(end_s)}
    assert f"LeaseEnd = {end_s}" in after["50-condor-annex.conf"].decode().splitlines()
    assert after["annex.token"] != before["annex.token"]


def test_a_cancelled_annex_ends_now_and_needs_neither_key_nor_folder(joined: Site) -> None:
    order, now_s = ordered(joined), int(joined.now_s())
    joined.bundle_sources.key = None
    move(joined, order, now_s, cancelled_s=now_s)
    reported = manifest(joined, order)
    assert (reported["LeaseEnd"], reported["Tags"]["htcondor:annex-cancelled"]) == (now_s, utc(now_s))


def test_an_order_without_an_object_gets_none(joined: Site) -> None:
    order = ordered(joined, JoinPool=False)
    assert PutObject(joined.step_context()).plan(order, CHECKED).place is None
    move(joined, order, order.end_of_lease_s)
    assert joined.operations() == []


@pytest.mark.parametrize("kind", ["throttle", "internal", "reset"])
def test_a_put_that_may_work_later_is_to_be_tried_again(joined: Site, kind: str) -> None:
    order = ordered(joined)
    joined.cloud.fault("PutObject", kind, times=9)
    with pytest.raises(Retry, match="PutObject s3://"):
        move(joined, order, order.end_of_lease_s)


def test_a_put_without_the_right_is_refused(joined: Site) -> None:
    order = ordered(joined)
    joined.cloud.fault("PutObject", "denied", times=9)
    with pytest.raises(Refused, match="PutObject s3://"):
        move(joined, order, order.end_of_lease_s)


def test_the_bucket_must_be_of_the_lease_functions_account_each_time(joined: Site) -> None:
    """S3 refuses a bucket of any other account, so nobody else gets a token."""
    order = ordered(joined)
    put(joined, order)
    move(joined, order, order.end_of_lease_s)
    owners = [each["params"]["ExpectedBucketOwner"] for each in joined.cloud.calls("PutObject")]
    assert owners == 2 * [order.target.lease_function_arn.split(":")[4]]
