"""Step 3: the lease itself, a target of the rule: whom to end, and when.

Both calls can fail inside an HTTP 200, by their FailedEntryCount.
"""

from collections.abc import Mapping
from typing import Any

from annexd.annex.identifiers import rule_name, target_id
from annexd.annex.lease import function_input
from annexd.annex.steps.asking import World, asking, before_the_end, settled
from annexd.aws import answers
from annexd.aws.errors import AWS_ERRORS, MAX_CODE, MAX_MESSAGE, is_not_found, is_transient_code
from annexd.workflow import Json, Refused, Retry


def ask_for_target(
    events: Any, annex_id: str, end_of_lease_s: int, function_arn: str, config_object: tuple[str, str] | None
) -> None:
    """Arm the rule of an annex; `config_object` is bucket and key, if it has one.  Raises Retry or Refused."""
    try:
        told = function_input(annex_id, end_of_lease_s, config_object)
    except ValueError as error:
        raise Refused(str(error), untouched=True) from error
    _put(events, rule_name(annex_id), {"Id": target_id(annex_id), "Arn": function_arn, "Input": told})


def _put(events: Any, rule: str, target: Mapping[str, str]) -> None:
    with asking("PutTargets"):
        answer = events.put_targets(Rule=rule, Targets=[target])
        failed = answers.number(answer, "FailedEntryCount")
    _raise_failed_entry("PutTargets", answer, failed)


class PutTargets:
    """The lease function, with what it must know, as the one target of the rule."""

    name = "put_targets"

    def __init__(self, world: World) -> None:
        self._world = world

    def plan(self, order: Json, results: Mapping[str, Json]) -> Json:  # noqa: ARG002
        """{rule_name, target_id, function_arn, input, end_of_lease_s}; the input names an object that is yet to be."""
        annex_id, end_of_lease_s = order["annex_id"], order["end_of_lease_s"]
        join = order.get("join")
        config_object = (join["bucket"], join["key"]) if join else None
        return {
            "rule_name": rule_name(annex_id),
            "target_id": target_id(annex_id),
            "function_arn": order["lease_function_arn"],
            "input": function_input(annex_id, end_of_lease_s, config_object),
            "end_of_lease_s": end_of_lease_s,
        }

    def forward(self, order: Json, intent: Json) -> Json:
        """{}"""
        before_the_end(self._world, intent["end_of_lease_s"])
        target = {"Id": intent["target_id"], "Arn": intent["function_arn"], "Input": intent["input"]}
        events = self._world.access(order).events
        _put(events, intent["rule_name"], target)
        return {}

    def backward(self, order: Json, intent: Json, asked_at_s: float) -> None:
        """Remove it until it is not found, with its rule or without."""
        events = self._world.access(order).events
        with asking("RemoveTargets"):
            try:
                answer = events.remove_targets(Rule=intent["rule_name"], Ids=[intent["target_id"]])
                failed = answers.number(answer, "FailedEntryCount")
            except AWS_ERRORS as error:
                if not is_not_found(error):
                    raise
            else:
                _raise_failed_entry("RemoveTargets", answer, failed)
        if intent["target_id"] in self._target_ids(events, intent["rule_name"]):
            raise Retry(f"target {intent['target_id']} is still there")
        settled(self._world, asked_at_s, f"target {intent['target_id']}")

    def _target_ids(self, events: Any, rule: str) -> set[str]:
        """Those of the rule, on all pages; none when there is no such rule."""
        with asking("ListTargetsByRule"):
            try:
                return {answers.text(each, "Id")
                        for each in answers.listed(events, "list_targets_by_rule", "Targets", Rule=rule)}
            except AWS_ERRORS as error:
                if is_not_found(error):
                    return set()
                raise


def _raise_failed_entry(operation: str, answer: Mapping[str, Any], failed: int) -> None:
    if not failed:
        return
    entry = (answer.get("FailedEntries") or [{}])[0]
    code = str(entry.get("ErrorCode", "no code"))[:MAX_CODE]
    words = f"{operation} failed for its one target ({code}): {str(entry.get('ErrorMessage', ''))[:MAX_MESSAGE]}"
    if is_transient_code(code):
        raise Retry(words)
    raise Refused(words, untouched=True)
