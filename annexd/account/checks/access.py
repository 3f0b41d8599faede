"""Check the credentials, the clock and the region."""

from collections.abc import Iterator
from typing import Final

from annexd.account.checks.finding import Finding
from annexd.account.checks.view import View
from annexd.account.errors import AccountError
from annexd.account.session import WAYS
from annexd.aws import errors
from annexd.aws.errors import AWS_ERRORS

MAX_SKEW_S: Final = 60  # AWS refuses at five minutes; leases end by AWS's clock


def credentials(view: View) -> Iterator[Finding]:
    try:
        yield view.ok("credentials", f"{view.identity['Arn']}")
    except AccountError as error:
        yield view.fault("credentials", error.lines[0], _repair(error))


def _repair(error: AccountError) -> str:
    cause = error.__cause__
    if isinstance(cause, AWS_ERRORS) and errors.is_expired(cause):
        return "get new credentials (aws sso login, or a new session), and correct this host's clock if it is wrong"
    if isinstance(cause, AWS_ERRORS) and errors.is_denied(cause):
        return "create a new access key, or use another profile"
    return error.lines[1] if len(error.lines) > 1 else WAYS


def clock(view: View) -> Iterator[Finding]:
    """Compare clocks by the responses so far, so this check must follow others."""
    skew_s = view.session.skew_s
    if abs(skew_s) <= MAX_SKEW_S:
        yield view.ok("clock", f"within {MAX_SKEW_S} s of AWS's")
        return
    way = "behind" if skew_s > 0 else "ahead of"
    yield view.fault(
        "clock",
        f"this host's clock is {abs(skew_s):.0f} s {way} AWS's, which rejects signatures that are five minutes off",
        "synchronize it with chrony or systemd-timesyncd",
    )


def region(view: View) -> Iterator[Finding]:
    response = view.found("DescribeRegions", view.client("ec2").describe_regions, AllRegions=True) or {"Regions": []}
    states = {each["RegionName"]: each.get("OptInStatus", "opt-in-not-required") for each in response["Regions"]}
    if states.get(view.region) == "not-opted-in":
        yield view.fault(
            "region", "this account has not enabled it", f"aws account enable-region --region-name {view.region}"
        )
    elif view.region not in states:
        yield view.fault("region", "AWS has no such region", "use -region with one of `aws ec2 describe-regions`")
    else:
        yield view.ok("region", "it exists and is enabled")
