"""Step 1: is there a lease function at all?  Asked first, since nothing is made yet that would need undoing."""

from collections.abc import Mapping

from annexd.annex.steps.asking import World, asking
from annexd.workflow import Json, Refused, Retry


class GetFunction:
    """The Lambda function exists and can be invoked.  Leaves nothing behind."""

    name = "get_function"

    def __init__(self, world: World) -> None:
        self._world = world

    def plan(self, order: Json, results: Mapping[str, Json]) -> Json:  # noqa: ARG002
        """{function_arn}"""
        return {"function_arn": order["lease_function_arn"]}

    def forward(self, order: Json, intent: Json) -> Json:
        """{state}"""
        arn = intent["function_arn"]
        with asking(f"GetFunction {arn}"):
            configuration = self._world.access(order).functions.get_function(FunctionName=arn)["Configuration"]
        state = configuration.get("State", "Active")  # absent in answers of before 2019's states
        if state == "Pending":
            raise Retry(f"the lease function {arn} is still being made")
        if state == "Failed":
            raise Refused(f"the lease function {arn} has failed: {configuration.get('StateReason')}")
        return {"state": state}  # Active, or Inactive: idle for weeks, and made active by its first call

    def backward(self, order: Json, intent: Json, asked_at_s: float) -> None:
        """Nothing was made."""
