"""Empty a bucket: CloudFormation deletes only empty ones."""

from collections.abc import Iterator
from typing import Any, Final

from annexd.account.errors import AccountError
from annexd.account.session import translate_aws_errors
from annexd.aws import errors
from annexd.aws.errors import AWS_ERRORS

BATCH: Final = 1000  # the limit of DeleteObjects


def empty(s3: Any, bucket: str) -> int:
    """Delete all versions, delete markers and uploads, and return their number; 0 if the bucket does not exist."""
    try:
        with translate_aws_errors(f"ListObjectVersions {bucket}"):
            deleted = sum(_delete(s3, bucket, batch) for batch in _batches(s3, bucket))
        with translate_aws_errors(f"ListMultipartUploads {bucket}"):
            return deleted + _abort_uploads(s3, bucket)
    except AccountError as error:
        if isinstance(error.__cause__, AWS_ERRORS) and errors.is_not_found(error.__cause__):
            return 0
        raise


def _batches(s3: Any, bucket: str) -> Iterator[list[dict[str, str]]]:
    pages = s3.get_paginator("list_object_versions").paginate(Bucket=bucket, PaginationConfig={"PageSize": BATCH})
    for page in pages:
        found = [*page.get("Versions", ()), *page.get("DeleteMarkers", ())]
        if found:
            yield [{"Key": each["Key"], "VersionId": each["VersionId"]} for each in found]


def _delete(s3: Any, bucket: str, versions: list[dict[str, str]]) -> int:
    with translate_aws_errors(f"DeleteObjects {bucket}"):
        answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": versions, "Quiet": True})
    for failure in answer.get("Errors", ()):
        message = f"{failure.get('Code')}: {failure.get('Message')}"
        raise AccountError(f"s3://{bucket}/{failure.get('Key')} could not be deleted ({message})")
    return len(versions)


def _abort_uploads(s3: Any, bucket: str) -> int:
    uploads = [
        (upload["Key"], upload["UploadId"])
        for page in s3.get_paginator("list_multipart_uploads").paginate(Bucket=bucket)
        for upload in page.get("Uploads", ())
    ]
    for key, upload_id in uploads:
        s3.abort_multipart_upload(Bucket=bucket, Key=key, UploadId=upload_id)
    return len(uploads)
