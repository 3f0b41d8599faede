"""What a rehearsal calls what it makes: names that no production set-up has, so that all of it can be found again.

A rehearsal that was killed leaves no file behind, and needs none: --clean-up finds everything by these names.
"""

from typing import Final

STACK: Final = "HTCondorAnnexLive"  # production's is HTCondorAnnex; its roles and bucket begin with it
BUCKET: Final = f"{STACK.lower()}-bucket-"
PREFIX: Final = "HTCondorAnnexRehearsal"  # of what is not in the stack: roles, launch template, rules
TAG: Final = "htcondor:rehearsal"  # on fleets, instances and volumes; its value is the run
TEMPLATE: Final = PREFIX  # the launch template
ANNEX: Final = "rehearsal"
ANNEX_BY_EC2_FLEET: Final = f"{PREFIX}-by-ec2-fleet"  # its launch template has this in a tag


def role(region: str, kind: str) -> str:
    """Name a role, which is the whole account's: two regions may be rehearsed at once."""
    return f"{PREFIX}-{region}-{kind}"
