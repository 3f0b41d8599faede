"""AWS's errors in the format of each protocol, as botocore needs them to name the error."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from xml.sax.saxutils import escape

# kind of fault -> service -> (HTTP status, code); "" stands for every other service.  Sources: the services'
# API references, "Common errors" (EventBridge returns AccessDeniedException and ThrottlingException with 400);
# S3's own list of error responses.
CODES: Mapping[str, Mapping[str, tuple[int, str]]] = {
    "throttle": {
        "ec2": (503, "RequestLimitExceeded"),
        "lambda": (429, "TooManyRequestsException"),
        "s3": (503, "SlowDown"),
        "iam": (400, "Throttling"),
        "sts": (400, "Throttling"),
        "cloudformation": (400, "Throttling"),
        "": (400, "ThrottlingException"),
    },
    "internal": {
        "ec2": (500, "InternalError"),
        "events": (500, "InternalException"),
        "lambda": (500, "ServiceException"),
        "s3": (500, "InternalError"),
        "iam": (500, "ServiceFailure"),
        "": (500, "InternalFailure"),
    },
    "denied": {
        "ec2": (403, "UnauthorizedOperation"),
        "lambda": (403, "AccessDeniedException"),
        "s3": (403, "AccessDenied"),
        "iam": (403, "AccessDenied"),
        "sts": (403, "AccessDenied"),
        "cloudformation": (403, "AccessDenied"),
        "": (400, "AccessDeniedException"),
    },
    "unknown-key": {
        "ec2": (401, "AuthFailure"),
        "lambda": (403, "UnrecognizedClientException"),
        "s3": (403, "InvalidAccessKeyId"),
        "iam": (403, "InvalidClientTokenId"),
        "sts": (403, "InvalidClientTokenId"),
        "cloudformation": (403, "InvalidClientTokenId"),
        "": (400, "UnrecognizedClientException"),
    },
    "bad-signature": {
        "ec2": (401, "AuthFailure"),
        "lambda": (403, "InvalidSignatureException"),
        "s3": (403, "SignatureDoesNotMatch"),
        "iam": (403, "SignatureDoesNotMatch"),
        "sts": (403, "SignatureDoesNotMatch"),
        "cloudformation": (403, "SignatureDoesNotMatch"),
        "": (400, "InvalidSignatureException"),
    },
    "skewed": {
        "ec2": (400, "RequestExpired"),
        "lambda": (403, "InvalidSignatureException"),
        "s3": (403, "RequestTimeTooSkewed"),
        "iam": (403, "SignatureDoesNotMatch"),
        "sts": (403, "SignatureDoesNotMatch"),
        "cloudformation": (403, "SignatureDoesNotMatch"),
        "": (400, "InvalidSignatureException"),
    },
    "expired-token": {
        "ec2": (400, "RequestExpired"),
        "lambda": (403, "ExpiredTokenException"),
        "s3": (400, "ExpiredToken"),
        "iam": (403, "ExpiredToken"),
        "sts": (403, "ExpiredToken"),
        "cloudformation": (403, "ExpiredToken"),
        "": (400, "ExpiredTokenException"),
    },
    "unsigned": {
        "ec2": (401, "AuthFailure"),
        "s3": (403, "AccessDenied"),
        "": (403, "MissingAuthenticationToken"),
    },
}


@dataclass(frozen=True)
class Answer:
    """A complete HTTP response."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


def code_of(kind: str, service: str) -> tuple[int, str]:
    codes = CODES[kind]
    return codes.get(service, codes[""])


def error_answer(service: str, status: int, code: str, message: str) -> Answer:
    """Return `code` as the service would send it, in its own protocol."""
    match service:
        case "ec2":
            return _ec2(status, code, message)
        case "s3":
            return _s3(status, code, message)
        case "lambda":
            return _rest_json(status, code, message)
        case "events" | "kms" | "logs" | "pricing" | "servicequotas" | "ssm":
            return _json(status, code, message)
        case _:
            return _query(status, code, message)


def _ec2(status: int, code: str, message: str) -> Answer:
    body = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<Response><Errors><Error><Code>{code}</Code><Message>{escape(message)}</Message></Error></Errors>"
        f"<RequestID>{uuid.uuid4()}</RequestID></Response>"
    )
    return Answer(status, body.encode(), {"Content-Type": "text/xml;charset=UTF-8"})


def _s3(status: int, code: str, message: str) -> Answer:
    body = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<Error><Code>{code}</Code><Message>{escape(message)}</Message><RequestId>{uuid.uuid4()}</RequestId></Error>"
    )
    return Answer(status, body.encode(), {"Content-Type": "application/xml"})


def _query(status: int, code: str, message: str) -> Answer:
    body = (
        f"<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{escape(message)}</Message></Error>"
        f"<RequestId>{uuid.uuid4()}</RequestId></ErrorResponse>"
    )
    return Answer(status, body.encode(), {"Content-Type": "text/xml"})


def _json(status: int, code: str, message: str) -> Answer:
    body = json.dumps({"__type": code, "message": message})
    headers = {"Content-Type": "application/x-amz-json-1.1", "x-amzn-RequestId": str(uuid.uuid4())}
    return Answer(status, body.encode(), headers)


def _rest_json(status: int, code: str, message: str) -> Answer:
    headers = {
        "Content-Type": "application/json",
        "x-amzn-ErrorType": code,
        "x-amzn-RequestId": str(uuid.uuid4()),
    }
    return Answer(status, json.dumps({"Type": "User", "Message": message}).encode(), headers)
