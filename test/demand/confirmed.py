"""A real pool with the negotiators that `condor_annex -demand-config` writes, and annexd's own ghosts in it."""

from __future__ import annotations

import asyncio
import sys
import sysconfig
from collections.abc import Mapping
from typing import Any, Self

from annexd.condor import bindings
from annexd.daemoncore.pool.outbound import Outbound
from annexd.demand.confirmation import Confirmation
from annexd.demand.ghost_ad import Ghost
from annexd.demand.ghost_negotiators import JobClause
from annexd.demand.ghosts import GhostWatch
from test.demand.ghosts import GhostPool

ANNEXD = "annexd@annexd.test"
CONDOR_ANNEX = f"{sysconfig.get_path('scripts')}/condor_annex"
TIMEOUT_S = 40
# The shortest that leaves no doubt: the times of cycles are in whole seconds.
SHORT = """
{name}.NEGOTIATOR_INTERVAL = 2
{name}.NEGOTIATOR_CYCLE_DELAY = 2
"""
PHOTOGRAPH = """
import htcondor2
print(repr(htcondor2.Collector().query(htcondor2.AdType.Startd, "Offline =!= true && PartitionableSlot")[0]))
"""


class ConfirmingPool(GhostPool):
    """The pool of an administrator who has pasted what -demand-config printed."""

    def __init__(self, offers: Mapping[str, JobClause], extra: str = "", *, cores: int = 1) -> None:
        self.offers = dict(offers)
        knobs = [f"ANNEX_OFFERS = {', '.join(offers)}"]
        for name, clause in offers.items():
            knobs += [f"ANNEX_OFFER_{name}_JOBS = {clause.jobs}", f"ANNEX_OFFER_{name}_IDLE_AGE = {clause.idle_age_s}"]
        # The pool's own cycles are what -demand-config leaves alone.
        super().__init__([], "\n".join([*knobs, extra]), cores=cores)
        self.printed = self._succeed_with(CONDOR_ANNEX, "-demand-config")
        text = self.config_file.read_text().replace("NEGOTIATOR.NEGOTIATOR_SLOT_CONSTRAINT = Offline =!= true\n", "")
        shorter = "".join(SHORT.format(name=each.negotiator) for each in dict.fromkeys(offers.values()))
        self.config_file.write_text(f"{text}\n{self.printed}\n{shorter}")

    def _succeed_with(self, program: str, *arguments: str) -> str:
        done = self.run(program, *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def photograph(self, cpus: int = 8, *, gpus: int = 0, start: str = "true") -> str:
        """Return the ad of the pool's own machine, had it these resources."""
        sizes = {"Cpus": cpus, "Memory": 16_000, "Disk": 100_000_000, **({"GPUs": gpus} if gpus else {})}
        changes = {f"{part}{name}": str(size) for name, size in sizes.items() for part in ("", "Total", "TotalSlot")}
        text = self._succeed_with(sys.executable, "-c", PHOTOGRAPH)
        return repr(bindings.changed_copy(text, (), {**changes, "Start": start}, {}, {}))

    def counts(self, matches: Mapping[str, Mapping[tuple[str, int], int]]) -> dict[str, dict[int, int]]:
        """Return the jobs of each cluster by offer."""
        clusters = {number: cluster for cluster, number in self.autoclusters().items()}
        return {
            offer: {clusters[number]: jobs for (_schedd, number), jobs in found.items() if jobs and number in clusters}
            for offer, found in matches.items()
        }

    def schedd_name(self) -> str:
        return self._succeed("condor_status", "-schedd", "-af", "Name").strip()


class Watch:
    """annexd's side: its ghosts, shown and read from one loop."""

    def __init__(self, pool: ConfirmingPool, stale_s: float = 300.0) -> None:
        self.pool, self._runner = pool, asyncio.Runner()
        self.outbound = Outbound(pool.env)
        self._watch = GhostWatch(self.outbound, ANNEXD, lambda: (pool.collector,), pool.offers, stale_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.die()

    def die(self) -> None:
        """End without a word to the pool, as a killed annexd does."""
        self._runner.run(self.outbound.close())
        self._runner.close()

    def run(self, coroutine: Any) -> Any:
        return self._runner.run(coroutine)

    def show(self, *ghosts: Ghost, state: object = None) -> None:
        self.run(self._watch.show(ghosts, state))

    def read(self) -> Confirmation:
        found: Confirmation = self.run(self._watch.read())
        return found

    def withdraw(self) -> None:
        self.run(self._watch.withdraw())

    def confirmed(self, cycles: int = 1) -> Confirmation:
        """Return what is known once so many cycles have seen the ghosts."""

        def reached() -> Confirmation | None:
            found = self.read()
            return found if found.cycles >= cycles else None

        return self.pool.wait_for(reached, f"{cycles} cycles of the ghosts' negotiators", TIMEOUT_S)

    def expect(self, expected: Mapping[str, Mapping[int, int]]) -> Confirmation:
        """Return the confirmation once it names so many jobs of each cluster, and never more."""
        most = sum(sum(each.values()) for each in expected.values())

        def reached() -> Confirmation | None:
            found = self.read()
            counts = self.pool.counts(found.matches)
            assert sum(sum(each.values()) for each in counts.values()) <= most, f"{counts}, not {expected}"
            return found if found.cycles and counts == expected else None

        return self.pool.wait_for(reached, f"the negotiators to confirm {expected}", TIMEOUT_S)
