"""Decide which leases of machines that annexd ordered by itself are extended, and say of each that is not, why.

Demand for a machine that is there is what runs on it: at the end of the lease its jobs would be evicted, be idle again,
and get a new machine, for the same price and a boot.  Idle jobs alone extend nothing: a machine that they can use takes
them, and then runs them, and one that they cannot use would be no help to them after its end either.  A machine whose
jobs end soon after costs nothing more, since it turns itself off without work.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

REST: Final = 0.2  # of a lease that is left when it is decided: earlier nobody knows whether it will be too short
TRIES_S: Final = 300.0  # for a second try, before machines must hear of the new end
LEAST_S: Final = 300  # what a lease is extended by at least: the lease function ends leases no more often


@dataclass(frozen=True)
class Lease:
    """The lease of an annex; times in seconds since the epoch.

    `claimed`: its machines with jobs, None where that is not known.  `hears_s`: so long before its end all its machines
    still hear of a later one.  `held`: why its end must not be moved now.
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
    """The limits of an offer: a lease may last `longest_s` in all; `paused`: why it allows nothing now."""

    longest_s: int
    paused: str = ""


@dataclass(frozen=True)
class Extension:
    """The decision about a lease that is due: it is extended by `length_s`; or it is not, and `why`."""

    annex_id: str
    offer: str
    end_s: int
    length_s: int = 0
    why: str = ""


def extensions(leases: Iterable[Lease], offers: Mapping[str, Terms], now_s: float) -> list[Extension]:
    """Return what becomes of each lease that is due, of offers that extend leases."""
    found = []
    for lease in leases:
        terms = offers.get(lease.offer)
        if terms is not None and due_s(lease) <= now_s < lease.end_s:
            why, length_s = _why_not(lease, terms, now_s), _length_s(lease, terms)
            found.append(Extension(lease.annex_id, lease.offer, lease.end_s, 0 if why else length_s, why))
    return found


def due_s(lease: Lease) -> float:
    """Return when it is decided: at 0.8 of its lease, or of what it was extended by, and in time for its machines."""
    return lease.end_s - max(REST * lease.length_s, lease.hears_s + TRIES_S)


def _length_s(lease: Lease, terms: Terms) -> int:
    """Return by how much it may be extended: once more the lease, within the longest."""
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
