"""The lease: a clock in the cloud, and what it tells the lease function.

The rule fires for ever; the function does nothing before the lease's end, and after it ends the fleet and
at last removes target and rule.  So nothing here depends on annexd, or on anything else outside AWS, to
be alive by then.
"""

import json
import re
from datetime import UTC, datetime
from typing import Final

from annexd.annex.identifiers import rule_name, target_id

SCHEDULE: Final = "rate(5 minutes)"  # how late a lease may end
TAG_ANNEX_ID: Final = "htcondor:annex-id"
TAG_OWNER: Final = "htcondor:annex-owner"
TAG_LEASE_END: Final = "htcondor:annex-lease-end"
OWN_TAGS: Final = frozenset({TAG_ANNEX_ID, TAG_OWNER, TAG_LEASE_END})
NOT_IN_TAGS: Final = re.compile(r"[^\w +\-=.:/@]", re.ASCII)  # both EC2 and EventBridge take the rest
LONGEST_TAG: Final = 256


def utc(moment_s: float) -> str:
    """As AWS writes times: 2026-11-22T16:20:00Z."""
    return datetime.fromtimestamp(int(moment_s), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def function_input(annex_id: str, end_of_lease_s: int) -> str:
    """What the rule passes to the lease function, as JSON."""
    return json.dumps(
        {
            "AnnexID": annex_id,
            "RuleID": rule_name(annex_id),
            "TargetID": target_id(annex_id),
            "LeaseExpiration": end_of_lease_s,
        }
    )


def tags(annex_id: str, owner: str, end_of_lease_s: int) -> list[dict[str, str]]:
    """For people, and for whoever looks for what is left: whose it is, and until when."""
    return [
        {"Key": TAG_ANNEX_ID, "Value": annex_id},
        {"Key": TAG_OWNER, "Value": NOT_IN_TAGS.sub("_", owner)[:LONGEST_TAG]},
        {"Key": TAG_LEASE_END, "Value": utc(end_of_lease_s)},
    ]
