"""Test that version 4 signatures equal AWS's published examples, and botocore's for any call."""

from __future__ import annotations

import calendar
from urllib.parse import quote, urlencode

from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from test.instance.script import script

EXAMPLE_SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
S3_SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
EXAMPLE = script.Credentials("AKIDEXAMPLE", EXAMPLE_SECRET, "")
S3_EXAMPLE = script.Credentials("AKIAIOSFODNN7EXAMPLE", S3_SECRET, "")
ADDRESSABLE = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1, max_size=40)


def at_s(moment: str) -> int:
    return calendar.timegm((int(moment[:4]), int(moment[4:6]), int(moment[6:8]), int(moment[9:11]), 0, 0))


def signature(headers: dict[str, str]) -> str:
    return headers["authorization"].rpartition("Signature=")[2]


def test_the_signing_key_is_that_of_awss_example() -> None:
    key = script.signing_key(EXAMPLE_SECRET, "20150830", "us-east-1", "iam")
    assert key.hex() == "c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9"


def test_a_query_is_signed_as_in_awss_example() -> None:
    """AWS General Reference, "Signature Version 4 signing process": ListUsers of 30 August 2015, 12:36:00."""
    form = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
    url = "https://iam.amazonaws.com/?Action=ListUsers&Version=2010-05-08"
    moment_s = at_s("20150830T12") + 36 * 60
    signed = script.sign("GET", url, form, b"", EXAMPLE, "us-east-1", "iam", moment_s)
    assert signed["x-amz-date"] == "20150830T123600Z"
    assert signature(signed) == "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"


def test_an_object_is_asked_for_as_in_awss_example() -> None:
    """Amazon S3 API Reference, "Examples: Signature calculations": GET Object."""
    url = "https://examplebucket.s3.amazonaws.com/test.txt"
    signed = script.sign("GET", url, {"Range": "bytes=0-9"}, b"", S3_EXAMPLE, "us-east-1", "s3", at_s("20130524T00"))
    assert signature(signed) == "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"


@given(key=ADDRESSABLE, token=st.sampled_from(["", "a/session+token=="]))
def test_any_object_is_asked_for_with_the_signature_that_botocore_makes(key: str, token: str) -> None:
    path = quote(key, safe="/~")
    url = f"https://bucket.s3.eu-central-1.amazonaws.com/{path}"
    credentials = script.Credentials("AKIDEXAMPLE", EXAMPLE_SECRET, token)
    signed = script.sign("GET", url, {}, b"", credentials, "eu-central-1", "s3", 1795377000.0)
    assert signature(signed) == botocores(S3SigV4Auth, "GET", url, signed, b"", "eu-central-1", "s3")


@given(parameters=st.dictionaries(ADDRESSABLE, ADDRESSABLE, max_size=5))
def test_any_call_is_made_with_the_signature_that_botocore_makes(parameters: dict[str, str]) -> None:
    body, url = urlencode(parameters).encode(), "https://ec2.us-east-1.amazonaws.com/"
    signed = script.sign("POST", url, {"Content-Type": "text/plain"}, body, EXAMPLE, "us-east-1", "ec2", 1795377000.0)
    assert signature(signed) == botocores(SigV4Auth, "POST", url, signed, body, "us-east-1", "ec2")


def botocores(
    kind: type[SigV4Auth], method: str, url: str, signed: dict[str, str], body: bytes, region: str, service: str
) -> str:
    headers = {name: value for name, value in signed.items() if name != "authorization"}
    request = AWSRequest(method, url, headers, body)
    request.context["timestamp"] = signed["x-amz-date"]
    signer = kind(Credentials("AKIDEXAMPLE", EXAMPLE_SECRET), service, region)
    return str(signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request))
