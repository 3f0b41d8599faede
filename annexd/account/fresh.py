"""Wait until all of AWS knows a new instance profile.

IAM's changes propagate within seconds (IAM user guide, "Changes that I make are not always immediately
visible").  RequestSpotFleet accepts a profile that EC2 does not know yet, and the fleet starts nothing
("spotFleetRequestConfigurationInvalid ... Value", troubleshooting of
github.com/DistributedScience/Distributed-CellProfiler): that cannot be retried.  A new fleet role is refused at once,
which an order retries.
"""

import time
from datetime import datetime
from typing import Any, Final

from annexd.account.session import Session, translate_aws_errors
from annexd.account.stack import Say

FRESH_S: Final = 15.0  # terraform and others wait at most this long; AWS documents no limit


def wait_until_known(session: Session, region: str, profile_arn: str, say: Say) -> None:
    """Wait until the profile is FRESH_S old.  Raises AccountError."""
    with translate_aws_errors("GetInstanceProfile"):
        name = profile_arn.rpartition("/")[2]
        response: dict[str, Any] = session.client("iam", region).get_instance_profile(InstanceProfileName=name)
    made: datetime = response["InstanceProfile"]["CreateDate"]
    left_s = FRESH_S - (time.time() + session.skew_s - made.timestamp())
    if left_s >= 1:
        say(f"waiting {left_s:.0f} s until all of AWS knows the new instance profile")
        time.sleep(min(left_s, FRESH_S))
