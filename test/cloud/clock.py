"""The clock of EventBridge: it calls the targets of each rule when the rule is due.

It uses the public API only, so a rule counts for what AWS would see of it: its state, its targets and the permission
on the function.
"""

from __future__ import annotations

import json
import re
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import boto3
import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from test.cloud.keys import CLOCK_KEY, CLOCK_SECRET
from test.cloud.models import models
from test.cloud.policies import Need, judge

RATE = re.compile(r"rate\((\d+) (minute|hour|day)s?\)")
EVENTS = "events.amazonaws.com"
SECONDS = {"minute": 60.0, "hour": 3600.0, "day": 86400.0}


class Clock:
    """Fires the schedule rules of one region; `speed` 60 makes rate(5 minutes) fire every 5 s, 0 never."""

    def __init__(self, url: str, region: str, speed: float, effect: Callable[..., None]) -> None:
        self._speed, self._effect = speed, effect
        self._last: dict[str, tuple[str, float]] = {}  # rule -> its schedule, and when it last fired
        self._stop = threading.Event()
        config = Config(retries={"total_max_attempts": 1}, read_timeout=30)
        keys = {"aws_access_key_id": CLOCK_KEY, "aws_secret_access_key": CLOCK_SECRET}
        core = botocore.session.Session()
        core.register_component("data_loader", models())
        session = boto3.Session(botocore_session=core, region_name=region, **keys)
        self._events = session.client("events", endpoint_url=url, config=config)
        self._lambda = session.client("lambda", endpoint_url=url, config=config)

    def start(self) -> None:
        if self._speed:
            threading.Thread(target=self._run, name="clock", daemon=True).start()

    def stop(self) -> None:
        self._stop.set()

    def _run(self) -> None:
        look_s = min(5.0, max(0.1, 60.0 / self._speed / 4))
        while not self._stop.wait(look_s):
            try:
                for name in self._due_now():
                    self.fire(name)
            except (BotoCoreError, ClientError) as error:
                self._effect("clock failed", error=str(error))

    def _due_now(self) -> list[str]:
        """Return the rules to fire; each is due again one period later."""
        now_s, schedules = time.time(), {rule["Name"]: rule["ScheduleExpression"] for rule in self._rules()}
        fresh = {name: (each, now_s) for name, each in schedules.items()}  # a rate counts from its creation
        kept = {name: due for name, due in self._last.items() if schedules.get(name) == due[0]}
        fired = [name for name, (schedule, last_s) in kept.items() if now_s >= last_s + self._period_s(schedule)]
        self._last = fresh | kept | {name: fresh[name] for name in fired}
        return fired

    def _period_s(self, schedule: str) -> float:
        match = RATE.fullmatch(schedule)
        assert match is not None  # _rules yields no others
        return int(match[1]) * SECONDS[match[2]] / self._speed

    def fire_all(self) -> int:
        """Fire every schedule rule once, now; return their number."""
        rules = list(self._rules())
        for rule in rules:
            self.fire(rule["Name"])
        return len(rules)

    def _rules(self) -> Iterator[dict[str, Any]]:
        """Yield the enabled rules with a rate.  cron() is not emulated."""
        for rule in self._pages(self._events.list_rules, "Rules"):
            if rule.get("State") == "ENABLED" and RATE.fullmatch(rule.get("ScheduleExpression", "")):
                yield rule

    def _pages(self, call: Callable[..., dict[str, Any]], key: str, **asked: str) -> Iterator[dict[str, Any]]:
        answer = call(**asked)
        yield from answer[key]
        while token := answer.get("NextToken"):
            answer = call(**asked, NextToken=token)
            yield from answer[key]

    def fire(self, name: str) -> None:
        """Call the targets of a rule, unless it is disabled."""
        try:
            named = self._pages(self._events.list_rules, "Rules", NamePrefix=name)
            rule = next((each for each in named if each["Name"] == name), {})
            targets = list(self._pages(self._events.list_targets_by_rule, "Targets", Rule=name))
        except ClientError:
            return  # the rule has been deleted meanwhile
        for target in targets if rule.get("State") == "ENABLED" else ():
            self._invoke(rule, target)

    def _invoke(self, rule: dict[str, Any], target: dict[str, Any]) -> None:
        name = rule["Name"]
        payload = target.get("Input") or json.dumps(scheduled_event(rule["Arn"], time.time()))
        if not self._is_permitted(rule["Arn"], target["Arn"]):
            self._effect("rule not permitted", rule=name, target=target["Id"], function=target["Arn"])
            return
        self._effect("rule fired", rule=name, target=target["Id"])
        try:
            self._lambda.invoke(FunctionName=target["Arn"], InvocationType="Event", Payload=payload)
        except ClientError as error:
            self._effect("invocation failed", rule=name, target=target["Id"], error=str(error))

    def _is_permitted(self, rule_arn: str, function_arn: str) -> bool:
        """Return whether the function's own policy lets this rule call it; a Deny wins."""
        try:
            policy = json.loads(self._lambda.get_policy(FunctionName=function_arn)["Policy"])
        except ClientError:
            return False
        context = {"aws:sourcearn": [rule_arn], "aws:sourceaccount": [rule_arn.split(":")[4]]}
        return judge([policy], Need("lambda:InvokeFunction", function_arn), context, EVENTS).allowed


def scheduled_event(rule_arn: str, at_s: float) -> dict[str, Any]:
    """Return the event of a scheduled rule.

    CERTAIN: EventBridge user guide, "Creating a rule that runs on a schedule", and recorded events.
    """
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": rule_arn.split(":")[4],
        "time": datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": rule_arn.split(":")[3],
        "resources": [rule_arn],
        "detail": {},
    }
