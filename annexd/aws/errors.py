"""Classify AWS's errors.  Only this file names AWS error codes.

Four questions decide what the engine does: whether the resource is gone (the undo is complete), whether the effect is
unknown (retry), whether it is a final refusal (undo), and what the user sees.  Throttling, a quota and a lack of
capacity are three things with three remedies.  Sources: the API references' pages "Common Errors" of EC2, EventBridge
and Lambda, and EC2's "Error codes".
"""

import time
from email.utils import parsedate_to_datetime
from functools import cache
from typing import Final

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    HTTPClientError,
    IncompleteReadError,
)
from botocore.exceptions import ConnectionError as NoConnection

from annexd.aws.answers import UnknownShape
from annexd.aws.limiter import ThrottledLocally
from annexd.aws.remedies import remedy_of, without_encoded

AWS_ERRORS: Final = (ClientError, BotoCoreError)  # AWS's refusals, and failures on the way to it
# The errors of botocore's parsers and signers for responses, or endpoint addresses, that AWS does not have.
SHAPE_ERRORS: Final = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError)
NOT_FOUND: Final = frozenset(
    {
        "ResourceNotFoundException",
        "InvalidSpotFleetRequestId.NotFound",
        "InvalidSpotFleetRequestConfigId.NotFound",
        "InvalidFleetId.NotFound",
        "InvalidLaunchTemplateId.NotFound",
        "InvalidLaunchTemplateId.VersionNotFound",
        "InvalidLaunchTemplateName.NotFoundException",
        "InvalidInstanceID.NotFound",
        "InvalidAMIID.NotFound",
        "InvalidAMIID.Unavailable",
        "ParameterNotFound",  # Systems Manager
        "ParameterVersionNotFound",
        "NoSuchBucket",
        "NoSuchKey",
        "NoSuchEntity",  # IAM
        "NoSuchBucketPolicy",
        "NoSuchPublicAccessBlockConfiguration",
        "NoSuchLifecycleConfiguration",
        "ServerSideEncryptionConfigurationNotFoundError",
        "OwnershipControlsNotFoundError",
        "InvalidGroup.NotFound",
        "InvalidVpcID.NotFound",
        "NoSuchResourceException",  # Service Quotas
    }
)
THROTTLED: Final = frozenset(
    {
        "RequestLimitExceeded",
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "RequestThrottled",
        "RequestThrottledException",
        "TooManyRequestsException",
        "SlowDown",
        "EC2ThrottledException",
    }
)
UNKNOWN: Final = frozenset(
    {
        "InternalError",
        "InternalFailure",
        "InternalException",
        "InternalServerError",
        "ServiceException",
        "ServiceUnavailable",
        "ServiceUnavailableException",
        "Unavailable",
        "RequestTimeout",
        "RequestTimeoutException",
        "ConcurrentModificationException",
        "ResourceConflictException",
        "OperationAborted",  # S3: another operation on the same bucket is in progress
        "unexpectedError",  # CancelSpotFleetRequests and DeleteFleets, inside an HTTP 200
    }
)
DENIED: Final = frozenset(
    {
        "UnauthorizedOperation",
        "AccessDenied",
        "AccessDeniedException",
        "AuthFailure",
        "AuthFailure.ServiceLinkedRoleCreationNotPermitted",
        "InvalidClientTokenId",
        "InvalidAccessKeyId",
        "AllAccessDisabled",
        "RequestTimeTooSkewed",
        "UnrecognizedClientException",
        "SignatureDoesNotMatch",
        "InvalidSignatureException",
        "IncompleteSignature",
        "MissingAuthenticationToken",
        "MissingAuthenticationTokenException",
        "OptInRequired",
        "Blocked",
        "PendingVerification",
    }
)
NO_RIGHT: Final = frozenset(
    {
        "UnauthorizedOperation",
        "AccessDenied",
        "AccessDeniedException",
        "AuthFailure.ServiceLinkedRoleCreationNotPermitted",
    }
)
NO_OPERATION: Final = frozenset({"InvalidAction", "UnsupportedOperation"})  # EC2's "Error codes"
EXISTING: Final = frozenset(
    {"AlreadyExistsException", "EntityAlreadyExists", "InvalidLaunchTemplateName.AlreadyExistsException"}
)
EXPIRED: Final = frozenset(
    {"ExpiredToken", "ExpiredTokenException", "RequestExpired", "InvalidAuthenticationToken", "InvalidToken"}
)
QUOTA: Final = frozenset(
    {
        "MaxSpotInstanceCountExceeded",
        "MaxSpotFleetRequestCountExceeded",
        "MaxFleetCountExceeded",
        "VcpuLimitExceeded",
        "InstanceLimitExceeded",
        "FleetCapacityLimitExceeded",
        "LimitExceededException",
        "ResourceLimitExceeded",
        "ResourceCountExceeded",
    }
)
CAPACITY: Final = frozenset(
    {
        "InsufficientInstanceCapacity",
        "InsufficientCapacity",
        "InsufficientCapacityOnHost",
        "InsufficientHostCapacity",
        "InsufficientReservedInstanceCapacity",
        "InsufficientFreeAddressesInSubnet",
        "UnfulfillableCapacity",
        "SpotMaxPriceTooLow",
    }
)
CLEAR: Final = NOT_FOUND | THROTTLED | DENIED | EXPIRED | QUOTA | CAPACITY  # with any HTTP status
# CancelSpotFleetRequests and DeleteFleets, inside an HTTP 200.  Not fleetRequestIdDoesNotExist, fleetIdDoesNotExist: a
# fleet that was just described exists, and may be unknown only where it was to be cancelled.
CANCELLED_ALREADY: Final = frozenset({"fleetRequestNotInCancellableState", "fleetNotInDeletableState"})
NEVER_SENT: Final = (EndpointConnectionError, ConnectTimeoutError)
SIGNIFICANT_SKEW_S: Final = 120.0  # AWS takes five minutes for some services, fifteen for others
MAX_MESSAGE: Final = 1000  # characters
MAX_CODE: Final = 100


