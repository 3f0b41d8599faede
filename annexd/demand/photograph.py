"""Turn the ad of a machine that joined into one that represents future machines, in the worker: nothing is evaluated.

Attributes of that machine only, or of its past jobs, are removed; its START is the offer's, without the end of its
lease.
"""

from collections.abc import Iterable
from typing import Any, Final

from annexd.condor import bindings
from annexd.demand.ghost_ad import RESOURCES, WITHOUT

MAX_CHARACTERS: Final = 50_000
OF_ONE_MACHINE: Final = frozenset(
    each.lower()
    for each in (
        *WITHOUT,
        *("MyAddress", "StartdIpAddr", "EC2InstanceID", "LeaseEnd", "AnnexDrains", "ClassAdLifetime", "SlotID"),
        *("DaemonStartTime", "MonitorSelfTime", "EnteredCurrentState", "EnteredCurrentActivity", "Draining"),
    )
)


def empty_machines(offer: str) -> str:
    """Return the constraint of slots that are whole machines of an offer and run nothing."""
    return (
        f"AnnexOffer =?= {bindings.quote(offer)} && PartitionableSlot =?= true && Offline =!= true"
        ' && State == "Unclaimed" && (NumDynamicSlots ?: 0) == 0 && Cpus == TotalSlotCpus'
    )


def photograph(ads: Iterable[Any], start: str) -> str | None:
    """Return the ad of the first machine as a text; None without any, or if it is too long."""
    for ad in ads:
        texts = {name: str(ad.lookup(name)) for name in ad if name.lower() not in OF_ONE_MACHINE}
        for name in RESOURCES:
            if (total := texts.get(f"TotalSlot{name}")) is not None:
                texts[name] = total
        texts |= {"Start": start, "Requirements": "START"}
        text = "[ " + "; ".join(f"{name} = {value}" for name, value in sorted(texts.items())) + " ]"
        return text if len(text) <= MAX_CHARACTERS else None
    return None
