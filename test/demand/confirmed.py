"""A real pool with the negotiators of `condor_annex -demand-config`, and annexd's own ghosts in it."""

from __future__ import annotations

import asyncio
import sys
import sysconfig
from collections.abc import Mapping
from typing import Any, Self

from annexd.condor import bindings
from annexd.daemoncore.pool.outbound import Outbound
from annexd.demand.accounting import AccountingCopy, CopyState, Standing, standings_of
from annexd.demand.confirmation import Confirmation
from annexd.demand.ghost_ad import Ghost
from annexd.demand.ghost_negotiators import JobClause
from annexd.demand.ghosts import GhostWatch
from annexd.demand.negotiators import find_negotiators
from test.demand.ghosts import GhostPool
from test.pool import DOMAIN

ANNEXD = "annexd@annexd.test"
CONDOR_ANNEX = f"{sysconfig.get_path('scripts')}/condor_annex"
TIMEOUT_S = 120
# The shortest intervals that are unambiguous: the times of cycles are in whole seconds.
SHORT = """
{name}.NEGOTIATOR_INTERVAL = 2
{name}.NEGOTIATOR_CYCLE_DELAY = 2
"""
# annexd runs as HTCondor's own user; series 23 has this name for a daemon of that user.
ADMINISTRATOR = "ALLOW_ADMINISTRATOR = $(ALLOW_ADMINISTRATOR), condor@password"
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
        # -demand-config does not change the pool's own cycles.
        super().__init__([], "\n".join([*knobs, ADMINISTRATOR, extra]), cores=cores)
        self.printed = self._succeed_with(CONDOR_ANNEX, "-demand-config")
        text = self.config_file.read_text().replace("NEGOTIATOR.NEGOTIATOR_SLOT_CONSTRAINT = Offline =!= true\n", "")
        shorter = "".join(SHORT.format(name=each.negotiator) for each in dict.fromkeys(offers.values()))
        self.config_file.write_text(f"{text}\n{self.printed}\n{shorter}")

    def _succeed_with(self, program: str, *arguments: str) -> str:
        done = self.run(program, *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def photograph(self, cpus: int = 8, *, gpus: int = 0, start: str = "true") -> str:
        """Return the ad of the pool's own machine with these resources instead of its own."""
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

    def userprio(self, option: str, user: str, value: int) -> None:
        """Change a user's setting with condor_userprio, without naming a negotiator."""
        self._succeed("condor_userprio", option, f"{user}@{DOMAIN}", str(value))

    def schedd_name(self) -> str:
        return self._succeed("condor_status", "-schedd", "-af", "Name").strip()


class Watch:
    """annexd's side: its ghosts, shown and read from one loop."""

    def __init__(self, pool: ConfirmingPool, stale_s: float = 300.0, collector: str = "") -> None:
        self.pool, self._runner = pool, asyncio.Runner()
        collectors = (collector or pool.collector,)
        self.outbound = Outbound(pool.env)
        self._watch = GhostWatch(self.outbound, ANNEXD, lambda: collectors, pool.offers, stale_s)
        negotiators = {clause.negotiator for clause in pool.offers.values()}
        self._copy = AccountingCopy(self.outbound, lambda: collectors, lambda: negotiators)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.die()

    def die(self) -> None:
        """End without notice to the pool, as a killed annexd does."""
        self._runner.run(self.outbound.close())
        self._runner.close()

    def run(self, coroutine: Any) -> Any:
        return self._runner.run(coroutine)

    def show(self, *ghosts: Ghost, state: object = None) -> None:
        self.run(self._watch.show(ghosts, state))

    def read(self) -> Confirmation:
        found: Confirmation = self.run(self._watch.read())
        return found

    def copy_accounting(self) -> CopyState:
        found: CopyState = self.run(self._copy.copy())
        return found

    def standings(self, offer: str) -> dict[str, Standing]:
        """Return the standing of each user at the negotiator of an offer's ghosts, by name without the domain."""
        negotiators = self.run(find_negotiators(self.outbound, self.pool.collector))
        address = negotiators.of_ghosts(self.pool.offers[offer].negotiator)
        rows = self.run(self.outbound.call("standings", {"address": address}))
        return {user.partition("@")[0]: standing for user, standing in standings_of(rows).items()}

    def fault(self) -> Confirmation:
        """Return the confirmation once it has a fault."""

        def reached() -> Confirmation | None:
            found = self.read()
            return found if found.fault else None

        return self.pool.wait_for(reached, "a fault")

    def withdraw(self) -> None:
        self.run(self._watch.withdraw())

    def confirmed(self, cycles: int = 1) -> Confirmation:
        """Return the confirmation once this many cycles have seen the ghosts."""

        def reached() -> Confirmation | None:
            found = self.read()
            return found if found.cycles >= cycles else None

        return self.pool.wait_for(reached, f"{cycles} cycles of the ghosts' negotiators", TIMEOUT_S)

    def expect(self, expected: Mapping[str, Mapping[int, int]]) -> Confirmation:
        """Return the confirmation once it has this many jobs of each cluster; fail if it ever has more."""
        most = sum(sum(each.values()) for each in expected.values())

        def reached() -> Confirmation | None:
            found = self.read()
            counts = self.pool.counts(found.matches)
            assert sum(sum(each.values()) for each in counts.values()) <= most, f"{counts}, not {expected}"
            return found if found.cycles and counts == expected else None

        return self.pool.wait_for(reached, f"the negotiators to confirm {expected}", TIMEOUT_S)
