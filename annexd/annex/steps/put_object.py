"""The object in S3 that instances read to join the pool, and to learn when their lease ends.

Not every annex has one: without a bucket there is nothing to do or undo.  The lease function deletes it after the end.
"""

from dataclasses import dataclass
from typing import Any, Final

from annexd.annex.join.config_bundle import Present, config_bundle, present_config_bundle
from annexd.annex.request.join_config import JoinOrder
from annexd.annex.request.order import FleetOrder
from annexd.annex.steps.check_lease_function import LeaseFunctionSeen
from annexd.annex.steps.context import StepContext, before_the_end, require_settled, translate_aws_errors
from annexd.aws import Clients, account_of_function, answers
from annexd.aws.errors import AWS_ERRORS, is_not_found
from annexd.aws.not_yet import PROPAGATION_S
from annexd.workflow import Nothing, Results, Retry

DELETED: Final = 204  # https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObject.html, also of what is not there


@dataclass(frozen=True)
class S3Object:
    """The place of the object; the bucket must belong to `bucket_owner`, an AWS account."""

    bucket: str
    key: str
    bucket_owner: str

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"


@dataclass(frozen=True)
class PutIntent:
    """The object, or None for an annex without one, and those of its details that the order lacks."""

    place: S3Object | None
    end_of_lease_s: int
    max_lease_s: int
    planned_at_s: float


class PutObject:
    """Writes one object under the annex's own key; a repetition writes the same object."""

    name = "put_object"
    intent_type = PutIntent
    shows_late = False
    result_type = Nothing

    def __init__(self, context: StepContext) -> None:
        self._context = context

    def plan(self, order: FleetOrder, results: Results) -> PutIntent:
        place = None if order.join is None else _place(order, order.join)
        max_lease_s = results.of(LeaseFunctionSeen).max_lease_s
        return PutIntent(place, order.end_of_lease_s, max_lease_s, self._context.now_s())

    def forward(self, order: FleetOrder, intent: PutIntent) -> Nothing:
        if intent.place is not None:
            before_the_end(self._context, intent.end_of_lease_s)
            body = config_bundle(order, self._context.bundle_sources, intent.max_lease_s)
            _put(self._context.access(order.target).s3, intent.place, body)
        return Nothing()

    def backward(self, order: FleetOrder, intent: PutIntent, asked_at_s: float) -> None:
        """Delete the object.  S3 also accepts the deletion of a missing object, and a deletion takes effect at once."""
        place = intent.place
        if place is None:
            return
        s3 = self._context.access(order.target).s3
        with translate_aws_errors(f"DeleteObject {place}"):
            try:
                answer = s3.delete_object(Bucket=place.bucket, Key=place.key, ExpectedBucketOwner=place.bucket_owner)
                if answer["ResponseMetadata"]["HTTPStatusCode"] != DELETED:
                    raise answers.UnknownShape(what=f"S3 deletes with HTTP status {DELETED}")
            except AWS_ERRORS as error:
                if not is_not_found(error):
                    raise
                self._require_known_bucket(place, intent.planned_at_s)
        require_settled(self._context, asked_at_s, str(place))

    def _require_known_bucket(self, place: S3Object, planned_at_s: float) -> None:
        """Raise Retry while S3's NoSuchBucket may mean that a new bucket is not known everywhere yet."""
        if self._context.now_s() < planned_at_s + PROPAGATION_S:
            raise Retry(f"S3 does not know the bucket {place.bucket}, which may be new; annexd asks again")


def put_present(context: StepContext, clients: Clients, order: FleetOrder, present: Present) -> None:
    """Replace the annex's object with one that has the present end and a new token for the pool.

    `order` is the annex's own, `clients` those of the lease change.  Machines read it within five minutes.  It may be
    repeated; nothing is done for an order without `join`.  Raises Retry, or Refused if the signing key or the
    requester's folder cannot be used any more; a cancelled annex needs neither.
    """
    if order.join is None:
        return
    body = present_config_bundle(order, context.bundle_sources, present, context.aws_now_s(clients))
    _put(clients.s3, _place(order, order.join), body)


def _place(order: FleetOrder, join: JoinOrder) -> S3Object:
    """Require a bucket of the lease function's account, so that no other account gets a token."""
    return S3Object(join.bucket, join.key, account_of_function(order.target.lease_function_arn) or "")


def _put(s3: Any, place: S3Object, body: bytes) -> None:
    with translate_aws_errors(f"PutObject {place}", bucket=place.bucket):
        answer = s3.put_object(
            Bucket=place.bucket,
            Key=place.key,
            Body=body,
            ContentType="application/gzip",
            ExpectedBucketOwner=place.bucket_owner,
        )
        answers.text(answer, "ETag")  # a page of a proxy has none
