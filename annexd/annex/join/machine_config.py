"""The configuration of an annex's machines: where the pool is, whose jobs they run, and until when.

Their security does not depend on their image: they authenticate only with the annex's token, accept only encrypted
connections, and need no open port, since they connect through the collector's CCB.  At the end of the lease AWS ends
them regardless of this configuration, which lets their jobs leave in an orderly way before that.
"""

from collections.abc import Sequence
from typing import Final

from annexd.annex.request.join_config import JoinOrder

LONGEST_UPDATE_S: Final = 300  # as HTCondor's own
SHORTEST_UPDATE_S: Final = 10
IDLE_MASTER_UPDATE_S: Final = 60  # only then does a master notice that its idle startd has ended
IDLE_UPDATES: Final = 5  # within the idle time, which is checked then (ResMgr::check_use in ResMgr.cpp)
UPDATES: Final = 12  # in a short lease, since a machine evaluates some expressions only when it updates its ad

TEXT: Final = """\
# Written by annexd: how the machines of annex {annex_id} join the pool.

COLLECTOR_HOST = {collector_host}
DAEMON_LIST = MASTER STARTD

# No connection comes in: the machines connect out, and are called back through the collector.
USE_SHARED_PORT = True
SHARED_PORT_PORT = 0
CCB_ADDRESS = $(COLLECTOR_HOST)

# Only the token beside this file identifies them.
use security:recommended_v9_0
SEC_CLIENT_AUTHENTICATION = REQUIRED
SEC_CLIENT_ENCRYPTION = REQUIRED
SEC_CLIENT_INTEGRITY = REQUIRED
SEC_CLIENT_AUTHENTICATION_METHODS = IDTOKENS

# Hosts of two networks can share a name and an address; no two instances share an ID.
if defined EC2InstanceID
  STARTD_NAME = $STRING(EC2InstanceID)
  MASTER_NAME = $STRING(EC2InstanceID)
endif

AnnexID = "{annex_id}"
AnnexName = "{name}"
LeaseEnd = {end_of_lease_s}
# IsAnnex and AnnexName are what condor_status and condor_off look for with -annex-slots and -annex-name.
IsAnnex = True
STARTD_ATTRS = $(STARTD_ATTRS) IsAnnex AnnexID AnnexName LeaseEnd ClassAdLifetime
MASTER_ATTRS = $(MASTER_ATTRS) IsAnnex AnnexID AnnexName LeaseEnd ClassAdLifetime
{offer}
NUM_SLOTS = 1
NUM_SLOTS_TYPE_1 = 1
SLOT_TYPE_1 = 100%
SLOT_TYPE_1_PARTITIONABLE = True

# Jobs of these users only, and none that says that it needs more time than is left.
AnnexOwns = {owns}
AnnexJobTime = TARGET.AllowedJobDuration ?: (TARGET.AllowedExecuteDuration ?: ((60 * TARGET.MaxWallTimeMins) ?: 0))
AnnexDrains = (time() >= LeaseEnd - {drain_s})
START = $(AnnexOwns) && time() + ($(AnnexJobTime)) < LeaseEnd - {drain_s}

# {drain_s} s before the end of the lease jobs are evicted, so that they can run elsewhere, and the machine leaves.
SUSPEND = False
WANT_SUSPEND = False
WANT_VACATE = True
PREEMPT = $(AnnexDrains)
IS_OWNER = $(AnnexDrains)
MAXJOBRETIREMENTTIME = 0
MachineMaxVacateTime = {vacate_s}
STARTD.DAEMON_SHUTDOWN = $(AnnexDrains)
UPDATE_INTERVAL = {update_s}
MASTER_UPDATE_INTERVAL = {master_update_s}
# The ad of a machine that vanished is out of date after this time, two updates or more.  The collector removes such
# ads every CLASSAD_LIFETIME (measured with 25.14.1): it shows the machine for that time at most, not twice as long.
ClassAdLifetime = {lifetime_s}

# A machine without a startd is useless, and is turned off.  A startd looks for claims when it updates its ad.
{idle}MASTER.DAEMON_SHUTDOWN_FAST = (STARTD_StartTime == 0) && (time() - DaemonStartTime > 30)
DEFAULT_MASTER_SHUTDOWN_SCRIPT = $(ANNEX_SHUTDOWN_PROGRAM:/usr/sbin/poweroff)
"""

OFFER: Final = """\
AnnexOffer = "{name}"
STARTD_ATTRS = $(STARTD_ATTRS) AnnexOffer
"""

LEAVING: Final = """
# The annex was made smaller: these machines take no more jobs, finish those that they have, and are turned off.
if defined EC2InstanceID
  AnnexLeaves = stringListMember($(EC2InstanceID), "{leaving}", " ")
  START = $(START) && !$(AnnexLeaves)
  CLAIM_WORKLIFE = ifThenElse($(AnnexLeaves), 0, 1200)
  STARTD_NOCLAIM_SHUTDOWN = ifThenElse($(AnnexLeaves), {no_claim_s}, {idle_s})
  # A startd checks this when it updates its ad, and so does its master (measured with 25.14.1).
  UPDATE_INTERVAL = ifThenElse($(AnnexLeaves), {no_claim_s}, {update_s})
  MASTER_UPDATE_INTERVAL = ifThenElse($(AnnexLeaves), {no_claim_s}, {master_update_s})
endif
"""
NO_CLAIM_S: Final = 20  # after its last job


def machine_config(join: JoinOrder, annex_id: str, name: str, end_of_lease_s: int, leaving: Sequence[str] = ()) -> str:
    """Return the file for the configuration folder of each machine; `leaving`: instances that take no more jobs."""
    lease_s, drain_s, idle_s = end_of_lease_s - join.made_at_s, join.drain_s, join.idle_s
    usual_update_s = max(SHORTEST_UPDATE_S, min(LONGEST_UPDATE_S, lease_s // UPDATES))
    update_s = min(usual_update_s, max(SHORTEST_UPDATE_S, idle_s // IDLE_UPDATES)) if idle_s else usual_update_s
    master_update_s = min(update_s, IDLE_MASTER_UPDATE_S) if idle_s else update_s
    text = TEXT.format(
        annex_id=annex_id,
        name=name,
        collector_host=join.collector_host,
        end_of_lease_s=end_of_lease_s,
        owns=f"({join.offer.start})" if join.offer else _owns(join.users),
        offer=OFFER.format(name=join.offer.name) if join.offer else "",
        drain_s=drain_s,
        vacate_s=max(1, drain_s // 2),
        update_s=update_s,
        lifetime_s=2 * usual_update_s,
        master_update_s=master_update_s,
        idle=f"STARTD_NOCLAIM_SHUTDOWN = {idle_s}\n" if idle_s else "",
    )
    if leaving:
        text += LEAVING.format(
            leaving=" ".join(leaving),
            no_claim_s=NO_CLAIM_S,
            idle_s=idle_s or 0,
            update_s=update_s,
            master_update_s=master_update_s,
        )
    return text


def _owns(users: tuple[str, ...]) -> str:
    """Build the users' clause: `alice@example.org` is a job's User, `alice` its Owner on any submit host."""
    clauses = [f'TARGET.{"User" if "@" in user else "Owner"} =?= "{user}"' for user in users]
    return f"({' || '.join(clauses)})" if clauses else "True"
