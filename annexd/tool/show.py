"""What people and scripts see: the request ID alone on standard output, everything else on standard error."""

import re
import sys
import time
from collections.abc import Iterable, Mapping
from typing import Any

import annexd
from annexd.tool.errors import CLOUD_FAILED, COMMUNICATION, MEANINGS, NOT_AUTHORIZED, REFUSED, USAGE, ToolError
from annexd.tool.options import OPTIONS

SYNOPSIS = "\n".join((
    "condor_annex -lease-duration SECONDS [option...] FILE",
    "condor_annex -cancel ANNEX [option...]",
    "condor_annex -status [ANNEX] [option...]",
))
# HTCondor's words for results (command_strings.h) that are no matter of the cloud's.
STATUSES = {
    "NotAuthorized": NOT_AUTHORIZED,
    "NotAuthenticated": NOT_AUTHORIZED,
    "InvalidRequest": REFUSED,
    "InvalidState": REFUSED,
    "Failure": CLOUD_FAILED,
}
INVALID = "InvalidRequest"
# annexd speaks of the ad, as its other clients know it; who typed a command reads of its options.  In brackets an
# attribute stands behind its option.
OPTION_OF = {
    "AnnexName": "-annex-name",
    "AnnexOwner": "-owner",
    "NoOwner": "-no-owner",
    "MaxIdleTime": "-idle",
    "ConfigDir": "-config-dir",
    "CommandID": "-command-id",
    "LeaseFunctionARN": "-lease-function-arn",
    "ServiceURL": "-service-url",
    "EventsURL": "-events-url",
    "LambdaURL": "-lambda-url",
    "S3URL": "-s3-url",
    "STSURL": "-sts-url",
    "S3Bucket": "-s3-bucket",
    "PublicKeyFile": "-public-key-file",
    "SecretKeyFile": "-secret-key-file",
    "JoinPool is false": "-no-join is given",
}
ATTRIBUTE = re.compile(rf"(?<!\()\b({'|'.join(OPTION_OF)})\b")
NEXT_STEP = {USAGE: "condor_annex -help lists the options"}


def reply(ad: Mapping[str, Any]) -> None:
    """Print what annexd answered; raises ToolError unless that is a request ID."""
    check(ad)
    request_id = ad.get("BulkRequestID")
    if not isinstance(request_id, str):
        raise ToolError(COMMUNICATION, "annexd answered Success without a BulkRequestID")
    notes(_lease(ad))
    print(request_id, flush=True)


def cancelled(ad: Mapping[str, Any]) -> None:
    """Say what annexd answered to a cancellation; raises ToolError unless it is one."""
    check(ad)
    fleet = f" ({ad['BulkRequestID']})" if ad.get("BulkRequestID") else ""
    words = "is cancelled: its lease is over, and within minutes AWS ends what runs of it"
    print(f"Annex {ad.get('AnnexID')}{fleet} {words}", flush=True)


def check(ad: Mapping[str, Any]) -> None:
    """Tell of a warning; raises ToolError without success."""
    notes([str(ad["Warning"])] if ad.get("Warning") else [])
    result = ad.get("Result")
    if result != "Success":
        words = str(ad.get("ErrorString") or f"annexd answered {result or 'without a Result'}, with no reason")
        which = [f"it was annex {ad['AnnexID']}"] if ad.get("AnnexID") else []  # by which the log knows it
        words = in_options(words) if result == INVALID else words
        raise ToolError(STATUSES.get(str(result), COMMUNICATION), words, *which)


def in_options(words: str) -> str:
    return ATTRIBUTE.sub(lambda found: OPTION_OF[found[0]], words)


def _lease(ad: Mapping[str, Any]) -> list[str]:
    annex_id, end_s = ad.get("AnnexID"), ad.get("EndOfLease")
    if not isinstance(end_s, int):
        return []
    end = time.strftime("%Y-%m-%d %H:%M:%S %Z", time.localtime(end_s))
    return [f"the lease of annex {annex_id} ends at {end}"]


def notes(words: Iterable[str]) -> None:
    for word in words:
        print(f"condor_annex: {word}", file=sys.stderr)


def error(error: ToolError) -> None:
    next_step = NEXT_STEP.get(error.status)
    notes([*error.faults, *([next_step] if next_step else [])])


def version(*, debug: bool) -> None:
    print(f"condor_annex of annexd {annexd.__version__}")
    if debug:
        from annexd.annex.lambda_runtime import END_OF_SUPPORT, RUNTIME, SOURCE

        print(f"lease function: {RUNTIME}, supported by AWS until {END_OF_SUPPORT[RUNTIME]} ({SOURCE})")


def usage() -> None:
    print(f"{SYNOPSIS}\n\n{_summary()}\n\nOptions (any unambiguous beginning will do):")
    for name, option in OPTIONS.items():
        print(f"  {f'-{name} {option.value or str()}':32}{option.help}")
    print("\nExit status:")
    for status, meaning in MEANINGS.items():
        print(f"  {status}  {meaning}")


def _summary() -> str:
    return (
        "Lease AWS instances by a Spot Fleet, through annexd.  FILE is the Spot Fleet request's JSON config, as the\n"
        "AWS console saves it, or - for standard input.  The request's ID is printed; when the lease is over, the\n"
        "cloud itself ends the instances.  A word in parentheses is the HTCondor configuration for the default."
    )
