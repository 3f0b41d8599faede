"""Define the waits of a rehearsal: for AWS, and for the emulated one, whose rules fire sixty times as fast."""

import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from test.account import hurried

TOOL: Final = Path(sysconfig.get_path("scripts")) / "condor_annex"


@dataclass(frozen=True)
class Durations:
    """The durations of a rehearsal; the defaults are for AWS."""

    lease_s: int = 1800  # of the annex that is extended and cancelled
    extension_s: int = 600
    short_lease_s: int = 300  # of the annex that the lease function ends
    own_lease_s: int = 1200  # of fleets that the rehearsal itself requests: its enforcer ends them in any case
    valid_s: float = 120.0  # until ValidUntil; an instance must run by then
    around_s: float = 60.0  # time for which states are recorded after ValidUntil
    launch_s: float = 110.0
    gone_s: float = 300.0  # within which a termination must be visible
    tick_s: float = 300.0
    roles_s: float = 90.0  # within which a new IAM role must be known everywhere
    settle_s: float = 90.0  # an unanswered request takes effect within it, or never (docs/leases.md)
    clean_up_s: float = 1200.0
    command_s: float = 1500.0  # limit of one condor_annex
    poll_s: float = 5.0
    rules: int = 20
    condor_annex: Sequence[str] = (str(TOOL),)


AWS: Final = Durations()
EMULATED: Final = Durations(
    lease_s=1800,
    extension_s=600,
    short_lease_s=30,
    own_lease_s=60,
    valid_s=12.0,
    around_s=1.0,
    launch_s=30.0,
    gone_s=15.0,
    tick_s=10.0,
    roles_s=20.0,
    settle_s=1.0,
    clean_up_s=90.0,
    command_s=300.0,
    poll_s=0.3,
    rules=3,
)
HURRIED: Final = replace(EMULATED, condor_annex=hurried.COMMAND)  # emulated, without other users
