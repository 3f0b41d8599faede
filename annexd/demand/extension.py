"""Decide which leases of machines that annexd ordered by itself are extended, and explain each that is not.

The demand for an existing machine is its running jobs: at the end of the lease they would be evicted, be idle again,
and get a new machine, for the same price and a boot.  Idle jobs alone extend nothing: a machine that they can use takes
them, and then runs them; one that they cannot use would not help them after its end either.  A machine whose jobs end
soon after an extension costs nothing more, since it turns itself off without work.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

REST: Final = 0.2  # of a lease that is left at the decision: earlier it is unknown whether it will be too short
TRIES_S: Final = 300.0  # for a second try, before machines must hear of the new end
LEAST_S: Final = 300  # minimum extension: the lease function does not end leases more often


@dataclass(frozen=True)
class Lease:
    """The lease of an annex; times in seconds since the epoch.

    `claimed`: its machines with jobs; None: unknown.  `hears_s`: the time before its end at which all its machines can
    still learn of a later one.  `held`: why its end must not be moved now.
    """

    annex_id: str
    offer: str
    began_s: int
    length_s: int  # as it was ordered
    end_s: int
    hears_s: float
    claimed: int | None
    held: str = ""


@dataclass(frozen=True)
class Terms:
    """The limits of an offer: a lease may last `longest_s` in total; `paused`: why it allows nothing now."""

    longest_s: int
    paused: str = ""


@dataclass(frozen=True)
class Extension:
    """The decision about a lease that is due: its extension by `length_s`, or `why` it is not extended."""

    annex_id: str
    offer: str
    end_s: int
    length_s: int = 0
    why: str = ""


def extensions(leases: Iterable[Lease], offers: Mapping[str, Terms], now_s: float) -> list[Extension]:
    """Return the decision about each due lease of offers that extend leases."""
    found = []
    for lease in leases:
        terms = offers.get(lease.offer)
        if terms is not None and due_s(lease) <= now_s < lease.end_s:
            why, length_s = _why_not(lease, terms, now_s), _length_s(lease, terms)
            found.append(Extension(lease.annex_id, lease.offer, lease.end_s, 0 if why else length_s, why))
    return found


def due_s(lease: Lease) -> float:
    """Return when the decision is due: at 0.8 of its lease, or of its last extension, and in time for its machines."""
    return lease.end_s - max(REST * lease.length_s, lease.hears_s + TRIES_S)


def _length_s(lease: Lease, terms: Terms) -> int:
    """Return the possible extension: the length of the lease again, up to the longest."""
    return min(lease.length_s, lease.began_s + terms.longest_s - lease.end_s)


def _why_not(lease: Lease, terms: Terms, now_s: float) -> str:
    if lease.held:
        return lease.held
    if terms.paused:
        return terms.paused
    if _length_s(lease, terms) < LEAST_S:
        return "it has its longest lease (MAX_LEASE, ANNEX_MAX_LEASE)"
    if lease.claimed is None:
        return "the collector does not say whether its machines have jobs"
    if not lease.claimed:
        return "no machine of it has a job"
    if now_s > lease.end_s - lease.hears_s:
        return "it is too late: its machines begin to drain before they hear of it"
    return ""
