"""templates/annex.json: what is deployed, and what that comes to in one account and region.

The template is the one place that says what each resource must be.  What -check-setup expects is read from it, so
that the two cannot disagree.
"""

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from annexd.account.errors import AccountError
from annexd.annex.resources import places, shipped

PLACE: Final = ("templates", "annex.json")
DESCRIPTION: Final = "HTCondor annexes: "  # every stack of ours begins its description so
FUNCTION: Final = "HTCondorAnnexLease"  # the names of function, rule and log group are fixed
LOG_GROUP: Final = f"/aws/lambda/{FUNCTION}"
ENFORCER: Final = "Lease"  # with which the names of its parts begin, in the template
LOGICAL_ID: Final = "LeaseFunction"  # its name in the template
STACK_NAME: Final = "HTCondorAnnex"  # unless -stack-name says otherwise
MAX_LEASE: Final = "MaxLease"  # the parameters
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
    """The file.  Raises AccountError."""
    content = shipped(*PLACE)
    if content is None:
        nowhere = " nor in ".join(str(path.parent) for path in places(*PLACE))
        raise AccountError(f"{PLACE[1]} is neither in {nowhere}", "install annexd again: it comes with it")
    return content.decode("utf-8")


@lru_cache(maxsize=1)
def template() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(body())
    return loaded


def body_without_enforcer() -> str:
    """Return the template without what ends annexes, for a stack from which somebody deleted some of that.

    CloudFormation makes again what it knows to be gone, and it knows that of what it deleted itself only.
    """
    whole = template()
    left = {
        "Resources": {name: made for name, made in whole["Resources"].items() if not name.startswith(ENFORCER)},
        "Outputs": {name: told for name, told in whole["Outputs"].items() if not name.startswith(ENFORCER)},
    }
    return json.dumps(whole | left, indent=1)


def function_code() -> str:
    """lambda/lease.py, as the template holds it."""
    return str(template()["Resources"][LOGICAL_ID]["Properties"]["Code"]["ZipFile"])


def max_lease_limits() -> tuple[int, int, int]:
    """Return the least, the greatest and the usual value of MaxLease."""
    parameter = template()["Parameters"][MAX_LEASE]
    return parameter["MinValue"], parameter["MaxValue"], parameter["Default"]


class Deployed:
    """The template in one account and region, with the physical IDs that CloudFormation gave, and the parameters."""

    def __init__(
        self, partition: str, account: str, region: str, physical_ids: Mapping[str, str], parameters: Mapping[str, str]
    ) -> None:
        self._names = {"partition": partition, "account": account, "region": region}
        self.physical_ids, self._parameters = physical_ids, parameters

    def properties(self, logical_id: str) -> dict[str, Any]:
        """Of a resource, with every reference followed."""
        found: dict[str, Any] = self._resolved(template()["Resources"][logical_id]["Properties"])
        return found

    def arn(self, logical_id: str) -> str:
        kind = template()["Resources"][logical_id]["Type"]
        return ARNS[kind].format(name=self._name(logical_id), **self._names)

    def _name(self, logical_id: str) -> str:
        """Its physical ID; for what the stack has not got (it may be of template-3.json), a name that nothing has."""
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
