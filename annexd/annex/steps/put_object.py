"""Step 4: the object in S3 from which the instances learn how to join the pool.

The lease's target already names it, so that it goes when the annex goes.  Not every annex has one: without a
bucket there is nothing to do or undo.
"""

from collections.abc import Mapping
from typing import Final

from annexd.annex.parcel import parcel
from annexd.annex.steps.asking import World, asking, before_the_end, settled
from annexd.aws import account_of_function, answers
from annexd.aws.errors import AWS_ERRORS, is_not_found
from annexd.workflow import Json

DELETED: Final = 204  # https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObject.html, also of what is not there


class PutObject:
    """One object, under a key of the annex's own; made again, it is the same."""

    name = "put_object"

    def __init__(self, world: World) -> None:
        self._world = world

    def plan(self, order: Json, results: Mapping[str, Json]) -> Json:  # noqa: ARG002
        """{bucket, key, bucket_owner, end_of_lease_s}, or {} for an annex without an object."""
        join = order.get("join")
        if join is None:
            return {}
        return {
            "bucket": join["bucket"],
            "key": join["key"],
            "bucket_owner": account_of_function(order["lease_function_arn"]),
            "end_of_lease_s": order["end_of_lease_s"],
        }

    def forward(self, order: Json, intent: Json) -> Json:
        """{}.  The bucket must be of the lease function's account: nobody else gets a token."""
        if not intent:
            return {}
        before_the_end(self._world, intent["end_of_lease_s"])
        body = parcel(order, self._world.supplies)
        s3 = self._world.access(order).s3
        with asking(f"PutObject s3://{intent['bucket']}/{intent['key']}"):
            answer = s3.put_object(
                Bucket=intent["bucket"],
                Key=intent["key"],
                Body=body,
                ContentType="application/gzip",
                ExpectedBucketOwner=intent["bucket_owner"],
            )
            answers.text(answer, "ETag")  # a page of a proxy has none
        return {}

    def backward(self, order: Json, intent: Json, asked_at_s: float) -> None:
        """Delete it.  S3 says yes as well to what is not there, and what it deleted is gone at once."""
        if not intent:
            return
        s3 = self._world.access(order).s3
        with asking(f"DeleteObject s3://{intent['bucket']}/{intent['key']}"):
            try:
                answer = s3.delete_object(
                    Bucket=intent["bucket"], Key=intent["key"], ExpectedBucketOwner=intent["bucket_owner"]
                )
                if answer["ResponseMetadata"]["HTTPStatusCode"] != DELETED:
                    raise answers.UnknownShape(what=f"S3 deletes with HTTP status {DELETED}")
            except AWS_ERRORS as error:
                if not is_not_found(error):
                    raise
        settled(self._world, asked_at_s, f"s3://{intent['bucket']}/{intent['key']}")


def put_present(world: World, order: Json, *, end_s: int, cancelled: bool, max_lease_s: int, now_s: float) -> None:
    """Replaced by JOIN's."""
