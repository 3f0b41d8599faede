"""Keep the collector's data of real slots that jobs could take now: jobs that they take need no order."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from annexd.demand.idle_jobs import CURRENT_INTERVALS, YOUNG_INTERVALS
from annexd.demand.packing import Resources

UPDATES_S: Final = 330.0  # after its start a collector has the ads of all machines: UPDATE_INTERVAL is 300 s
MOST: Final = 0.9  # of the machines of the picture before: an answer with fewer may lack some


@dataclass(frozen=True)
class FreeSlots:
    """Slots that are alike; `ad` is that of one of them, with the attributes that jobs and the slot itself refer to."""

    ad: str
    count: int
    has: Resources


@dataclass(frozen=True)
class SlotPicture:
    """The last good response of a collector, from `asked_s`, and the fault since then."""

    slots: tuple[FreeSlots, ...] = ()
    asked_s: float = 0.0
    fault: str | None = None
    offers: Mapping[str, int] = field(default_factory=dict)  # machines that joined, by AnnexOffer
    interval_s: float = 60.0
    left_out: int = 0  # free slots of rare kinds that are not in `slots`
    machines: int = 0  # of the whole pool

    def is_complete(self, now_s: float) -> bool:
        """Return whether it is a sufficient basis for orders."""
        return self.fault is None and now_s - self.asked_s <= CURRENT_INTERVALS * self.interval_s


def after_answer(before: SlotPicture, answer: SlotPicture, started_s: float) -> SlotPicture:
    """Return the new picture, or the one before if the collector started too late to know all machines."""
    age_s = answer.asked_s - started_s
    lacks_some = age_s < UPDATES_S and answer.machines < MOST * before.machines
    if lacks_some or age_s < YOUNG_INTERVALS * answer.interval_s:
        return with_fault(before, f"the collector started {max(age_s, 0):.0f} s ago")
    return answer


def with_fault(before: SlotPicture, fault: str) -> SlotPicture:
    return replace(before, fault=fault)
