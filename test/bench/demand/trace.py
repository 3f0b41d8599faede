"""The input of a simulation: jobs that arrive, offers of machines, and the terms of a pool's negotiator."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from annexd.demand.packing import Resources

MAIN = "ap1"  # the access point; others flock to the pool


@dataclass(frozen=True)
class Shape:
    """The needs that make jobs alike, as in an autocluster; `capability` is the least CUDA capability of the GPUs."""

    needs: Resources
    capability: float = 0.0


@dataclass(frozen=True)
class TraceJob:
    """A job; `held` is the beginning and the end of a hold that comes only if the job is idle at the beginning."""

    number: int
    user: str
    schedd: str
    shape: Shape
    arrives_s: int
    runs_s: int
    held: tuple[int, int] | None = None


@dataclass(frozen=True)
class TraceOffer:
    """Machines that can be ordered; those with GPUs start only jobs that request one."""

    name: str
    has: Resources
    micro_dollars_per_hour: int
    max_machines: int = 400
    capability: float = 0.0

    def runs(self, shape: Shape) -> bool:
        if self.has.gpus and not shape.needs.gpus:
            return False
        return shape.capability <= self.capability and shape.needs.fits_into(self.has)


@dataclass(frozen=True)
class Pool:
    """The times that are the same for all rules, in seconds.

    `boot_s`: "It will take about three minutes for the new machines to join the pool" (condor_annex's own text,
    htcondor.com/wiki-archive, HowToUseCondorAnnexWithOnDemandInstances).  `shutdown_s`: condor_annex's default of 0.25
    hours.  `age_s`: the default of ANNEX_OFFER_<name>_IDLE_AGE.  `interval_s`: Google's; annexd's default is half.
    `cycle_s`: NEGOTIATOR_INTERVAL.  `minimum_s`: EC2 bills by the second, and at least a minute.
    """

    boot_s: int = 180
    shutdown_s: int = 900
    lease_s: int = 86_400
    age_s: int = 300
    interval_s: int = 60
    cycle_s: int = 60
    minimum_s: int = 60

    @property
    def promise_s(self) -> int:
        """Return the longest time that a job waits for a machine that is ordered for it at once."""
        return self.age_s + self.interval_s + self.boot_s + self.cycle_s


@dataclass(frozen=True)
class Trace:
    """One mix of jobs with one seed.

    `quotas`: the most cores of a user at once.  `offered`: how many of a user's jobs a schedd offers in one negotiation
    (25.x: SCHEDD_ENABLE_PER_USER_MATCH_LIMITS); None: all.
    """

    name: str
    jobs: tuple[TraceJob, ...]
    offers: tuple[TraceOffer, ...]
    quotas: Mapping[str, int] = field(default_factory=dict)
    offered: int | None = None

    def possible(self) -> Iterator[TraceJob]:
        """Yield the jobs that at least one offer can run."""
        return (job for job in self.jobs if any(offer.runs(job.shape) for offer in self.offers))

    def autoclusters(self) -> Mapping[Shape, int]:
        return {shape: number for number, shape in enumerate(dict.fromkeys(job.shape for job in self.jobs), 1)}