def code_of(error: Exception) -> str:
    """Return AWS's error code, or the class name of an error that is not an AWS response."""
    if isinstance(error, ClientError):
        return str(error.response.get("Error", {}).get("Code", ""))[:MAX_CODE]
    return type(error).__name__


def is_not_found(error: Exception) -> bool:
    """Return whether the resource does not exist, or no longer."""
    return code_of(error) in NOT_FOUND


def is_no_stack(error: Exception) -> bool:
    """Recognise a missing stack, for which CloudFormation has no code of its own."""
    return code_of(error) == "ValidationError" and "does not exist" in str(error)


def is_nothing_to_update(error: Exception) -> bool:
    """Return whether the stack already has exactly this template."""
    return code_of(error) == "ValidationError" and "No updates are to be performed" in str(error)


def is_existing(error: Exception) -> bool:
    """Return whether the resource to create, such as a stack, a role or a launch template, already exists."""
    taken = code_of(error) == "InvalidInput" and "has been taken" in str(error)  # of a service-linked role
    return code_of(error) in EXISTING or taken


def is_api_refused(error: Exception) -> bool:
    """Return whether this account or this endpoint lacks the operation altogether: another API may work."""
    return code_of(error) in NO_RIGHT | NO_OPERATION


def is_throttled(error: Exception) -> bool:
    """Return whether AWS throttled the call, or annexd held it back because of throttling."""
    return code_of(error) in THROTTLED or isinstance(error, ThrottledLocally)


