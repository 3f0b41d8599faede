"""IAM for each request: the signer, the validity of the signature, and the signer's permissions.

`Cloud(enforce_iam=True)` enables it; without it every key may do everything, as in bare moto.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256

from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from moto.s3.models import s3_backends

from test.cloud import principals
from test.cloud.actions import needs
from test.cloud.errors import Answer, code_of, error_answer
from test.cloud.needs import Regions
from test.cloud.policies import Context, Document, Need, Verdict, judge
from test.cloud.principals import Principal
from test.cloud.request import Request
from test.cloud.views import ACCOUNT

TOLERANCE_S: Mapping[str, float] = {"s3": 900.0}  # AWS: 15 minutes for S3, 5 for the others
TIME_FORMAT = "%Y%m%dT%H%M%SZ"
CLOUDFORMATION = "cloudformation.amazonaws.com"  # its name when it calls on behalf of a caller
ENCODED = "Encoded authorization failure message"
FOR_EVERYBODY = frozenset({"GetCallerIdentity"})


class Gate:
    """AWS's refusals of requests."""

    def __init__(self, regions: Regions) -> None:
        self._regions = regions
        self.judged: list[tuple[str, Need, Context]] = []  # who needed what, in which context

    def refusal(self, request: Request, now_s: float) -> Answer | None:
        """Return the response that refuses a request; None for a request that may pass."""
        principal = principals.find(request.access_key_id)
        if not request.service:
            return _refused(request, "unsigned", "Request is missing Authentication Token")
        if principal is None:
            return _refused(request, "unknown-key", "The security token included in the request is invalid.")
        return _unauthentic(request, principal, now_s) or self._unauthorized(request, principal)

    def _unauthorized(self, request: Request, principal: Principal) -> Answer | None:
        if principal.documents is None or request.operation in FOR_EVERYBODY:
            return None
        for need in needs(request, self._regions):
            verdict = self._judge(request, principal, need)
            if not verdict.allowed:
                return _refused(request, "denied", _denied(principal, need, verdict.reason))
        return None

    def _judge(self, request: Request, principal: Principal, need: Need) -> Verdict:
        documents = [*(principal.documents or []), *_of_the_bucket(need.resource)]
        context = {**_context(request), **principal.context}
        self.judged.append((principal.arn, need, context))
        return judge(documents, need, context, principal.arn)

    def denial_of(self, request: Request, access_key_id: str, action: str, resource: str) -> str | None:
        """Return why the owner of that key may not do that through CloudFormation; None if the owner may."""
        principal = principals.find(access_key_id)
        if principal is None or principal.documents is None:
            return None
        need = Need(action, resource, {"aws:calledvia": [CLOUDFORMATION]})
        verdict = self._judge(request, principal, need)
        return None if verdict.allowed else _denied(principal, need, verdict.reason)

    def hide(self, request: Request, answer: Answer) -> Answer:
        """Remove from a response the parts that need a right of their own."""
        if request.operation == "GetFunction" and answer.status == 200:
            return self._without_tags(request, answer)
        return self._without_absence(request, answer)

    def _without_tags(self, request: Request, answer: Answer) -> Answer:
        """Remove the tags, which Lambda shows only to principals that may list them.

        CERTAIN: API reference, GetFunctionResponse, Tags.
        """
        principal = principals.find(request.access_key_id)
        if principal is None or principal.documents is None:
            return answer
        need = Need("lambda:ListTags", needs(request, self._regions)[0].resource)
        if self._judge(request, principal, need).allowed:
            return answer
        response = {key: value for key, value in json.loads(answer.body).items() if key != "Tags"}
        return replace(answer, body=json.dumps(response).encode())

    def _without_absence(self, request: Request, answer: Answer) -> Answer:
        """Hide that an object is missing, which S3 shows only to principals that may list the bucket."""
        if answer.status != 404 or request.operation not in {"GetObject", "HeadObject"}:
            return answer
        principal = principals.find(request.access_key_id)
        if principal is None or principal.documents is None:
            return answer
        bucket = Need("s3:ListBucket", f"arn:aws:s3:::{request.parameters()['Bucket']}")
        if self._judge(request, principal, bucket).allowed:
            return answer
        need = needs(request, self._regions)[0]
        return _refused(request, "denied", _denied(principal, bucket, f"({need.action} found nothing)"))


