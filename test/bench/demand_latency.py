"""The time from a job's idle age to the order of its machine accepted by AWS, confirmed by negotiators and without.

Jobs come one after another, each at a random moment of annexd's interval, and each needs a machine of its own.  All
intervals are the defaults of annexd, of the pool and of the output of `condor_annex -demand-config`.
"""

from __future__ import annotations

import time
from random import Random
from statistics import mean, median
from typing import Final

from test.demand.mixed_site import MixedSite
from test.demand.mixes import PAIR, Batch, Mix

AIMS_S: Final = {False: 60, True: 120}  # by whether the negotiators confirm
IDLE_AGE_S: Final = 30
PAUSE_S: Final = 30  # annexd's interval
PATIENCE_S: Final = 600.0
POLL_S: Final = 0.2
DEFAULTS: Final = """
NEGOTIATOR_INTERVAL = 60
NEGOTIATOR_CYCLE_DELAY = 20
NEGOTIATOR_MIN_INTERVAL = 5
SCHEDD_INTERVAL = 300
"""
KNOBS: Final = f"""
ANNEX_DEMAND_INTERVAL = 30
ANNEX_DEMAND_BOOT_TIME = 86400
ANNEX_OFFER_{PAIR.name}_IDLE_AGE = {IDLE_AGE_S}
ANNEX_OFFER_{PAIR.name}_MAX = 1000
ANNEX_OFFER_{PAIR.name}_STEP = 50
"""
JOB: Final = Batch(1, (PAIR.name,), cpus=PAIR.cpus)


def compare(jobs: int) -> None:
    """Raises PoolError."""
    print("", f"From a job's idle age to the accepted order of its machine, {jobs} jobs one by one", sep="\n")
    for confirms, aim_s in AIMS_S.items():
        took_s = sorted(_measure(confirms, jobs))
        shown = ", ".join(f"{each:.0f}" for each in took_s)
        verdict = "" if took_s[-1] <= aim_s else ", which is missed"
        print(
            f"{'confirmed by the negotiators' if confirms else 'without confirmation':30}mean {mean(took_s):.0f} s, "
            f"median {median(took_s):.0f} s, longest {took_s[-1]:.0f} s (aim: at most {aim_s} s{verdict}): {shown}",
            flush=True,
        )


def _measure(confirms: bool, jobs: int) -> list[float]:
    """Return the latency of each job; no machine boots, so each stays on its way to its own job."""
    mix = Mix(lambda _random: [JOB], (PAIR,), DEFAULTS, confirms=confirms)
    random = Random(jobs)  # noqa: S311  moments, not secrets
    with MixedSite(mix, KNOBS, machines=0, is_quick=False) as site:
        return [_accepted_s(site, random.uniform(0, PAUSE_S), number) for number in range(1, jobs + 1)]


def _accepted_s(site: MixedSite, pause_s: float, number: int) -> float:
    """Return the seconds from a job's idle age until this number of machines is ordered in all."""
    time.sleep(pause_s)
    site.begin(0, [JOB])
    asked = ("condor_q", "-all", "-af", "EnteredCurrentStatus")
    old_s = max(int(each) for each in site.pool.tool(*asked).stdout.split()) + IDLE_AGE_S
    site.wait(lambda: site.ordered_least().machines >= number, "an order", PATIENCE_S)
    return time.time() - old_s
