"""Cancelling an annex: its lease ends now, and the lease function does at its next tick what it always does.

Nothing is ended from here.  What ends instances stays the one thing that is sure to do it, in the cloud, whoever dies
in the next moment; all that changes is one number in its event, and that only downwards.
"""

from collections.abc import Mapping

from annexd.annex.lease import tags
from annexd.annex.steps.asking import World
from annexd.annex.steps.put_rule import ask_for_rule
from annexd.annex.steps.put_targets import ask_for_target
from annexd.annex.survey import Rule, Survey, rule_of, survey
from annexd.aws import Clients
from annexd.workflow import Json, Refused, Retry


class EndLease:
    """The target of the annex's rule, once more, with an end that is over."""

    name = "end_lease"

    def __init__(self, world: World) -> None:
        self._world = world

    def plan(self, order: Json, results: Mapping[str, Json]) -> Json:  # noqa: ARG002
        """{annex_id, settled_at_s}: when nothing that the order asked for can take effect any more."""
        return {"annex_id": order["annex_id"], "settled_at_s": order["settled_at_s"]}

    def forward(self, order: Json, intent: Json) -> Json:
        """{end_of_lease_s}, by AWS's clock: EC2 may lag behind it, and the function reckons with that."""
        annex_id = intent["annex_id"]
        self._wait_until_settled(intent["settled_at_s"])
        clients = self._world.access(order)
        rule = rule_of(clients.events, annex_id)
        if rule is None or not rule.armed:
            return self._arm_anew(order, clients, rule)
        end_s = min(int(rule.end_of_lease_s), int(self._world.aws_now_s(clients)))
        if end_s < rule.end_of_lease_s:
            function_arn = rule.function_arn or order["lease_function_arn"]
            ask_for_target(clients.events, annex_id, end_s, function_arn, rule.config_object)
        return {"end_of_lease_s": end_s}

    def backward(self, order: Json, intent: Json, asked_at_s: float) -> None:
        """No lease is made longer again."""

    def _wait_until_settled(self, settled_at_s: float) -> None:
        """An old PutTargets whose answer was lost would put the old end back; an old PutRule, a rule of the dead."""
        wait_s = settled_at_s - self._world.now_s()
        if wait_s > 0:
            words = f"an answer of AWS to the order was lost: what it asked for may still come for {wait_s:.0f} s"
            raise Retry(words, untouched=True)

    def _arm_anew(self, order: Json, clients: Clients, rule: Rule | None) -> Json:
        """Somebody has removed or disabled the rule; or all is over."""
        seen, annex_id, end_s = survey(clients), order["annex_id"], int(self._world.aws_now_s(clients))
        if annex_id in seen.alive():
            ask_for_rule(clients.events, annex_id, end_s, tags(annex_id, order["annex_owner"], end_s))
            config_object = (rule.config_object if rule else None) or _config_object(order)
            ask_for_target(clients.events, annex_id, end_s, order["lease_function_arn"], config_object)
        elif not _is_listed(seen, annex_id):
            words = f"AWS shows these keys nothing of annex {annex_id}: it is over, or they are another account's"
            raise Refused(words, untouched=True)
        return {"end_of_lease_s": end_s}


def _is_listed(seen: Survey, annex_id: str) -> bool:
    return any(fleet.annex_id == annex_id for fleet in seen.fleets)


def _config_object(order: Json) -> tuple[str, str] | None:
    bucket, key = order["config_object"] or (None, None)
    return (bucket, key) if bucket and key else None