def _context(request: Request) -> Context:
    """Return the context of a request; aws:SecureTransport is true, because AWS's endpoints use TLS."""
    via = {"aws:calledvia": [CLOUDFORMATION]} if CLOUDFORMATION in request.headers.get("user-agent", "") else {}
    return {
        "aws:securetransport": ["true"],
        "aws:requestedregion": [request.region],
        "aws:principalaccount": [ACCOUNT],
        "aws:resourceaccount": [ACCOUNT],
        **via,
    }


def _of_the_bucket(resource: str) -> list[Document]:
    if not resource.startswith("arn:aws:s3:::"):
        return []
    bucket = s3_backends[ACCOUNT]["aws"].buckets.get(resource.removeprefix("arn:aws:s3:::").partition("/")[0])
    return [json.loads(bucket.policy)] if bucket is not None and bucket.policy else []


def _unauthentic(request: Request, principal: Principal, now_s: float) -> Answer | None:
    token = request.headers.get("x-amz-security-token")
    if principal.expires_at_s <= now_s:
        return _refused(request, "expired-token", "The provided token has expired.")
    if not hmac.compare_digest(token or "", principal.session_token or ""):
        return _refused(request, "unknown-key", "The security token included in the request is invalid.")
    signed_s = _signed_at_s(request)
    if abs(signed_s - now_s) > TOLERANCE_S.get(request.service, 300.0):
        return _refused(request, "skewed", f"Signature expired or not yet valid: signed {signed_s}, now {now_s}")
    if not hmac.compare_digest(_signature(request, principal), _given_signature(request)):
        return _refused(
            request,
            "bad-signature",
            "The request signature we calculated does not match the signature "
            "you provided. Check your AWS Secret Access Key and signing method.",
        )
    return None


def _signed_at_s(request: Request) -> float:
    try:
        return datetime.strptime(request.headers.get("x-amz-date", ""), TIME_FORMAT).replace(tzinfo=UTC).timestamp()
    except ValueError:
        return 0.0


def _given_signature(request: Request) -> str:
    return request.headers.get("authorization", "").partition("Signature=")[2]


def _signature(request: Request, principal: Principal) -> str:
    """Return the right signature, by botocore's own signer; a text that no signature equals for a changed body."""
    named = request.headers.get("authorization", "").partition("SignedHeaders=")[2].partition(",")[0].split(";")
    digest = request.headers.get("x-amz-content-sha256", "")
    if len(digest) == 64 and digest != sha256(request.body).hexdigest():
        return "the body is not the one that was signed"
    headers = {name: value for name, value in request.headers.items() if name in named}
    signed = AWSRequest(request.method, f"http://{request.headers.get('host')}{request.target}", headers, request.body)
    signed.context["timestamp"] = request.headers["x-amz-date"]
    kind = S3SigV4Auth if request.service == "s3" else SigV4Auth
    signer = kind(Credentials(request.access_key_id, principal.secret), request.service, request.region)
    canonical = signer.canonical_request(signed)
    return str(signer.signature(signer.string_to_sign(signed, canonical), signed))


def _refused(request: Request, kind: str, message: str) -> Answer:
    """Return an error response; EC2 frames a denial's message.  CERTAIN: test/cloud/recordings/fleets.json."""
    status, code = code_of(kind, request.service)
    if (kind, request.service) == ("denied", "ec2"):
        encoded = sha256(message.encode()).hexdigest()
        message = f"You are not authorized to perform this operation. {message}. {ENCODED}: {encoded}"
    return error_answer(request.service, status, code, message)


def _denied(principal: Principal, need: Need, reason: str) -> str:
    return f"User: {principal.arn} is not authorized to perform: {need.action} on resource: {need.resource} {reason}"
