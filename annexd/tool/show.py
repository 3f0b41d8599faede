"""What people and scripts see: the request ID alone on standard output, everything else on standard error."""

import re
import sys
from collections.abc import Iterable, Mapping
from typing import Any

import annexd
from annexd.tool.errors import CLOUD_FAILED, COMMUNICATION, MEANINGS, NOT_AUTHORIZED, REFUSED, USAGE, ToolError
from annexd.tool.options import OPTIONS
from annexd.tool.times import is_time, shown_distance, shown_time

SYNOPSIS = "\n".join(
    (
        "condor_annex -lease-duration SECONDS [option...] FILE",
        "condor_annex -cancel ANNEX [option...]",
        "condor_annex -extend DURATION [option...] ANNEX",
        "condor_annex -until TIME [option...] ANNEX",
        "condor_annex -wait [joined=N[%]] [option...] ANNEX",
        "condor_annex -status [ANNEX] [option...]",
    )
)
# HTCondor's words for results (command_strings.h) that are no matter of the cloud's.
STATUSES = {
    "NotAuthorized": NOT_AUTHORIZED,
    "NotAuthenticated": NOT_AUTHORIZED,
    "InvalidRequest": REFUSED,
    "InvalidState": REFUSED,
    "Failure": CLOUD_FAILED,
}
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
    "LogsURL": "-logs-url",
    "S3URL": "-s3-url",
    "STSURL": "-sts-url",
    "S3Bucket": "-s3-bucket",
    "PublicKeyFile": "-public-key-file",
    "SecretKeyFile": "-secret-key-file",
    "SessionTokenFile": "-session-token-file",
    "AWSProfile": "-profile",
    "AWSConfigFile": "AWS_CONFIG_FILE",
    "AWSCredentialsFile": "AWS_SHARED_CREDENTIALS_FILE",
    "JoinPool is false": "-no-join is given",
}
# Of -extend and -until; that of an order comes from -lease-duration, and annexd says so itself.
OPTION_OF_CHANGE = {**OPTION_OF, "LeaseExtension": "-extend", "EndOfLease": "-until", "Now": "-now"}
NEXT_STEP = {USAGE: "condor_annex -help lists the options"}


def reply(ad: Mapping[str, Any], *, as_json: bool = False) -> None:
    """Print what annexd answered; raises ToolError unless that is a request ID."""
    _print_json(ad, as_json=as_json)
    check(ad)
    request_id = ad.get("BulkRequestID")
    if not isinstance(request_id, str):
        raise ToolError(COMMUNICATION, "annexd answered Success without a BulkRequestID")
    notes(_lease(ad))
    if not as_json:
        print(request_id, flush=True)


def cancelled(ad: Mapping[str, Any], *, as_json: bool = False) -> None:
    """Say what annexd answered to a cancellation; raises ToolError unless it is one."""
    _print_json(ad, as_json=as_json)
    check(ad)
    if not as_json:
        print(f"{_annex(ad)} is cancelled: its lease is over, and within minutes AWS ends what runs of it", flush=True)


def changed(ad: Mapping[str, Any], now_s: float, *, as_json: bool = False) -> None:
    """Say when the lease ends now, and when it was ordered to; raises ToolError unless that is the answer."""
    _print_json(ad, as_json=as_json)
    check(ad, OPTION_OF_CHANGE)
    end_s, ordered_s = ad.get("EndOfLease"), ad.get("OrderedEndOfLease")
    if not is_time(end_s):
        raise ToolError(COMMUNICATION, "annexd answered Success without an EndOfLease: see condor_annex -status")
    if as_json:
        return
    print(f"{_annex(ad)} ends at {shown_end(end_s, now_s)}", flush=True)
    if is_time(ordered_s):
        print(f"It was ordered until {shown_end(ordered_s, now_s)}", flush=True)


def _print_json(ad: Mapping[str, Any], *, as_json: bool) -> None:
    """The whole answer, also one that is a refusal: the exit status and standard error say the same."""
    if as_json:
        import json

        print(json.dumps(dict(sorted(ad.items())), indent=2, default=str), flush=True)


def shown_end(end_s: int, now_s: float) -> str:
    """In local time, and how far away it is."""
    return f"{shown_time(end_s)}, {shown_distance(end_s - now_s)}"


def _annex(ad: Mapping[str, Any]) -> str:
    fleet = f" ({ad['BulkRequestID']})" if ad.get("BulkRequestID") else ""
    return f"Annex {ad.get('AnnexID')}{fleet}"


def check(ad: Mapping[str, Any], options: Mapping[str, str] = OPTION_OF) -> None:
    """Tell of a warning; raises ToolError without success, in the words of these options."""
    notes([str(ad["Warning"])] if ad.get("Warning") else [])
    result = ad.get("Result")
    if result != "Success":
        words = str(ad.get("ErrorString") or f"annexd answered {result or 'without a Result'}, with no reason")
        which = [f"it was annex {ad['AnnexID']}"] if ad.get("AnnexID") else []  # by which the log knows it
        status = STATUSES.get(str(result), COMMUNICATION)
        raise ToolError(status, in_options(words, options) if status == REFUSED else words, *which)


def in_options(words: str, options: Mapping[str, str] = OPTION_OF) -> str:
    return re.sub(rf"(?<!\()\b({'|'.join(options)})\b", lambda found: options[found[0]], words)


def _lease(ad: Mapping[str, Any]) -> list[str]:
    annex_id, end_s = ad.get("AnnexID"), ad.get("EndOfLease")
    return [f"the lease of annex {annex_id} ends at {shown_time(end_s)}"] if is_time(end_s) else []


def notes(words: Iterable[str]) -> None:
    for word in words:
        print(f"condor_annex: {word}", file=sys.stderr)


def error(error: ToolError) -> None:
    next_step = NEXT_STEP.get(error.status)
    notes([*error.faults, *([next_step] if next_step else [])])


def version(*, debug: bool) -> None:
    print(f"condor_annex of annexd {annexd.__version__}")
    if debug:
        from annexd.annex.lease.lambda_runtime import END_OF_SUPPORT, RUNTIME, SOURCE

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
        "Lease AWS instances by a fleet, through annexd.  FILE is a Spot Fleet request's JSON config, as the AWS\n"
        "console saves it, or an EC2 Fleet's, or - for standard input.  The fleet's ID is printed; when the lease is\n"
        "over, the cloud itself ends the instances.  A word in parentheses is the HTCondor configuration for the\n"
        "default."
    )
