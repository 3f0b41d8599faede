"""Refusals as botocore raises them."""

from botocore.exceptions import ClientError


def answer(code: str, status: int = 400, message: str = "words", retries: int = 0) -> ClientError:
    return ClientError(
        {
            "Error": {"Code": code, "Message": message},
            "ResponseMetadata": {"HTTPStatusCode": status, "RetryAttempts": retries},
        },
        "Operation",
    )
