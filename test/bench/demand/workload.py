"""Arrivals, run times and sizes of jobs as a published model describes them.

U. Lublin and D. G. Feitelson, "The workload on parallel supercomputers: modeling the characteristics of rigid jobs",
Journal of Parallel and Distributed Computing 63(11), 2003, fitted to logs of the Parallel Workloads Archive; the
parameters are those of the authors' program, m_lublin99.c.  Three of its parts are used: the run time, the exponential
of a hyper-gamma (batch jobs); the number of cores, two-stage uniform in the logarithm (jobs of any type); and the time
between arrivals in the rush hours, the exponential of a gamma (any type).  A trace is a working day of rush hours; the
model's daily cycle is left out.

Assumptions replace what the model does not describe.  An arrival is one submission of several jobs, since
high-throughput users submit them in bags; their number is log-uniform up to a largest one, and their run times differ
by a fifth at most.  OSG advises jobs of one core, at most 2 GB and 1 to 10 hours (hcc.unl.edu, "Characteristics of an
OSG friendly job"), which gives the memory of plain jobs and the longest run time.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from random import Random
from typing import Final

LONGEST_S: Final = 10 * 3600
SHORTEST_S: Final = 10
DAY_S: Final = 8 * 3600  # the time in which jobs arrive

# m_lublin99.c: batch jobs
SHORT_GAMMA: Final = (6.57, 0.823)
LONG_GAMMA: Final = (639.1, 0.0156)
SHARE_OF_SHORT: Final = (-0.003, 0.6986)  # linear in the number of nodes
# m_lublin99.c: jobs of any type
RUSH_HOUR_GAMMA: Final = (10.2303, 0.4871)
SERIAL: Final = 0.244
POWER_OF_TWO: Final = 0.576
LOWEST_LOG2: Final = 0.8
BELOW_HIGHEST_LOG2: Final = 2.5
SHARE_OF_LOWER: Final = 0.86


def run_time_s(random: Random, cores: int = 1, longest_s: int = LONGEST_S) -> int:
    """Draw a run time until it is within the limits, as the model's program does above its own limit."""
    slope, base = SHARE_OF_SHORT
    while True:
        shape, scale = SHORT_GAMMA if random.random() <= slope * cores + base else LONG_GAMMA
        time_s = math.exp(random.gammavariate(shape, scale))
        if SHORTEST_S <= time_s <= longest_s:
            return round(time_s)


def cores(random: Random, most: int) -> int:
    """Draw a job's number of cores, at most `most`, which is a power of two."""
    kind = random.random()
    if kind <= SERIAL:
        return 1
    highest = math.log2(most)
    middle = max(LOWEST_LOG2, highest - BELOW_HIGHEST_LOG2)
    low, high = (LOWEST_LOG2, middle) if random.random() <= SHARE_OF_LOWER else (middle, highest)
    log2 = random.uniform(low, high)
    if kind <= SERIAL + POWER_OF_TWO:
        log2 = round(log2)
    return min(most, round(2**log2))


def arrivals(random: Random, span_s: int = DAY_S) -> Iterator[int]:
    """Yield the times of submissions in the rush hours; the first is at the beginning."""
    now_s = 0.0
    while now_s < span_s:
        yield round(now_s)
        now_s += math.exp(random.gammavariate(*RUSH_HOUR_GAMMA))


def bag(random: Random, most: int) -> int:
    """Draw how many jobs are submitted together: log-uniform from 1 to `most`."""
    return round(math.exp(random.uniform(0, math.log(most))))


def alike(random: Random, time_s: int) -> int:
    """Vary a run time by a fifth at most."""
    return max(1, round(time_s * random.uniform(0.8, 1.2)))
