"""Keep the idle jobs that the pool's schedds report, and determine which of them may cause an order.

A schedd that does not respond is not one without jobs.  So a picture keeps the last good response of each schedd with
its age and a fault, and machines are ordered only for current jobs.  Everything here is pure: times and responses are
arguments.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Self

MAX_GROUPS: Final = 5_000  # of a schedd
NO_AUTOCLUSTER: Final = 0  # no negotiator has requested jobs of this group yet; autoclusters are numbered from 1
CURRENT_INTERVALS: Final = 3  # an older response causes no orders
YOUNG_INTERVALS: Final = 2  # a daemon that started later does not know everything yet
KEPT_S: Final = 3600.0  # groups that are older no longer keep machines from others
AD_LIFETIME_S: Final = 900.0  # CLASSAD_LIFETIME's default (param_info.in)
IDLE: Final = 1  # JobStatus (proc.h)
UNIVERSES: Final = (5, 10, 13)  # vanilla, java, vm (condor_universe.h): those that negotiators match
MAX_AD_CHARACTERS: Final = 64_000  # of a group; few real ones reach 2,000


@dataclass(frozen=True)
class IdleGroup:
    """Idle jobs of one user and schedd that are alike: of one autocluster, with the same values of the attributes that
    offers read.
    """

    key: str  # "schedd#autocluster#user", and a digest of the ad if that names several groups
    schedd: str
    autocluster: int  # as in records of ghost negotiators, or NO_AUTOCLUSTER
    user: str  # the submitter, as negotiators name it
    count: int
    oldest_s: float | None  # idle at least since then, as far as this annexd has seen; epoch
    first_job: str  # "12.0"
    ad: str  # with all attributes that Requirements and Request* refer to
    kind: str = ""  # digest of attributes that are significant in every pool: equal within an autocluster
    limits: tuple[str, ...] = ()  # its concurrency limits


@dataclass(frozen=True)
class ScheddAd:
    """A schedd that the collector shows; one of another pool, from which jobs flock here, has `submitters`."""

    name: str
    address: str
    started_s: float
    expires_s: float  # when the collector drops the ad, unless another follows
    submitters: frozenset[str] | None = None  # the submitters whose jobs it sends here; None: all


@dataclass(frozen=True)
class Directory:
    """The schedds that the collector shows."""

    schedds: tuple[ScheddAd, ...]
    collector_started_s: float


@dataclass(frozen=True)
class ScheddAnswer:
    """A complete response of a schedd.  `left_out`: jobs in no group; `refers_to`: names of attributes of machines."""

    groups: tuple[IdleGroup, ...]
    left_out: str | None = None
    refers_to: frozenset[str] = frozenset()


@dataclass(frozen=True)
class ScheddFault:
    """A missing or incomplete response; `is_refused` if the schedd does not let annexd read its queue."""

    text: str
    is_refused: bool = False


@dataclass(frozen=True)
class ScheddPicture:
    """The last good response of a schedd, from `asked_s`, and the fault since then."""

    name: str
    asked_s: float  # 0.0: it has never responded
    groups: tuple[IdleGroup, ...] = ()
    fault: str | None = None
    address: str = ""  # the schedd's name in records of ghost negotiators
    expires_s: float = 0.0
    left_out: str | None = None
    refers_to: frozenset[str] = frozenset()
    is_refused: bool = False
    numbered_s: float = 0.0  # since when its autoclusters have these numbers, as far as known

    @classmethod
    def of(cls, ad: ScheddAd, before: Self | None) -> Self:
        """Return the known data of a schedd, with its present address."""
        known = before or cls(ad.name, 0.0)
        numbered_s = max(known.numbered_s, ad.started_s)
        return replace(known, address=ad.address, expires_s=ad.expires_s, is_refused=False, numbered_s=numbered_s)

    def may_order(self, now_s: float, interval_s: float) -> bool:
        """Return whether machines may be ordered for these groups."""
        return self.fault is None and now_s - self.asked_s <= CURRENT_INTERVALS * interval_s


@dataclass(frozen=True)
class QueuePicture:
    """All schedds.  `fault` is the collector's; `asked_s` is when it last responded in full."""

    schedds: tuple[ScheddPicture, ...] = ()
    fault: str | None = None
    asked_s: float = 0.0
    interval_s: float = 60.0
    by_name: Mapping[str, ScheddPicture] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_name", {each.name: each for each in self.schedds})

    def is_complete(self, now_s: float) -> bool:
        """Return whether orders may be decided at all: all schedds are known, though some may have faults."""
        return self.fault is None and now_s - self.asked_s <= CURRENT_INTERVALS * self.interval_s

    def groups(self) -> Iterator[IdleGroup]:
        """Yield all groups that take part in packing, also those for which nothing may be ordered."""
        for schedd in self.schedds:
            yield from schedd.groups

    def may_order_for(self, now_s: float) -> frozenset[str]:
        """Return the keys of the groups for which machines may be ordered."""
        if not self.is_complete(now_s):
            return frozenset()
        current = (each for each in self.schedds if each.may_order(now_s, self.interval_s))
        return frozenset(group.key for each in current for group in each.groups)

    def refers_to(self) -> frozenset[str]:
        """Return the attributes of machines that the jobs' Requirements refer to."""
        return frozenset().union(*(each.refers_to for each in self.schedds))


