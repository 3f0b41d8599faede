"""Delete rules right after their targets, as CloudFormation must; annexd itself creates none."""

import time
from typing import Any

from annexd.aws.errors import AWS_ERRORS
from test.live import names
from test.live.clean_up import code_of
from test.live.stage import Stage

PATIENCE_S = 60.0


def run(stage: Stage) -> None:
    with stage.looking_at("rule-deletion"):
        events = stage.account.watched("events")
        took_s = [_made_and_deleted(stage, events, f"{names.PREFIX}-{number}") for number in range(stage.pace.rules)]
    late_s = [each for each in took_s if each > 0]
    said = f"{len(late_s)} of {len(took_s)} times" + (f", for up to {max(late_s):.1f} s" if late_s else "")
    stage.found("rule-deletion", True if late_s else None, said)


def _made_and_deleted(stage: Stage, events: Any, rule: str) -> float:
    """Return the time for which DeleteRule was refused; the rule never fires."""
    events.put_rule(Name=rule, ScheduleExpression="rate(1 day)", State="DISABLED")
    events.put_targets(Rule=rule, Targets=[{"Id": "one", "Arn": stage.outputs["LeaseFunctionARN"]}])
    events.remove_targets(Rule=rule, Ids=["one"])
    begun_s, refused = time.monotonic(), False
    while True:
        try:
            events.delete_rule(Name=rule)
            return time.monotonic() - begun_s if refused else 0.0
        except AWS_ERRORS as error:
            if code_of(error) != "ValidationException" or time.monotonic() - begun_s > PATIENCE_S:
                raise
            refused = True
            time.sleep(0.5)
