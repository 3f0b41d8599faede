"""Twelve mixes of jobs for a real pool, each as a function of a seed, small enough for the exact result of least.py.

Their prices are made up: a large machine costs less for a core than a small one, but more than half as much.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from random import Random
from typing import Final

from test.demand.least import Least, Machine, Need, least

STEP: Final = 2
GIB: Final = 1024
MEMORY_PART: Final = 0.925  # part of an instance's memory that annexd expects HTCondor to have (docs/demand.md)
QUANTUM_MIB: Final = 128  # a startd rounds a job's request up to a multiple of this: MODIFY_REQUEST_EXPR_REQUESTMEMORY


@dataclass(frozen=True)
class MixOffer:
    """An offer, and the resources and price of its instance type, in thousandths of a dollar an hour."""

    name: str
    instance_type: str
    cpus: int
    gib: int
    price: int
    gpus: int = 0
    jobs: str = "true"
    start: str = "TARGET.WantAnnex =?= true"

    @property
    def memory_mib(self) -> int:
        return int(self.gib * GIB * MEMORY_PART)

    @property
    def machine(self) -> Machine:
        return Machine(self.name, (self.cpus, self.memory_mib, self.gpus), self.price)


@dataclass(frozen=True)
class Batch:
    """Jobs that are alike and are submitted together.

    `at_once` of them may run at the same time; the others are over a quota.  `offers` have machines that run them;
    without any they never run.  They come in `stage` 0 or 1; `held` ones are submitted in stage 0 and released in their
    stage.
    """

    count: int
    offers: tuple[str, ...] = ("one",)
    cpus: int = 1
    memory_mib: int = 512
    gpus: int = 0
    commands: tuple[str, ...] = ()
    user: str = "alice"
    at_once: int | None = None
    stage: int = 0
    held: bool = False
    flocks: bool = False  # from another pool

    @property
    def running(self) -> int:
        """Return how many of them run at the same time once all machines have joined."""
        return 0 if not self.offers else self.count if self.at_once is None else self.at_once

    @property
    def need(self) -> Need:
        return Need((self.cpus, self.memory_mib, self.gpus), frozenset(self.offers))


@dataclass(frozen=True)
class Mix:
    """The jobs of a pool and the offers for them.

    `confirms`: the pool's negotiators confirm the demand.  `is_short`: jobs do not wait until all run.  `flocks`: some
    jobs come from another pool.
    """

    batches: Callable[[Random], Iterable[Batch]]
    offers: tuple[MixOffer, ...]
    config: str = ""
    confirms: bool = False
    is_short: bool = False
    flocks: bool = False

    def of(self, seed: int) -> list[Batch]:
        return list(self.batches(Random(seed)))  # noqa: S311  repeatable jobs, not a secret

    def least(self, batches: Iterable[Batch]) -> Least:
        """Return the cheapest machines for all jobs that may run at once."""
        jobs: Counter[Need] = Counter()
        for each in batches:
            jobs[each.need] += each.running
        return least(jobs, [offer.machine for offer in self.offers])


ONE = MixOffer("one", "m5.xlarge", 4, 16, 80)
PAIR = MixOffer("pair", "m5.large", 2, 8, 40)
EIGHT = MixOffer("eight", "m5.2xlarge", 8, 32, 140)
SIXTEEN = MixOffer("sixteen", "m5.4xlarge", 16, 64, 270)
T4 = MixOffer("gpu", "g4dn.12xlarge", 48, 192, 1200, gpus=4)
T4_ALONE = replace(T4, jobs="(RequestGPUs ?: 0) > 0", start=f"{T4.start} && TARGET.RequestGPUs > 0")
QUOTAS: Final = """
GROUP_NAMES = physics, biology
GROUP_QUOTA_physics = {physics}
GROUP_QUOTA_biology = {biology}
"""


def _group(name: str) -> tuple[str, ...]:
    return (f"accounting_group = {name}",)


def _capability(least_of_it: float) -> tuple[str, ...]:
    return (f"require_gpus = Capability >= {least_of_it}",)


def _memory(random: Random, least_gib: int, most_gib: int) -> int:
    return random.randrange(least_gib * GIB, most_gib * GIB, QUANTUM_MIB)


def _floods(random: Random) -> list[Batch]:
    return [Batch(random.randint(9, 15))]


def _whole(random: Random) -> list[Batch]:
    both = (PAIR.name, EIGHT.name)
    return [
        Batch(random.randint(1, 2), (EIGHT.name,), cpus=8, memory_mib=20 * GIB),
        Batch(random.randint(1, 3), both, cpus=2),
        Batch(random.randint(1, 3), both),
    ]


def _gpus(random: Random) -> list[Batch]:
    return [
        Batch(random.randint(2, 4), (T4.name,), gpus=1, commands=_capability(7.0)),
        Batch(random.randint(0, 1), (T4.name,), gpus=2),
        Batch(2, (), gpus=1, commands=_capability(9.0)),
        Batch(random.randint(2, 5), (ONE.name, T4.name)),
    ]


def _heavy(random: Random) -> list[Batch]:
    return [Batch(1, memory_mib=_memory(random, 3, 11)) for _ in range(random.randint(5, 6))]


def _impossible(random: Random) -> list[Batch]:
    missing = ("requirements = TARGET.HasTelescope =?= true",)
    return [
        Batch(2, (), cpus=64),
        Batch(2, (), memory_mib=500 * GIB),
        Batch(1, (), gpus=1),
        Batch(2, (), commands=missing),
        Batch(random.randint(3, 9), stage=1),
    ]


def _two_users(random: Random) -> list[Batch]:
    return [
        Batch(random.randint(4, 6), commands=_group("physics"), at_once=3),
        Batch(random.randint(6, 8), commands=_group("biology"), user="bob", at_once=5),
    ]


def _over_quota(random: Random) -> list[Batch]:
    return [
        Batch(random.randint(7, 9), (PAIR.name,), commands=_group("physics"), at_once=2),
        Batch(random.randint(2, 4), (PAIR.name,), user="bob"),
    ]


def _autoclusters(random: Random) -> list[Batch]:
    return [
        Batch(
            1,
            (EIGHT.name,),
            random.choice([1, 1, 2]),
            _memory(random, 1, 6),
            user=f"user{number % 4}",
            commands=(f"requirements = TARGET.Memory > {number} && TARGET.Cpus > 0",),
        )
        for number in range(random.randint(9, 12))
    ]


def _short(random: Random) -> list[Batch]:
    return [Batch(random.randint(16, 22))]


def _flocked(random: Random) -> list[Batch]:
    return [Batch(random.randint(2, 4)), Batch(random.randint(4, 6), user="carol", flocks=True)]


def _held(random: Random) -> list[Batch]:
    return [
        Batch(random.randint(2, 5)),
        Batch(random.randint(3, 5), cpus=2, stage=1, held=True),
    ]


def _limited(random: Random) -> list[Batch]:
    return [
        Batch(random.randint(22, 26), (SIXTEEN.name,), commands=("priority = 5",)),
        Batch(random.randint(1, 2), (T4.name,), gpus=1),
    ]


MIXES: Final[Mapping[str, Mix]] = {
    "one-core-floods": Mix(_floods, (ONE,)),
    "whole-machines": Mix(_whole, (PAIR, EIGHT)),
    "gpus-with-capability": Mix(_gpus, (ONE, T4)),
    "memory-heavy": Mix(_heavy, (ONE,)),
    "impossible": Mix(_impossible, (ONE,)),
    "two-users-with-quotas": Mix(_two_users, (ONE,), QUOTAS.format(physics=3, biology=5), confirms=True),
    "over-the-quota": Mix(_over_quota, (PAIR,), QUOTAS.format(physics=2, biology=5), confirms=True),
    "many-autoclusters": Mix(_autoclusters, (EIGHT,)),
    "short-jobs": Mix(_short, (ONE,), is_short=True),
    "flocked": Mix(_flocked, (ONE,), flocks=True),
    "held-and-released": Mix(_held, (ONE,)),
    "limit-of-20-jobs": Mix(_limited, (SIXTEEN, T4_ALONE), confirms=True),
}