def is_unknown(error: Exception) -> bool:
    """Return whether the effect is unknown: repeat the call with the same names and token."""
    if isinstance(error, ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return code_of(error) in UNKNOWN or (status >= 500 and code_of(error) not in CLEAR)
    return isinstance(error, _connection_errors())


@cache
def _connection_errors() -> tuple[type[Exception], ...]:
    """Return the errors of a missing or incomplete response.  botocore's parsers load in 50 ms: not at start."""
    from botocore.parsers import ResponseParserError

    return NoConnection, HTTPClientError, IncompleteReadError, ResponseParserError, UnknownShape


def is_shape_error(error: Exception) -> bool:
    """Return whether a response or endpoint address is invalid; botocore or the reading code raised this."""
    from botocore.parsers import ResponseParserError  # it is not a BotoCoreError

    return isinstance(error, (*SHAPE_ERRORS, ResponseParserError))


def is_transient(error: Exception) -> bool:
    """Return whether to repeat the call unchanged."""
    return is_throttled(error) or is_unknown(error)


def is_denied(error: Exception) -> bool:
    """Return whether the credentials are invalid or lack the permission."""
    return code_of(error) in DENIED | EXPIRED


def is_dry_run_yes(error: Exception) -> bool:
    """Return whether a DryRun succeeded: these credentials have the permission."""
    return code_of(error) == "DryRunOperation"


def is_expired(error: Exception) -> bool:
    """Return whether the credentials have expired."""
    return code_of(error) in EXPIRED


def is_quota(error: Exception) -> bool:
    """Return whether a limit of the account is reached, so that a retry does not help."""
    return code_of(error) in QUOTA


def is_capacity(error: Exception) -> bool:
    """Return whether AWS lacks the requested capacity at present."""
    return code_of(error) in CAPACITY


def is_cancelled_already(code: str) -> bool:
    """Return whether the fleet has already ended, by a code inside an HTTP 200."""
    return code in CANCELLED_ALREADY


def had_no_effect(error: Exception) -> bool:
    """Return whether the call certainly did nothing: AWS's only response was a refusal, or the call never reached AWS.

    False if botocore retried by itself: the effect of its first attempt is unknown.
    """
    if isinstance(error, ClientError):
        retries = int(error.response.get("ResponseMetadata", {}).get("RetryAttempts", 0))
        return retries == 0 and not is_unknown(error)
    return isinstance(error, NEVER_SENT) or not isinstance(error, _connection_errors())


def describe(error: Exception, operation: str) -> str:
    """Describe for the user what happened, why, and the next step, without secrets."""
    if not isinstance(error, ClientError):
        if isinstance(error, ThrottledLocally):
            return f"{operation} was held back: {error}"
        if isinstance(error, UnknownShape):
            return f"{operation} got an answer unlike AWS's: {_short(str(error))}"
        if isinstance(error, BotoCoreError) and not isinstance(error, _connection_errors()):
            return f"{operation} could not be sent: {_short(str(error))}"
        return f"{operation} got no clear answer: {_short(str(error))}"
    message = str(error.response.get("Error", {}).get("Message", ""))
    text = f"{_short(without_encoded(message))}{_clocks(error)}"
    remedy = remedy_of(message, operation)
    return f"{operation} {_verdict(error)} ({code_of(error)}): {text}{f'; {remedy}' if remedy else ''}"


def describe_shape(error: Exception, operation: str) -> str:
    """Describe one of SHAPE_ERRORS, raised while a response was read."""
    return f"{operation} got an answer unlike AWS's: {type(error).__name__}: {_short(str(error))}"


def _verdict(error: Exception) -> str:
    if is_throttled(error):
        return "was throttled by AWS"
    if is_unknown(error):
        return "failed inside AWS"
    if code_of(error) in EXPIRED:
        return "was denied, the credentials have expired or a clock is wrong"
    if is_denied(error):
        return "was denied to these credentials"
    if is_quota(error):
        return "would exceed a quota of the AWS account, ask AWS to raise it or ask for less"
    if is_capacity(error):
        return "found no capacity, try other instance types, zones or a higher price"
    if is_not_found(error):
        return "did not find it"
    return "was refused by AWS"


def _clocks(error: ClientError) -> str:
    """Return a hint about the clock: AWS refuses signatures that are minutes off, often without naming the cause."""
    if not is_denied(error):
        return ""
    said_s = moment_s(error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date"))
    skew_s = 0.0 if said_s is None else said_s - time.time()
    if abs(skew_s) < SIGNIFICANT_SKEW_S:
        return ""
    return f"; the clock of annexd's host is {abs(skew_s):.0f} s {'behind' if skew_s > 0 else 'ahead of'} AWS's, set it"


def moment_s(date: str | None) -> float | None:
    """Parse a Date header into seconds since the epoch; return None if it is invalid."""
    try:
        return parsedate_to_datetime(date).timestamp() if date else None
    except (ValueError, TypeError, LookupError, OverflowError, OSError):
        return None


def _short(message: str) -> str:
    message = " ".join(message.split())
    return message if len(message) <= MAX_MESSAGE else f"{message[:MAX_MESSAGE]}..."
