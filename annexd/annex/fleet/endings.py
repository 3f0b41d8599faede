"""Report why instances of a fleet ended without a request: AWS's reason, and a machine's own last message.

A machine that cannot be configured says why on its console, and turns itself off.  So does an idle machine, which has
reported before that HTCondor may start.  One console of each fleet is read, since the cause is mostly the same for all.
GetConsoleOutput has the last 64 KiB, minutes late, and for an hour (EC2 API reference); botocore decodes its base64.
"""

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from annexd.annex.fleet.inventory import Fleet
from annexd.annex.translate_aws_errors import translate_aws_errors
from annexd.aws import answers
from annexd.workflow import Refused, Retry

SELF: Final = "Client.InstanceInitiatedShutdown"  # EC2 API reference, StateReason
INTERRUPTED: Final = frozenset({"Server.SpotInstanceTermination", "Server.SpotInstanceShutdown"})
GONE: Final = ["shutting-down", "terminated", "stopping", "stopped"]
LONGEST_CONSOLE: Final = 65536
LONGEST_MESSAGE: Final = 400
SAID: Final = re.compile(r"condor-annex-ec2: (done: HTCondor may start|this machine cannot be configured)([^\r\n]*)")


def endings(ec2: Any, fleet: Fleet) -> str:
    """Return a text about the instances that AWS interrupted or that could not join; empty without any.

    Raises Retry or Refused when AWS lists no instances.  If a console cannot be read, the text says so.
    """
    filters = [
        {"Name": f"tag:{fleet.kind.instance_tag}", "Values": [fleet.fleet_id]},
        {"Name": "instance-state-name", "Values": GONE},
    ]
    with translate_aws_errors("DescribeInstances"):
        gone = [
            (_reason(seen), answers.text(seen, "InstanceId"))
            for reservation in answers.listed(ec2, "describe_instances", "Reservations", Filters=filters)
            for seen in answers.rows(reservation, "Instances")
        ]
    counts = Counter(reason for reason, _ in gone)
    interrupted = sum(counts[reason] for reason in INTERRUPTED)
    reasons = [f"AWS has interrupted {interrupted} of its Spot instances"] if interrupted else []
    own = max((instance_id for reason, instance_id in gone if reason == SELF), default=None)
    if own is not None and (message := _message_of(ec2, own)):
        reasons.append(f"{counts[SELF]} of its instances turned themselves off; {message}")
    return "; ".join(reasons)


def _reason(seen: Mapping[str, Any]) -> str:
    reason = seen.get("StateReason")
    return str(reason.get("Code")) if isinstance(reason, Mapping) else ""


def _message_of(ec2: Any, instance_id: str) -> str:
    """Return why this machine could not join; empty if it could, or as long as AWS has no output."""
    try:
        with translate_aws_errors("GetConsoleOutput"):
            answer = ec2.get_console_output(InstanceId=instance_id)
    except (Retry, Refused) as error:
        return f"annexd cannot read the console of {instance_id}, which shows whether it could join: {error}"
    last = last_message(str(answer.get("Output") or ""))
    return f"{instance_id} says on its console: {last}" if last else ""


def last_message(console: str) -> str:
    """Return the boot script's reason in a console's output, on one line; empty if HTCondor could start after all."""
    said = list(SAID.finditer(console[-LONGEST_CONSOLE:]))
    if not said or said[-1][1].startswith("done"):
        return ""
    message = "".join(char if char.isprintable() else " " for char in f"{said[-1][1]}{said[-1][2]}")
    return " ".join(message.split())[:LONGEST_MESSAGE]
