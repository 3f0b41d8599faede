"""Define the names of a rehearsal's resources, which no production setup has, so that all can be found again.

A killed rehearsal needs no file: --clean-up finds everything by these names.
"""

from typing import Final

STACK: Final = "HTCondorAnnexLive"  # production's is HTCondorAnnex; its roles and bucket begin with it
BUCKET: Final = f"{STACK.lower()}-bucket-"
PREFIX: Final = "HTCondorAnnexRehearsal"  # of resources outside the stack: roles, launch template, rules
TAG: Final = "htcondor:rehearsal"  # on fleets, instances and volumes; its value is the run
TEMPLATE: Final = PREFIX  # the launch template
ANNEX: Final = "rehearsal"
ANNEX_BY_EC2_FLEET: Final = f"{PREFIX}-by-ec2-fleet"  # its launch template has this in a tag


def role(region: str, kind: str) -> str:
    """Return a role's name; roles are global, and two regions may be rehearsed at once."""
    return f"{PREFIX}-{region}-{kind}"
