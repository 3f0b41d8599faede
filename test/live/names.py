"""Define the names of a rehearsal's resources, which no production setup uses.

--clean-up finds everything by these names, so a killed rehearsal needs no file.
"""

from typing import Final

STACK: Final = "HTCondorAnnexLive"  # the prefix of its roles and bucket; production's stack is HTCondorAnnex
BUCKET: Final = f"{STACK.lower()}-bucket-"
PREFIX: Final = "HTCondorAnnexRehearsal"  # of resources outside the stack: roles, launch template, rules
TAG: Final = "htcondor:rehearsal"  # on fleets, instances and volumes; its value is the run
TEMPLATE: Final = PREFIX  # the launch template
ANNEX: Final = "rehearsal"
ANNEX_BY_EC2_FLEET: Final = f"{PREFIX}-by-ec2-fleet"  # a tag of its launch template has this value


def role(region: str, kind: str) -> str:
    """Return a role's name with the region: roles are global, and two regions may be rehearsed at once."""
    return f"{PREFIX}-{region}-{kind}"
