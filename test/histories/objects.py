"""Emulate S3 for the histories: one bucket, whose objects are put, listed and deleted."""

from __future__ import annotations

from xml.sax.saxutils import escape

from test.cloud.errors import Answer, error_answer
from test.cloud.request import Request
from test.lease.account import BUCKET

XML = {"Content-Type": "application/xml"}


class Objects:
    """Keys and contents, strongly consistent as S3 has been since 2020."""

    def __init__(self) -> None:
        self.contents: dict[str, bytes] = {}

    def answer(self, request: Request) -> Answer:
        bucket, _, key = request.path.removeprefix("/").partition("/")
        if bucket != BUCKET:
            return error_answer("s3", 404, "NoSuchBucket", "The specified bucket does not exist")
        match request.operation:
            case "PutObject":
                self.contents[key] = request.body
                return Answer(200, b"", {"ETag": '"etag"'})
            case "DeleteObject":
                self.contents.pop(key, None)
                return Answer(204, b"", {})
            case "DeleteObjects":
                return self._delete([each["Key"] for each in request.parameters()["Delete"]["Objects"]])
        return self._list(request.parameters().get("Prefix", ""))

    def _delete(self, keys: list[str]) -> Answer:
        for key in keys:
            self.contents.pop(key, None)
        deleted = "".join(f"<Deleted><Key>{escape(key)}</Key></Deleted>" for key in keys)
        return Answer(200, f"<DeleteResult>{deleted}</DeleteResult>".encode(), XML)

    def _list(self, prefix: str) -> Answer:
        keys = sorted(key for key in self.contents if key.startswith(prefix))
        listed = "".join(f"<Contents><Key>{escape(key)}</Key></Contents>" for key in keys)
        return Answer(200, f"<ListBucketResult>{listed}</ListBucketResult>".encode(), XML)
