"""The object in S3 from which the instances learn how to join the pool, and where the end of their lease is.

Not every annex has one: without a bucket there is nothing to do or undo.  The lease function deletes it after the end.
"""

from collections.abc import Mapping
from typing import Any, Final

from annexd.annex.join.config_bundle import Present, config_bundle, present_config_bundle
from annexd.annex.steps.context import StepContext, before_the_end, require_settled, translate_aws_errors
from annexd.aws import Clients, account_of_function, answers
from annexd.aws.errors import AWS_ERRORS, is_not_found
from annexd.aws.not_yet import PROPAGATION_S
from annexd.workflow import Json, Retry

DELETED: Final = 204  # https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObject.html, also of what is not there


class PutObject:
    """One object, under a key of the annex's own; made again, it is the same."""

    name = "put_object"
    shows_late = False

    def __init__(self, world: StepContext) -> None:
        self._world = world

    def plan(self, order: Json, results: Mapping[str, Json]) -> Json:
        """{bucket, key, bucket_owner, end_of_lease_s, planned_at_s, max_lease_s}; {} for an annex without an object."""
        if order.get("join") is None:
            return {}
        max_lease_s = results["check_lease_function"]["max_lease_s"]
        times = {"end_of_lease_s": order["end_of_lease_s"], "planned_at_s": self._world.now_s()}
        return {**_place(order), **times, "max_lease_s": max_lease_s}

    def forward(self, order: Json, intent: Json) -> Json:
        """{}"""
        if not intent:
            return {}
        before_the_end(self._world, intent["end_of_lease_s"])
        body = config_bundle(order, self._world.bundle_sources, intent["max_lease_s"])
        _put(self._world.access(order).s3, intent, body)
        return {}

    def backward(self, order: Json, intent: Json, asked_at_s: float) -> None:
        """Delete it.  S3 says yes as well to what is not there, and what it deleted is gone at once."""
        if not intent:
            return
        s3 = self._world.access(order).s3
        with translate_aws_errors(f"DeleteObject s3://{intent['bucket']}/{intent['key']}"):
            try:
                answer = s3.delete_object(
                    Bucket=intent["bucket"], Key=intent["key"], ExpectedBucketOwner=intent["bucket_owner"]
                )
                if answer["ResponseMetadata"]["HTTPStatusCode"] != DELETED:
                    raise answers.UnknownShape(what=f"S3 deletes with HTTP status {DELETED}")
            except AWS_ERRORS as error:
                if not is_not_found(error):
                    raise
                self._require_known_bucket(intent)
        require_settled(self._world, asked_at_s, f"s3://{intent['bucket']}/{intent['key']}")

    def _require_known_bucket(self, intent: Json) -> None:
        """Raise Retry as long as S3's NoSuchBucket may mean that it does not know a new bucket everywhere yet."""
        if self._world.now_s() < intent["planned_at_s"] + PROPAGATION_S:
            raise Retry(f"S3 does not know the bucket {intent['bucket']}, which may be new: it is asked again")


def put_present(world: StepContext, clients: Clients, order: Json, present: Present) -> None:
    """Replace the annex's object by one with the present end, and with a new token for the pool.

    `order` is the annex's own, `clients` those of whoever changes its lease.  Machines read it within five minutes.  It
    may be done again; nothing is done for an order without `join`.  Raises Retry, or Refused if the signing key or the
    requester's folder cannot be used any more, neither of which a cancelled annex needs.
    """
    if order.get("join") is None:
        return
    body = present_config_bundle(order, world.bundle_sources, present, world.aws_now_s(clients))
    _put(clients.s3, _place(order), body)


def _place(order: Json) -> Json:
    """The bucket must be of the lease function's account: nobody else gets a token."""
    join = order["join"]
    return {
        "bucket": join["bucket"],
        "key": join["key"],
        "bucket_owner": account_of_function(order["lease_function_arn"]),
    }


def _put(s3: Any, place: Json, body: bytes) -> None:
    with translate_aws_errors(f"PutObject s3://{place['bucket']}/{place['key']}", bucket=place["bucket"]):
        answer = s3.put_object(
            Bucket=place["bucket"],
            Key=place["key"],
            Body=body,
            ContentType="application/gzip",
            ExpectedBucketOwner=place["bucket_owner"],
        )
        answers.text(answer, "ETag")  # a page of a proxy has none
