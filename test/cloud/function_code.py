"""GetFunction's members beyond moto: an address for downloading the function's zip, and a concurrency of 0."""

from __future__ import annotations

import json
from typing import Any

from moto.awslambda.models import lambda_backends

from test.cloud.errors import Answer

CODE_PATH = "/_cloud/code/"  # AWS signs the address: anybody with it may use it for ten minutes


def with_location(body: str, url: str) -> str:
    """Return moto's response to GetFunction with these members added."""
    answer: dict[str, Any] = json.loads(body)
    arn = answer["Configuration"]["FunctionArn"]
    answer["Code"] = {"RepositoryType": "S3", "Location": f"{url}{CODE_PATH}{arn}"}
    function = _function(arn)
    reserved = function.reserved_concurrency
    if reserved is not None:
        answer["Concurrency"] = {"ReservedConcurrentExecutions": reserved}
    return json.dumps(answer)


def zip_at(path: str) -> Answer:
    """Return the response at such an address: the zip, or status 404."""
    found = _function(path.removeprefix(CODE_PATH))
    if found is None:
        return Answer(404, b"")
    return Answer(200, found.code_bytes, {"Content-Type": "application/zip"})


def _function(arn: str) -> Any:
    backends = [backend for account in lambda_backends.values() for backend in account.values()]
    return next((each for backend in backends for each in backend.list_functions() if each.function_arn in arn), None)
