"""Step 2: the clock of the lease, an EventBridge rule.  The last thing that an undo removes."""

from collections.abc import Mapping
from typing import Any

from annexd.annex.identifiers import rule_name
from annexd.annex.lease import SCHEDULE, rule_description
from annexd.annex.steps.asking import World, asking, before_the_end, settled
from annexd.aws import answers
from annexd.aws.errors import AWS_ERRORS, is_not_found
from annexd.workflow import Json, Retry


def ask_for_rule(events: Any, annex_id: str, end_of_lease_s: int, tags: list[dict[str, str]]) -> str:
    """Make the clock of an annex's lease, or make it as it should be.  Its ARN."""
    with asking("PutRule"):
        answer = events.put_rule(
            Name=rule_name(annex_id),
            ScheduleExpression=SCHEDULE,
            State="ENABLED",
            Description=rule_description(annex_id, end_of_lease_s),
            Tags=tags,
        )
        return answers.text(answer, "RuleArn")


class PutRule:
    """A rule of the annex's own name that fires every five minutes."""

    name = "put_rule"

    def __init__(self, world: World) -> None:
        self._world = world

    def plan(self, order: Json, results: Mapping[str, Json]) -> Json:  # noqa: ARG002
        """{rule_name, end_of_lease_s}"""
        return {"rule_name": rule_name(order["annex_id"]), "end_of_lease_s": order["end_of_lease_s"]}

    def forward(self, order: Json, intent: Json) -> Json:
        """{rule_arn}"""
        before_the_end(self._world, intent["end_of_lease_s"])
        events = self._world.access(order).events
        return {"rule_arn": ask_for_rule(events, order["annex_id"], intent["end_of_lease_s"], order["tags"])}

    def backward(self, order: Json, intent: Json, asked_at_s: float) -> None:
        """Delete it until it is not found."""
        events, rule = self._world.access(order).events, intent["rule_name"]
        with asking("DeleteRule"):
            try:
                events.delete_rule(Name=rule)
            except AWS_ERRORS as error:
                if not is_not_found(error):
                    raise
        with asking("DescribeRule"):
            try:
                events.describe_rule(Name=rule)
            except AWS_ERRORS as error:
                if not is_not_found(error):
                    raise
                settled(self._world, asked_at_s, f"rule {rule}")
                return
        raise Retry(f"rule {rule} is still there")
