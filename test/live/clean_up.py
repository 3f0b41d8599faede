"""End all that a rehearsal created, in any state, and verify that nothing is left.

It works the same after success, an error, Ctrl-C and a kill -9: list what exists, end it, and list again.  A part that
fails does not block others, and costly resources come first.  The stack with its lease function comes last: until then
the function also ends what this program cannot.
"""

import time
from collections.abc import Callable
from typing import Any

from annexd.account.annexes import annexes
from annexd.account.bucket import empty
from annexd.account.errors import AccountError
from annexd.account.session import translate_aws_errors
from annexd.account.template import LOG_GROUP
from annexd.annex.fleet.kinds import KINDS, kind_of
from annexd.aws import errors
from annexd.aws.errors import AWS_ERRORS
from test.live import own, service_roles
from test.live.account import Account, Say
from test.live.pace import Durations
from test.live.roles import remove_roles

BUCKET = "Bucket"  # in the template
BUSY = "DELETE_IN_PROGRESS"


def clean_up(account: Account, pace: Durations, say: Say, *, made_service_roles: bool) -> list[str]:
    """End everything, and return what is left at the deadline; empty after two successive empty listings.

    With `made_service_roles` none existed before, so those that -setup created are ours.
    """
    deadline_s = time.monotonic() + pace.clean_up_s
    work, answered, was_empty = CleanUp(account, pace, say), "", False
    while True:
        work.round()
        left = work.look()
        if was_empty and not left:
            break
        if time.monotonic() > deadline_s:
            return left
        was_empty = not left
        if left and answered != left[0]:
            answered = left[0]
            say(f"clean-up: {len(left)} left, first of them {answered}")
        time.sleep(pace.poll_s)
    if made_service_roles:
        work.remove_service_roles()
    return []


class CleanUp:
    """One pass after another; `round` raises no error of AWS or the network."""

    def __init__(self, account: Account, pace: Durations, say: Say) -> None:
        self._account, self._pace, self._say = account, pace, say
        self._ec2 = account.client("ec2")
        self._begun_s = time.monotonic()
        self._said = ""

    def round(self) -> None:
        for part in (
            self._end_fleets,
            self._end_instances,
            self._end_volumes,
            self._end_rules,
            self._end_templates,
            self._end_stack,
            self._end_log_group,
            self._end_roles,
        ):
            self._try(part)

    def look(self) -> list[str]:
        """Return the remaining resources; an error in the listing counts as one."""
        try:
            return own.left(self._account)
        except Exception as error:  # noqa: BLE001  as in _try
            self._report(error)
            return [f"what could not be listed: {error}"]

    def remove_service_roles(self) -> None:
        """Remove the service-linked roles that -setup created; they cost nothing."""
        self._try(lambda: service_roles.remove(self._account.client("iam"), self._say))

    def _try(self, part: Callable[[], Any]) -> None:
        try:
            part()
        except Exception as error:  # noqa: BLE001  the edge: a failing part does not stop the others
            self._report(error)

    def _report(self, error: Exception) -> None:
        message = errors.describe(error, "AWS") if isinstance(error, AWS_ERRORS) else str(error) or repr(error)
        if self._said != message:
            self._said = message
            self._say(f"clean-up, to be retried: {message}")

    def _end_fleets(self) -> None:
        """Cancel all fleets that are not over, even cancelled ones, since a response may have been lost."""
        alive = own.instances(self._ec2).values()
        ids = [each.fleet_id for each in own.fleets(self._ec2) if not each.is_over(alive)]
        for kind in KINDS:
            for batch in own.batches([each for each in ids if kind_of(each) is kind]):
                with translate_aws_errors(kind.end):
                    getattr(self._ec2, kind.end_method)(**{kind.ids: batch, "TerminateInstances": True})

    def _end_instances(self) -> None:
        """Terminate instances one by one: a protected one would keep others of the same call alive."""
        for instance in own.instances(self._ec2):
            self._try(lambda instance=instance: self._end_instance(instance))  # type: ignore[misc]

    def _end_instance(self, instance: str) -> None:
        with translate_aws_errors(f"TerminateInstances {instance}"):
            try:
                self._ec2.terminate_instances(InstanceIds=[instance])
            except AWS_ERRORS as error:
                if code_of(error) != "OperationNotPermitted":
                    raise
                self._ec2.modify_instance_attribute(InstanceId=instance, DisableApiTermination={"Value": False})
                self._ec2.terminate_instances(InstanceIds=[instance])

    def _end_volumes(self) -> None:
        """Delete volumes with our tag; AWS deletes the instances' own ones with them."""
        if not own.instances(self._ec2):
            for volume in own.volumes(self._ec2):
                with translate_aws_errors(f"DeleteVolume {volume}"):
                    self._ec2.delete_volume(VolumeId=volume)

    def _end_rules(self) -> None:
        events = self._account.client("events")
        for rule in own.rules(self._account):
            with translate_aws_errors(f"DeleteRule {rule}"):
                if targets := [each["Id"] for each in events.list_targets_by_rule(Rule=rule)["Targets"]]:
                    events.remove_targets(Rule=rule, Ids=targets)
                events.delete_rule(Name=rule)

    def _end_templates(self) -> None:
        for template in own.templates(self._ec2):
            with translate_aws_errors(f"DeleteLaunchTemplate {template}"):
                self._ec2.delete_launch_template(LaunchTemplateId=template)

    def _end_stack(self) -> None:
        """Delete the stack once nothing needs its function and no request can still take effect."""
        deadline_s = time.monotonic() + self._pace.clean_up_s
        stack = self._account.stack(self._say, deadline_s)
        if (seen := stack.look()) is None:
            return
        parts = stack.physical_ids()
        self._account.note_stack(parts)  # in any state: a stack under creation has more each time
        if seen.status == BUSY or not self._is_settled():
            return
        if living := annexes(self._ec2):
            raise AccountError(f"{len(living)} annexes live, and the lease function, which ends them, stays")
        if parts.get(BUCKET):
            empty(self._account.client("s3"), parts[BUCKET])
        stack.delete()

    def _is_settled(self) -> bool:
        """Return whether no unanswered request, ours or a killed rehearsal's, can still take effect."""
        return time.monotonic() - max(self._account.changed_s, self._begun_s) >= self._pace.settle_s

    def _end_log_group(self) -> None:
        """Delete the log group, which a run during the function's deletion may have recreated."""
        if self._account.stack(self._say, 0.0).look() is None and own.own_log_group(self._account):
            with translate_aws_errors(f"DeleteLogGroup {LOG_GROUP}"):
                self._account.client("logs").delete_log_group(logGroupName=LOG_GROUP)

    def _end_roles(self) -> None:
        """Delete the roles last, when no call uses them any more."""
        remove_roles(self._account)


def code_of(error: Exception) -> str:
    """Return AWS's error code; empty for a network error."""
    response: dict[str, Any] = getattr(error, "response", None) or {}
    return str((response.get("Error") or {}).get("Code") or "")
