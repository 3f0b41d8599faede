"""Convert the ad of a real machine into that of a ghost: a machine that does not exist, offered to a negotiator.

docs/demand.md has the rules, each of which was found by an experiment: no Rank, or the ghost takes a job from a free
machine; the weight of the real machine, or quotas have no effect; a consumption policy, or it gets one match for each
kind of job.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

# A negotiator skips a machine without an address of its schedd's protocol (getSinfulStringProtocolBools in
# matchmaker.cpp).  This one has both, and names no host: a collector with COLLECTOR_REQUIREMENTS, such as those of
# config.d/80annex-machines, drops what a negotiator writes into an ad with StartdIpAddr (ValidateClassAd in
# collector_engine.cpp), and without it finds an ad by its name alone.
ADDRESS: Final = "<?addrs=127.0.0.1-9+[--1]-9>"
LIFETIME_S: Final = 900  # after which the collector forgets it, if annexd ends without a message
ANNEXD: Final = "AnnexdName"  # attributes of a ghost: its annexd,
GHOSTS: Final = "AnnexGhosts"  # and its negotiator
WITHOUT: Final = (
    # Attributes that another use of the same machine, or of its annex, has left in the ad.
    *("Rank", "CurrentRank", "OfflineMatches", "MachineMatchCount", "MachineLastMatchTime", "GhostMultiplier"),
    *("RemoteOwner", "RemoteUser", "RemoteGroup", "RemoteNegotiatingGroup", "AccountingGroup", "ClientMachine"),
    *("JobId", "GlobalJobId", "JobStart", "ConcurrencyLimits", "PreemptingOwner", "PreemptingUser", "PublicClaimId"),
    *("PublicClaimIds", "ClaimId", "ClaimIdList", "Capability", "DynamicSlot", "ParentSlotId", "DSlotId"),
    *("AnnexID", "AnnexName", "AnnexOwner", "CloudInstanceID", "AddressV1", "AuthenticatedIdentity", "MyCurrentTime"),
    *("StartdIpAddr", "AuthenticationMethod", "UpdateSequenceNumber", "LastHeardFrom", "Unhibernate", "MachineClaimId"),
    *("ChildAccountingGroup", "ChildActivity", "ChildClaimIds", "ChildCpus", "ChildCurrentRank", "ChildDisk"),
    *("ChildEnteredCurrentState", "ChildGPUs", "ChildMemory", "ChildName", "ChildRemoteOwner", "ChildRemoteUser"),
    *("ChildRetirementTimeRemaining", "ChildState", "ChildDSlotId", "ChildNumDynamicSlots"),
)
DEFAULTS: Final = {"Start": "true", "Requirements": "START", "SlotWeight": "Cpus"}
RESOURCES: Final = ("Cpus", "Memory", "Disk", "GPUs")
# A negotiator uses these to deduct the resources of each match.  GPUs are never rounded up: jobs without one take none.
CONSUMPTION: Final = {
    "ConsumptionCpus": "quantize(TARGET.RequestCpus ?: 1, {1})",
    "ConsumptionMemory": "quantize(TARGET.RequestMemory ?: 0, {1})",
    "ConsumptionDisk": "quantize(TARGET.RequestDisk ?: 0, {1})",
    "ConsumptionGPUs": "TARGET.RequestGPUs ?: 0",
}
# Values that are computed from the machine's ad, so that a used machine represents an empty one.
WHOLE_MACHINE: Final = {
    **{name: f"TotalSlot{name} ?: Total{name} ?: {name}" for name in RESOURCES},
    **{f"TotalSlot{name}": f"TotalSlot{name} ?: Total{name} ?: {name}" for name in RESOURCES},
    "MachineResources": 'strcat("Cpus Memory Disk", ifThenElse((TotalSlotGPUs ?: GPUs ?: 0) > 0, " GPUs", ""))',
}


@dataclass(frozen=True)
class Ghost:
    """A machine that an offer would create.  `index` distinguishes those of one offer; `ad` is the text of its ad."""

    offer: str
    index: int
    ad: str

    def machine(self, annexd: str) -> str:
        """Return its name in the pool, which is the same in all plans."""
        return f"annex-ghost-{self.offer}-{self.index}@{annexd}"

    def name(self, annexd: str) -> str:
        return f"slot1@{self.machine(annexd)}"


def expressions(ghost: Ghost, annexd: str, key: str) -> dict[str, str]:
    """Return the attributes, as texts of expressions, that make the machine's ad this ghost of `annexd`'s.

    `key` is the key of its negotiator (JobClause).
    """
    texts = {
        "MyType": "Machine",
        "Name": ghost.name(annexd),
        "Machine": ghost.machine(annexd),
        "MyAddress": ADDRESS,
        "State": "Unclaimed",
        "Activity": "Idle",
        "SlotType": "Partitionable",
        "AnnexOffer": ghost.offer,
        ANNEXD: annexd,
        GHOSTS: key,
    }
    plain = {name: json.dumps(text) for name, text in texts.items()}
    switches = dict.fromkeys(("Offline", "WantAdRevaluate", "PartitionableSlot"), "true")
    numbers = {"SlotID": "1", "NumDynamicSlots": "0", "ClassAdLifetime": str(LIFETIME_S)}
    return {**CONSUMPTION, **plain, **switches, **numbers}


def invalidation(name: str, address: str) -> Mapping[str, str]:
    """Return the query ad that removes a machine's ad, and also the ad of type StartD that series 25 derives from it.

    A constraint alone would leave the latter.
    """
    quoted = json.dumps(name)
    return {
        "MyType": '"Query"',
        "TargetType": '"Machine"',
        "Name": quoted,
        "MyAddress": json.dumps(address),
        "Requirements": f"TARGET.Name == {quoted}",
    }
