"""Group free slots by the differences that matter to a job, in the worker: a pool has many slots and few kinds of
machines.

Slots are alike if they agree in all attributes that the jobs' Requirements and their own refer to, apart from names,
addresses, times, loads and counters, which differ everywhere and matter little.  Nothing is evaluated.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final, NamedTuple

from annexd.condor import bindings
from annexd.condor.values import ATTRIBUTE

# Slots that a negotiator may match: no ghosts, no sleeping or draining machines, and no full machines.
FREE: Final = 'State == "Unclaimed" && Offline =!= true && Draining =!= true && Cpus > 0 && Memory > 0'
SIZES: Final = ("Cpus", "Memory", "Disk", "GPUs")
BASE: Final = ("MyType", "Requirements", "Start", *SIZES, "Arch", "OpSys", "PartitionableSlot")
MAX_SHAPES: Final = 2_000
MAX_CHARACTERS: Final = 64_000  # of an ad
EPOCHS_S: Final = range(1_000_000_000, 10_000_000_000)
DISK: Final = re.compile("(Total|TotalSlot|Detected)?Disk", re.IGNORECASE)
VOLATILE: Final = re.compile(
    r"Name|Machine|UtsnameNodename|.*(Addr|Address|AddressV1|Sinful)|SlotID|DSlotID"
    r"|TotalTime.*|Clock(Day|Min)|TimeToLive|Last.*|.*(Load|LoadAvg|Idle|Count)|CpuBusy.*|VirtualMemory|Mips|KFlops"
    r"|(Recent|Updates|Monitor|Child).*|Job(Starts|Preemptions|RankPreemptions|UserPrioPreemptions)|Num(Pids|DynamicSlots)",
    re.IGNORECASE,
)


class SlotRow(NamedTuple):
    """FreeSlots as they are sent to the daemon, as a JSON list."""

    ad: str
    slots: int
    cpus: int
    memory_mib: int
    disk_kib: int
    gpus: int


Shape = tuple[tuple[str, str], ...]


def rows_of(ads: Iterable[Any], attributes: Collection[str]) -> tuple[list[SlotRow], int]:
    """Return a row for each kind, the most frequent first, and the number of slots in no row."""
    counts: Counter[Shape] = Counter()
    found: dict[Shape, dict[str, str]] = {}
    for ad in ads:
        texts = _texts(ad, attributes)
        shape = _shape(ad, texts)
        counts[shape] += 1
        found.setdefault(shape, texts)
    rows = [_row(found[shape], count) for shape, count in counts.most_common(MAX_SHAPES)]
    kept = [row for row in rows if len(row.ad) <= MAX_CHARACTERS]
    return kept, counts.total() - sum(row.slots for row in kept)


def _texts(ad: Any, attributes: Collection[str]) -> dict[str, str]:
    """Return the attributes of a slot that matching may read, as texts of expressions; disks are rounded down to two
    digits.
    """
    waiting = {name.lower(): name for name in (*BASE, *attributes)}
    found: dict[str, str] = {}
    seen: set[str] = set()
    while waiting:
        key, name = waiting.popitem()
        seen.add(key)
        value = ad.get(name)
        if value is None:
            continue
        expression = ad.lookup(name)
        found[name] = str(_rounded(value)) if DISK.fullmatch(name) else str(expression)
        if bindings.plain(value) is None:
            own = (each for each in ad.internalRefs(expression) if ATTRIBUTE.fullmatch(each))
            waiting |= {each.lower(): each for each in own if each.lower() not in seen}
    return found


def _rounded(value: object) -> object:
    if not isinstance(value, int | float) or value < 100:
        return value
    unit = 10 ** (len(str(int(value))) - 2)
    return int(value) // unit * unit


def _shape(ad: Any, texts: Mapping[str, str]) -> Shape:
    """Return the values that distinguish slots.  A FileSystemDomain that is the machine's own name counts as a name."""
    own = {str(bindings.found_in(ad, name)) for name in ("Machine", "Name")}
    return tuple(sorted(pair for pair in texts.items() if not _is_volatile(*pair) and pair[1] not in own))


def _is_volatile(name: str, text: str) -> bool:
    is_time = name.lower().endswith(("time", "timestamp")) and text.isdigit() and int(text) in EPOCHS_S
    return is_time or VOLATILE.fullmatch(name) is not None


def _row(texts: Mapping[str, str], count: int) -> SlotRow:
    ad = "[ " + "; ".join(f"{name} = {text}" for name, text in sorted(texts.items())) + " ]"
    return SlotRow(ad, count, *(_size(texts.get(name)) for name in SIZES))


def _size(text: str | None) -> int:
    """Return a resource as a whole number; 0 if it is not a number."""
    try:
        return int(float(text or 0))
    except (ValueError, OverflowError):
        return 0
