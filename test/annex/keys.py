"""Key files as a requester has them, and orders that name them."""

from __future__ import annotations

from collections.abc import Mapping

from annexd.workflow import Json
from test.annex.ads import ARN

KEYS = {"/public": b"AKIAALICE\n", "/secret": b" alice's/secret+key \n"}


class Files:
    """Files as the requester may read them, and who asked for which."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self.files = dict(files)
        self.asked: list[tuple[str, str]] = []

    def __call__(self, owner: str, path: str) -> bytes:
        self.asked.append((owner, path))
        if path not in self.files:
            raise PermissionError(f"{path} does not belong to the requester")
        return self.files[path]


def order_at(url: str) -> Json:
    names = ("ec2_url", "lambda_url", "s3_url", "sts_url", "logs_url")
    return {
        "owner": "alice@example.org",
        "public_key_file": "/public",
        "secret_key_file": "/secret",
        "lease_function_arn": ARN,
        "endpoints": {"region": "us-east-1", **dict.fromkeys(names, url)},
    }


NOWHERE = order_at("http://127.0.0.1:1")
