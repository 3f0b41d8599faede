"""Try DryRun with user.json, and with one right less: it is free, since AWS creates nothing."""

from typing import Any, Final

from annexd.account.errors import AccountError
from annexd.aws.errors import AWS_ERRORS
from test.live import fleets
from test.live.account import Keys
from test.live.clean_up import code_of
from test.live.stage import Stage

MAY: Final = "DryRunOperation"
MAY_NOT: Final = "UnauthorizedOperation"
EXPECTED: Final = {
    "user": MAY,
    "no-run-instances": MAY_NOT,
    "no-create-tags": MAY_NOT,
    "fleet-tagging": MAY_NOT,
    "pass-role-ec2": MAY,
    "pass-role-spotfleet": MAY_NOT,
}


def run(stage: Stage) -> None:
    for kind, expected in EXPECTED.items():
        fact = "user-policy-dry-run" if kind == "user" else kind
        try:
            keys = stage.roles.keys(kind)
        except AccountError as error:
            stage.found(fact, None, str(error))
            continue
        code, message = _dry_run(stage, fact, keys)
        stage.found(fact, code == expected, f"{code}: {message}" if code != MAY else code)


def _dry_run(stage: Stage, fact: str, keys: Keys) -> tuple[str, str]:
    """Return AWS's error code and message."""
    with stage.looking_at(fact):
        ec2 = stage.account.watched("ec2", keys)
        stage.wait(lambda: _is_known(ec2), stage.pace.roles_s)
        wanted = fleets.config(stage, LaunchSpecifications=[fleets.launch_specification(stage)])
        try:
            ec2.request_spot_fleet(SpotFleetRequestConfig=wanted, DryRun=True)
        except AWS_ERRORS as error:
            response: dict[str, Any] = getattr(error, "response", {})
            return code_of(error) or type(error).__name__, str(response.get("Error", {}).get("Message", error))
    return "success", "a DryRun that is carried out"


def _is_known(ec2: Any) -> bool:
    """Return whether EC2 knows the role's policy, by a right that all roles have."""
    try:
        ec2.describe_spot_fleet_requests()
    except AWS_ERRORS as error:
        if code_of(error) != MAY_NOT:
            raise
        return False
    return True
