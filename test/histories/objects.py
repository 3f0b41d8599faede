"""S3 as the histories need it: one bucket, whose objects are put and deleted."""

from __future__ import annotations

from test.cloud.errors import Answer, error_answer
from test.cloud.request import Request

BUCKET = "annexes"


class Objects:
    """Keys and contents; what one call did the next one sees, as S3 promises since 2020."""

    def __init__(self) -> None:
        self.contents: dict[str, bytes] = {}

    def answer(self, request: Request) -> Answer:
        bucket, _, key = request.path.removeprefix("/").partition("/")
        if bucket != BUCKET:
            return error_answer("s3", 404, "NoSuchBucket", "The specified bucket does not exist")
        if request.operation == "PutObject":
            self.contents[key] = request.body
            return Answer(200, b"", {"ETag": '"etag"'})
        self.contents.pop(key, None)
        return Answer(204, b"", {})
