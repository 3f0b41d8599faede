"""Count the matches of ghosts' negotiators, and determine how far they can be trusted.

Each match belongs to a negotiation cycle, by the negotiator's own clock: the ghost's ad has the time of its last match
(MachineLastMatchTime), the negotiator shows when its last cycles were.  So an old list, which a negotiator leaves
behind when a cycle matches nothing, is not taken for a result.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

MATCH_LIMIT: Final = 20  # MAX_CONCURRENT_UPLOADS / 5, jobs of a user that a schedd offers in a cycle
LIMITED_SINCE: Final = (25, 11)  # HTCondor's version history: SCHEDD_ENABLE_PER_USER_MATCH_LIMITS

Autocluster = tuple[str, int]  # the schedd's name, and its number of the autocluster
Matches = Mapping[str, Mapping[Autocluster, int]]  # jobs by offer
Idle = Mapping[Autocluster, int]  # jobs


@dataclass(frozen=True)
class Cycle:
    """A completed negotiation cycle, by the clock of the central manager, which is also the collector's."""

    began_s: int
    ended_s: int

    def has_seen(self, heard_s: int) -> bool:
        """Return whether it began after the collector learned of something; the same second does not count."""
        return self.began_s > heard_s

    def holds(self, matched_s: int) -> bool:
        return self.began_s <= matched_s <= self.ended_s


@dataclass(frozen=True)
class GhostReading:
    """The collector's data of a ghost: the time since when it exists, its last match, and a record for each job of that
    cycle.
    """

    name: str
    offer: str
    heard_s: int
    matched_s: int | None
    records: tuple[tuple[str, int], ...]  # a schedd's address and an autocluster


@dataclass(frozen=True)
class Schedd:
    name: str
    version: tuple[int, ...]

    @property
    def is_limited(self) -> bool:
        return self.version >= LIMITED_SINCE


@dataclass(frozen=True)
class Confirmation:
    """The part of the ghosts' offers that the pool's rules allow, in addition to the users' present claims.

    It does not know the jobs that free slots and machines on their way will take: they count first (docs/demand.md).
    `cycles` is the number of negotiation cycles that are known to have seen all ghosts as they are now, 0 if none has
    yet; with a fault the counts are old, and unknown for offers that they lack.
    """

    matches: Matches = field(default_factory=dict)
    cycles: int = 0
    at_s: float = 0.0
    fault: str | None = None
    faults: Mapping[str, str] = field(default_factory=dict)  # by offer
    negotiators: Mapping[str, str] = field(default_factory=dict)  # by offer
    limited: frozenset[str] = frozenset()  # schedds that offer few jobs of a user at a time
    gone: Matches = field(default_factory=dict)  # matched jobs that are no longer idle

    def still_idle(self, offer: str) -> Idle | None:
        """Return the matches that still need a machine; None if nothing is known."""
        gone = self.gone.get(offer, {})
        matches = self.matches.get(offer)
        return None if matches is None else {each: max(0, jobs - gone.get(each, 0)) for each, jobs in matches.items()}

    def kept_back(self, offer: str, users: Mapping[Autocluster, Collection[str]]) -> frozenset[tuple[str, str]]:
        """Return each schedd and user for which the schedd's limit may have kept back jobs from the offer.

        `users` have idle jobs in each autocluster, and a record does not say whose job it is.  More matches than the
        limits of all sharing users allow mean that the schedd's limit is off.
        """
        mine = self.negotiators.get(offer)
        given: Counter[tuple[str, str]] = Counter()
        sharers: dict[tuple[str, str], set[str]] = {}
        for each, counts in self.matches.items():
            for (schedd, number), jobs in counts.items() if self.negotiators.get(each) == mine else ():
                names = users.get((schedd, number), ()) if schedd in self.limited else ()
                for user in names:
                    given[schedd, user] += jobs
                    sharers.setdefault((schedd, user), set()).update(names)
        return frozenset(
            each for each, jobs in given.items() if MATCH_LIMIT <= jobs <= MATCH_LIMIT * len(sharers[each])
        )


def count(readings: Iterable[GhostReading], cycle: Cycle, schedds: Mapping[str, Schedd]) -> Matches:
    """Return the matches of one cycle; those of a schedd that the collector does not know are left out.

    A match of a later cycle, which may still run, is also left out: the result may be too small, never too large.
    """
    found: dict[str, Counter[Autocluster]] = {}
    for ghost in readings:
        counts = found.setdefault(ghost.offer, Counter())
        if ghost.matched_s is not None and cycle.holds(ghost.matched_s):
            counts.update((schedds[address].name, number) for address, number in ghost.records if address in schedds)
    return found


def gone_since(matches: Matches, then: Idle, now: Idle) -> Matches:
    """Return how many of the matched jobs have begun to run, or have left the queue, given the numbers of idle jobs
    then and now.

    Without it a user who has used up a quota in the meantime would appear to have the same amount again.
    """
    left = {each: max(0, jobs - now.get(each, 0)) for each, jobs in then.items()}
    found: dict[str, dict[Autocluster, int]] = {}
    for offer, counts in matches.items():
        for autocluster, jobs in counts.items():
            gone = min(jobs, left.get(autocluster, 0))
            left[autocluster] = left.get(autocluster, 0) - gone
            found.setdefault(offer, {})[autocluster] = gone
    return found


def total(matches: Matches) -> int:
    return sum(sum(counts.values()) for counts in matches.values())


def limit_once(
    confirmation: Confirmation, limits: Mapping[Autocluster, Collection[str]]
) -> dict[str, dict[Autocluster, int]]:
    """Return the matches with each limit counted once, although every negotiator gave all of it.

    `limits` are the names of an autocluster's concurrency limits and of its users' groups that have a quota.  The rest
    of a limit need not be known: no negotiator gives more, so together they get what the most generous one gave,
    counted in jobs.
    """
    rooms: dict[str, Counter[str]] = {}
    for offer, counts in confirmation.matches.items():
        for autocluster, jobs in counts.items():
            for limit in limits.get(autocluster, ()):
                rooms.setdefault(limit, Counter())[confirmation.negotiators[offer]] += jobs
    left = {limit: max(given.values()) for limit, given in rooms.items()}
    found: dict[str, dict[Autocluster, int]] = {}
    for offer, counts in confirmation.matches.items():
        found[offer] = {}
        for autocluster, jobs in counts.items():
            names = limits.get(autocluster, ())
            allowed = min((jobs, *(left[name] for name in names)))
            left.update({name: left[name] - allowed for name in names})
            found[offer][autocluster] = allowed
    return found