class Numbering:
    """Counts how often schedds have renumbered their autoclusters: confirmations for the old numbers are void."""

    def __init__(self) -> None:
        self._since_s: dict[str, float] = {}  # by schedd
        self._changes = 0

    def changes(self, schedds: Iterable[ScheddPicture]) -> int:
        """Return the number of changes so far, including those in these pictures of all known schedds."""
        found: dict[str, float] = {}
        for each in schedds:
            found[each.name] = max(found.get(each.name, 0.0), each.numbered_s)
        self._changes += sum(at_s > self._since_s.get(name, at_s) for name, at_s in found.items())
        self._since_s = found
        return self._changes


def after_answer(
    before: ScheddPicture | None, ad: ScheddAd, answer: ScheddAnswer | ScheddFault, now_s: float, interval_s: float
) -> ScheddPicture:
    """Return a schedd's picture after a query at `now_s`."""
    known = ScheddPicture.of(ad, before)
    if isinstance(answer, ScheddFault):
        return _kept(replace(known, fault=answer.text, is_refused=answer.is_refused), now_s)
    if (age_s := now_s - ad.started_s) < YOUNG_INTERVALS * interval_s:
        return _kept(replace(known, fault=f"it started {max(age_s, 0):.0f} s ago"), now_s)
    groups = tuple(_aged(answer.groups, known.groups))
    fault = None
    if _is_renumbered(known.groups, groups):
        fault, known = "its autoclusters have new numbers", replace(known, numbered_s=max(now_s, known.numbered_s))
    return replace(
        known, asked_s=now_s, groups=groups, fault=fault, left_out=answer.left_out, refers_to=answer.refers_to
    )


def after_round(
    before: QueuePicture, directory: Directory, asked: Iterable[ScheddPicture], now_s: float, interval_s: float
) -> QueuePicture:
    """Return the picture after all schedds of the directory were queried; vanished ones stay until they expire."""
    schedds = {each.name: each for each in asked}
    is_young = (age_s := now_s - directory.collector_started_s) < YOUNG_INTERVALS * interval_s
    for name in before.by_name.keys() - schedds.keys():
        known = before.by_name[name]
        if is_young or known.expires_s > now_s:
            schedds[name] = _kept(replace(known, fault="the collector no longer shows it"), now_s)
    pictures = tuple(schedds[name] for name in sorted(schedds))
    if is_young:
        fault = f"the collector started {max(age_s, 0):.0f} s ago"
        return QueuePicture(pictures, fault, before.asked_s, interval_s)
    return QueuePicture(pictures, None, now_s, interval_s)


def without_collector(before: QueuePicture, fault: str, now_s: float, interval_s: float) -> QueuePicture:
    """Return the picture after no collector responded: everything stays unchanged, and ages."""
    schedds = tuple(_kept(each, now_s) for each in before.schedds)
    return QueuePicture(schedds, fault, before.asked_s, interval_s)


def key_of(schedd: str, autocluster: int, user: str) -> str:
    """Return the key of a group, or its prefix."""
    return f"{schedd}#{autocluster}#{user}"


def constraint(jobs: Collection[str], idle_age_s: int) -> str:
    """Return the constraint of the jobs that count: idle for this long, matched by negotiators, and satisfying the
    clause of any offer.

    A schedd applies the constraint of a GroupBy query to its jobs, and once more to the ads of the groups, which lack
    most attributes (JobAggregationResults::next in autocluster.cpp).  So the constraint accepts an ad that is not a
    complete job's.
    """
    is_group = "ClusterId is undefined || ProcId is undefined || JobStatus is undefined"
    of_negotiators = " || ".join(f"JobUniverse == {number}" for number in UNIVERSES)
    is_old = f"time() - EnteredCurrentStatus >= {idle_age_s}"
    is_wanted = " || ".join(f"ifThenElse(({text}), true, false) =?= true" for text in dict.fromkeys(jobs))
    return f"{is_group} || (JobStatus == {IDLE} && ({of_negotiators}) && {is_old} && ({is_wanted}))"


def _aged(groups: Iterable[IdleGroup], before: Iterable[IdleGroup]) -> Iterator[IdleGroup]:
    """Keep the waiting time of groups that existed before."""
    known = {each.key: each.oldest_s for each in before}
    for group in groups:
        times = [each for each in (known.get(group.key), group.oldest_s) if each is not None]
        yield replace(group, oldest_s=min(times, default=None))


def _kept(schedd: ScheddPicture, now_s: float) -> ScheddPicture:
    """Drop groups that are too old to be relevant."""
    return replace(schedd, groups=()) if now_s - schedd.asked_s > KEPT_S else schedd


def _is_renumbered(before: Iterable[IdleGroup], after: Iterable[IdleGroup]) -> bool:
    """Return whether a number now stands for jobs of another kind, as when a schedd forgot its autoclusters."""
    kinds = {group.autocluster: group.kind for group in before if group.autocluster != NO_AUTOCLUSTER}
    return any(kinds.get(group.autocluster, group.kind) != group.kind for group in after)
