"""The meaning of each error of AWS: a table of codes, and the messages for users."""

import pytest
from botocore.exceptions import (
    BotoCoreError,
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    ReadTimeoutError,
)

from annexd.aws import errors
from test.aws.refusals import answer

MEANINGS = [
    ("RequestLimitExceeded", 503, "transient"),
    ("ThrottlingException", 400, "transient"),
    ("TooManyRequestsException", 429, "transient"),
    ("InternalError", 500, "transient"),
    ("Unavailable", 503, "transient"),
    ("ConcurrentModificationException", 400, "transient"),
    ("NobodyKnowsThisOne", 502, "transient"),
    ("ResourceNotFoundException", 404, "not found"),
    ("InvalidSpotFleetRequestId.NotFound", 400, "not found"),
    ("UnauthorizedOperation", 403, "denied"),
    ("AccessDeniedException", 400, "denied"),
    ("AuthFailure", 401, "denied"),
    ("InvalidClientTokenId", 403, "denied"),
    ("ExpiredToken", 400, "denied"),
    ("MaxSpotInstanceCountExceeded", 400, "quota"),
    ("LimitExceededException", 400, "quota"),
    ("InsufficientInstanceCapacity", 500, "capacity"),
    ("SpotMaxPriceTooLow", 400, "capacity"),
    ("InvalidSpotFleetRequestConfig", 400, "invalid"),
    ("IdempotentParameterMismatch", 400, "invalid"),
    ("NobodyKnowsThisOne", 400, "invalid"),
]
QUESTIONS = {
    "transient": errors.is_transient,
    "not found": errors.is_not_found,
    "denied": errors.is_denied,
    "quota": errors.is_quota,
    "capacity": errors.is_capacity,
}


@pytest.mark.parametrize(("code", "status", "meaning"), MEANINGS)
def test_each_code_means_one_thing(code: str, status: int, meaning: str) -> None:
    """An error without one of these meanings is about the request itself."""
    means = [name for name, asks in QUESTIONS.items() if asks(answer(code, status))]
    if meaning == "transient":
        assert meaning in means
    else:
        assert means == ([] if meaning == "invalid" else [meaning])


def test_throttling_a_quota_and_capacity_are_distinguished() -> None:
    message = {
        code: errors.describe(answer(code), "RequestSpotFleet")
        for code in ("RequestLimitExceeded", "MaxSpotInstanceCountExceeded", "UnfulfillableCapacity")
    }
    assert "throttled" in message["RequestLimitExceeded"]
    assert "quota" in message["MaxSpotInstanceCountExceeded"]
    assert "no capacity" in message["UnfulfillableCapacity"]


URL = {"endpoint_url": "https://ec2.us-east-1.amazonaws.com"}
CONNECTIONS: list[tuple[BotoCoreError, bool]] = [
    (EndpointConnectionError(**URL, error="refused"), True),
    (ConnectTimeoutError(**URL), True),
    (ReadTimeoutError(**URL), False),
    (ConnectionClosedError(**URL), False),
]


@pytest.mark.parametrize(("error", "never_sent"), CONNECTIONS, ids=lambda value: type(value).__name__)
def test_a_lost_connection_is_asked_again_and_had_no_effect_only_if_never_made(
    error: BotoCoreError, never_sent: bool
) -> None:
    assert errors.is_transient(error)
    assert errors.had_no_effect(error) is never_sent


def test_a_refusal_had_no_effect_unless_botocore_had_asked_before() -> None:
    assert errors.had_no_effect(answer("UnauthorizedOperation", 403))
    assert errors.had_no_effect(answer("RequestLimitExceeded", 503))
    assert not errors.had_no_effect(answer("UnauthorizedOperation", 403, retries=1))
    assert not errors.had_no_effect(answer("InternalError", 500))


def test_no_credentials_is_final_and_says_so() -> None:
    error = NoCredentialsError()
    assert not errors.is_transient(error)
    assert "could not be sent: Unable to locate credentials" in errors.describe(error, "CreateTags")


def test_a_long_message_is_cut_and_kept_on_one_line() -> None:
    error = answer("UnauthorizedOperation", 403, "Encoded authorization failure\n" + "x" * 5000)
    message = errors.describe(error, "CreateTags")
    assert "\n" not in message
    assert len(message) < 1200
