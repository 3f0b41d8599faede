"""Print results and messages: only the request ID on standard output, everything else on standard error."""

import re
import sys
from collections.abc import Iterable, Mapping
from typing import Any

import annexd
from annexd.tool.errors import CLOUD_FAILED, COMMUNICATION, MEANINGS, NOT_AUTHORIZED, REFUSED, USAGE, ToolError
from annexd.tool.options import OPTIONS, ToolOptions
from annexd.tool.times import is_time, shown_distance, shown_time

SYNOPSIS = "\n".join(
    (
        "condor_annex -lease-duration SECONDS [option...] FILE",
        "condor_annex -lease-duration SECONDS -count NUMBER -instance-type TYPE[,TYPE...] [option...]",
        "condor_annex -lease-duration SECONDS -count NUMBER -cpus NUMBER -memory SIZE [option...]",
        "condor_annex -quote -lease-duration SECONDS [option...] FILE",
        "condor_annex -cancel ANNEX [option...]",
        "condor_annex -extend DURATION [option...] ANNEX",
        "condor_annex -until TIME [option...] ANNEX",
        "condor_annex -resize NUMBER [option...] ANNEX",
        "condor_annex -wait [joined=N[%]] [option...] ANNEX",
        "condor_annex -status [ANNEX] [option...]",
        "condor_annex -history [ANNEX] [option...]",
        "condor_annex -offers [option...]",
        "condor_annex -demand [option...]",
        "condor_annex -why JOB [option...]",
        "condor_annex -pause OFFER [option...]",
        "condor_annex -resume OFFER [option...]",
        "condor_annex -metrics [option...]",
        "condor_annex -demand-config [FILE]",
    )
)
# HTCondor's result strings (command_strings.h) that do not concern AWS.
STATUSES = {
    "NotAuthorized": NOT_AUTHORIZED,
    "NotAuthenticated": NOT_AUTHORIZED,
    "InvalidRequest": REFUSED,
    "InvalidState": REFUSED,
    "Failure": CLOUD_FAILED,
}
# annexd names attributes of the ad, as its other clients know them; this tool's users see options instead.  Inside
# parentheses an attribute follows its option and stays.
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
    "SSMURL": "-ssm-url",
    "S3Bucket": "-s3-bucket",
    "PublicKeyFile": "-public-key-file",
    "SecretKeyFile": "-secret-key-file",
    "SessionTokenFile": "-session-token-file",
    "AWSProfile": "-profile",
    "AWSConfigFile": "AWS_CONFIG_FILE",
    "AWSCredentialsFile": "AWS_SHARED_CREDENTIALS_FILE",
    "JoinPool is false": "-no-join is given",
}
# For -extend and -until; the end of an order comes from -lease-duration, which annexd names itself.
OPTION_OF_CHANGE = {**OPTION_OF, "LeaseExtension": "-extend", "EndOfLease": "-until", "Now": "-now"}
OPTION_OF_RESIZE = {**OPTION_OF, "TargetCapacity": "-resize", "Now": "-now"}
# For an order without a file: the config was made from options.
OPTION_OF_LAUNCH = {
    **OPTION_OF,
    "TargetCapacity": "-count",
    "OnDemandTargetCapacity": "-on-demand",
    "SpotPrice": "-max-price",
    "ImageId": "-image",
    "InstanceType": "-instance-type",
    "SubnetId": "-subnet",
    "KeyName": "-key-name",
    "VolumeSize": "-volume-size",
}
LAUNCH_PATH = re.compile(r"LaunchSpecifications\[\d+\]\.(?:BlockDeviceMappings\[\d+\]\.Ebs\.)?")
NEXT_STEP = {USAGE: "condor_annex -help lists the options"}


def option_names_of(options: ToolOptions) -> Mapping[str, str]:
    """Return the option from which each attribute of this order comes."""
    return OPTION_OF if options.file else OPTION_OF_LAUNCH


def reply(ad: Mapping[str, Any], *, as_json: bool = False, option_names: Mapping[str, str] = OPTION_OF) -> None:
    """Print annexd's reply to an order.  Raises ToolError unless it has a request ID."""
    _check_answer(ad, option_names, as_json=as_json)
    request_id = ad.get("BulkRequestID")
    if not isinstance(request_id, str):
        raise ToolError(COMMUNICATION, "annexd answered Success without a BulkRequestID")
    notes(_lease(ad))
    _print([request_id], as_json=as_json)


def cancelled(ad: Mapping[str, Any], *, as_json: bool = False) -> None:
    """Print annexd's reply to a cancellation.  Raises ToolError unless it succeeded."""
    _check_answer(ad, as_json=as_json)
    _print([f"{_annex(ad)} is cancelled: AWS terminates its instances within minutes"], as_json=as_json)


def resized(ad: Mapping[str, Any], *, as_json: bool = False) -> None:
    """Print the size of an annex, and what was ordered for it.  Raises ToolError unless it has that size."""
    _check_answer(ad, OPTION_OF_RESIZE, as_json=as_json)
    units, added = ad.get("TargetCapacity"), ad.get("AddedCapacity")
    if not isinstance(units, int):
        raise ToolError(COMMUNICATION, "annexd answered Success without a TargetCapacity: see condor_annex -status")
    notes(_lease(ad))
    more = f": {added} more were ordered ({ad.get('BulkRequestID')})" if added else ""
    _print(
        [f"Annex {ad.get('AnnexID')} has {units} unit{'' if units == 1 else 's'}{more}{_leaving(ad)}"], as_json=as_json
    )


