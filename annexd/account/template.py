"""Read templates/annex.json, the deployed template, and resolve it for one account and region.

Only the template defines what each resource must be.  -check-setup reads its expectations from it, so that the two
cannot disagree.
"""

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from annexd.account.errors import AccountError
from annexd.annex.resources import places, shipped

PLACE: Final = ("templates", "annex.json")
DESCRIPTION: Final = "HTCondor annexes: "  # all our stacks' descriptions begin with this
FUNCTION: Final = "HTCondorAnnexLease"  # the names of function, rule and log group are fixed
LOG_GROUP: Final = f"/aws/lambda/{FUNCTION}"
ENFORCER: Final = "Lease"  # the prefix of its parts' logical IDs
LOGICAL_ID: Final = "LeaseFunction"  # in the template
STACK_NAME: Final = "HTCondorAnnex"  # the default of -stack-name
MAX_LEASE: Final = "MaxLease"  # parameters
VPC_ID: Final = "VpcId"
SUBNET_IDS: Final = "SubnetIds"
VARIABLE: Final = re.compile(r"\$\{([A-Za-z0-9:]+)(?:\.([A-Za-z]+))?\}")
ARNS: Final = {  # Fn::GetAtt Arn, by type of resource and its physical ID
    "AWS::IAM::Role": "arn:{partition}:iam::{account}:role/{name}",
    "AWS::Lambda::Function": "arn:{partition}:lambda:{region}:{account}:function:{name}",
    "AWS::Logs::LogGroup": "arn:{partition}:logs:{region}:{account}:log-group:{name}:*",
    "AWS::S3::Bucket": "arn:{partition}:s3:::{name}",
}


@lru_cache(maxsize=1)
def body() -> str:
    """Return the file's content.  Raises AccountError."""
    content = shipped(*PLACE)
    if content is None:
        nowhere = " or in ".join(str(path.parent) for path in places(*PLACE))
        raise AccountError(f"{PLACE[1]} is not in {nowhere}", "reinstall annexd, which contains it")
    return content.decode("utf-8")


@lru_cache(maxsize=1)
def template() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(body())
    return loaded


def body_without_enforcer() -> str:
    """Return the template without the enforcer, for a stack whose enforcer was partly deleted.

    CloudFormation recreates only resources that it deleted itself.
    """
    whole = template()
    left = {
        "Resources": {name: made for name, made in whole["Resources"].items() if not name.startswith(ENFORCER)},
        "Outputs": {name: response for name, response in whole["Outputs"].items() if not name.startswith(ENFORCER)},
    }
    return json.dumps(whole | left, indent=1)


def function_code() -> str:
    """Return lambda/lease.py, as the template contains it."""
    return str(template()["Resources"][LOGICAL_ID]["Properties"]["Code"]["ZipFile"])


def max_lease_limits() -> tuple[int, int, int]:
    """Return the minimum, maximum and default of MaxLease."""
    parameter = template()["Parameters"][MAX_LEASE]
    return parameter["MinValue"], parameter["MaxValue"], parameter["Default"]


class Deployed:
    """The template in one account and region, with CloudFormation's physical IDs and the parameters."""

    def __init__(
        self, partition: str, account: str, region: str, physical_ids: Mapping[str, str], parameters: Mapping[str, str]
    ) -> None:
        self._names = {"partition": partition, "account": account, "region": region}
        self.physical_ids, self._parameters = physical_ids, parameters

    def properties(self, logical_id: str) -> dict[str, Any]:
        """Return the properties of a resource, with all references resolved."""
        found: dict[str, Any] = self._resolved(template()["Resources"][logical_id]["Properties"])
        return found

    def arn(self, logical_id: str) -> str:
        kind = template()["Resources"][logical_id]["Type"]
        return ARNS[kind].format(name=self._name(logical_id), **self._names)

    def _name(self, logical_id: str) -> str:
        """Return a physical ID; for a resource that the stack lacks (as of template-3.json), a name that is unused."""
        return self.physical_ids.get(logical_id, f"{logical_id}-missing")

    def _resolved(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._resolved(each) for each in value]
        if not isinstance(value, dict):
            return value
        match list(value.items()):
            case [("Ref", name)]:
                return self._parameters[name] if name in template()["Parameters"] else self._name(name)
            case [("Fn::GetAtt", [name, "Arn"])]:
                return self.arn(name)
            case [("Fn::Sub", str(text))]:
                return VARIABLE.sub(self._variable, text)
        return {key: self._resolved(each) for key, each in value.items()}

    def _variable(self, found: re.Match[str]) -> str:
        pseudo = {
            "AWS::Partition": self._names["partition"],
            "AWS::AccountId": self._names["account"],
            "AWS::Region": self._names["region"],
        }
        return pseudo[found[1]] if found[1] in pseudo else self.arn(found[1])
