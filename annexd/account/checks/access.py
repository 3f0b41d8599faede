"""Credentials that are taken, clocks that agree, a region that is there."""

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
        yield view.fault("credentials", error.lines[0], _mend(error))


def _mend(error: AccountError) -> str:
    cause = error.__cause__
    if isinstance(cause, AWS_ERRORS) and errors.is_expired(cause):
        return "get new ones (aws sso login, or a new session), and set this host's clock if it is wrong"
    if isinstance(cause, AWS_ERRORS) and errors.is_denied(cause):
        return "make a new access key, or choose another profile"
    return error.lines[1] if len(error.lines) > 1 else WAYS


def clock(view: View) -> Iterator[Finding]:
    """By the answers so far: so this comes after them."""
    skew_s = view.session.skew_s
    if abs(skew_s) <= MAX_SKEW_S:
        yield view.ok("clock", f"within {MAX_SKEW_S} s of AWS's")
        return
    way = "behind" if skew_s > 0 else "ahead of"
    yield view.fault(
        "clock",
        f"this host's clock is {abs(skew_s):.0f} s {way} AWS's, which refuses signatures five minutes off",
        "let chrony or systemd-timesyncd set it",
    )


def region(view: View) -> Iterator[Finding]:
    told = view.found("DescribeRegions", view.client("ec2").describe_regions, AllRegions=True) or {"Regions": []}
    states = {each["RegionName"]: each.get("OptInStatus", "opt-in-not-required") for each in told["Regions"]}
    if states.get(view.region) == "not-opted-in":
        yield view.fault(
            "region", "this account has not enabled it", f"aws account enable-region --region-name {view.region}"
        )
    elif view.region not in states:
        yield view.fault("region", "AWS knows no such region", "name one of `aws ec2 describe-regions` with -region")
    else:
        yield view.ok("region", "it is there and enabled")