def _leaving(ad: Mapping[str, Any]) -> str:
    number, busy = ad.get("LeavingMachines"), ad.get("BusyMachines")
    if not number:
        return ""
    return f": {number} machines leave" + (f", {busy} of them when their jobs are done" if busy else "")


def changed(ad: Mapping[str, Any], now_s: float, *, as_json: bool = False) -> None:
    """Print the new and the ordered end of the lease.  Raises ToolError unless the change succeeded."""
    _check_answer(ad, OPTION_OF_CHANGE, as_json=as_json)
    end_s, ordered_s = ad.get("EndOfLease"), ad.get("OrderedEndOfLease")
    if not is_time(end_s):
        raise ToolError(COMMUNICATION, "annexd answered Success without an EndOfLease: see condor_annex -status")
    ordered = [f"Its ordered end was {shown_end(ordered_s, now_s)}"] if is_time(ordered_s) else []
    _print([f"{_annex(ad)} now ends at {shown_end(end_s, now_s)}", *ordered], as_json=as_json)


def _check_answer(ad: Mapping[str, Any], options: Mapping[str, str] = OPTION_OF, *, as_json: bool) -> None:
    """Print the whole reply as JSON, even a refusal: the exit status and standard error report it, too."""
    if as_json:
        import json

        print(json.dumps(dict(sorted(ad.items())), indent=2, default=str), flush=True)
    check(ad, options)


def _print(lines: Iterable[str], *, as_json: bool) -> None:
    """Print the lines for a person; with -json the reply was already printed."""
    for line in () if as_json else lines:
        print(line, flush=True)


def shown_end(end_s: int, now_s: float) -> str:
    """Format a time as local time and its distance."""
    return f"{shown_time(end_s)}, {shown_distance(end_s - now_s)}"


def _annex(ad: Mapping[str, Any]) -> str:
    fleet = f" ({ad['BulkRequestID']})" if ad.get("BulkRequestID") else ""
    return f"Annex {ad.get('AnnexID')}{fleet}"


def check(ad: Mapping[str, Any], options: Mapping[str, str] = OPTION_OF) -> None:
    """Print a warning, if any.  Raises ToolError unless the reply is a success, with attributes replaced by these
    options.
    """
    notes([str(ad["Warning"])] if ad.get("Warning") else [])
    result = ad.get("Result")
    if result != "Success":
        message = str(ad.get("ErrorString") or f"annexd answered {result or 'without a Result'}, with no reason")
        which = [f"the annex ID is {ad['AnnexID']}"] if ad.get("AnnexID") else []  # as in the log
        status = STATUSES.get(str(result), COMMUNICATION)
        raise ToolError(status, in_options(message, options) if status == REFUSED else message, *which)


def in_options(message: str, options: Mapping[str, str] = OPTION_OF) -> str:
    if options is OPTION_OF_LAUNCH:  # several types are several specifications, with one and the same fault
        message = "; ".join(dict.fromkeys(LAUNCH_PATH.sub("", message).split("; ")))
    return re.sub(rf"(?<!\()\b({'|'.join(options)})\b", lambda found: options[found[0]], message)


def _lease(ad: Mapping[str, Any]) -> list[str]:
    annex_id, end_s = ad.get("AnnexID"), ad.get("EndOfLease")
    return [f"the lease of annex {annex_id} ends at {shown_time(end_s)}"] if is_time(end_s) else []


def printable(text: object) -> str:
    """Return a text that cannot control a terminal: much of it comes from AWS."""
    return "".join(char if char.isprintable() else " " for char in str(text))


def notes(lines: Iterable[str]) -> None:
    for line in lines:
        print(f"condor_annex: {line}", file=sys.stderr)


def error(error: ToolError) -> None:
    next_step = NEXT_STEP.get(error.status)
    notes([*error.faults, *([next_step] if next_step else [])])


def version(*, debug: bool) -> None:
    print(f"condor_annex of annexd {annexd.__version__}")
    if debug:
        from annexd.annex.lease.lambda_runtime import END_OF_SUPPORT, RUNTIME, SOURCE

        print(f"lease function: {RUNTIME}, supported by AWS until {END_OF_SUPPORT[RUNTIME]} ({SOURCE})")


def usage() -> None:
    print(f"{SYNOPSIS}\n\n{_summary()}\n\nOptions (any unambiguous prefix will do):")
    for name, option in OPTIONS.items():
        print(f"  {f'-{name} {option.value or str()}':32}{option.help}")
    print("\nExit status:")
    for status, meaning in MEANINGS.items():
        print(f"  {status}  {meaning}")


def _summary() -> str:
    return (
        "Lease AWS instances as a fleet, through annexd.  FILE is a Spot Fleet request's JSON config, as the AWS\n"
        "console saves it, or an EC2 Fleet's, or - for standard input; without it, options say what to launch\n"
        "(-instance-type, or -cpus and -memory).  The tool prints the fleet's ID.  When the lease is over, a function\n"
        "in AWS terminates the instances.  Parentheses give the default, or the HTCondor knob with it."
    )
