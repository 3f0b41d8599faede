"""A real pool and annexd, an AWS whose instances boot with the hardware of their types, and the jobs of a mix."""

from __future__ import annotations

import json
import re
import shutil
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from annexd.demand.situation import NO_OFFER
from test.demand.least import Least
from test.demand.mixes import STEP, Batch, Mix, MixOffer
from test.pool import Pool
from test.system.annexes import JoiningSite
from test.system.tool import condor_annex

PATIENCE_S = 180.0
MACHINES = 6  # most machines at one time
ROUNDS = 3  # decisions after which nothing more is expected
IDLE, RUNNING = 1, 2  # JobStatus, proc.h
CONFIG = """
ANNEX_DEMAND_INTERVAL = 2
ANNEX_DEMAND_OWNER = {user}
ANNEX_DEFAULT_ACCESS_KEY_FILE = {public}
ANNEX_DEFAULT_SECRET_KEY_FILE = {secret}
QUEUE_SUPER_USERS = root, condor, {user}
# annexd is of HTCondor's own user; in series 23 that is this name for a daemon.
ALLOW_ADMINISTRATOR = $(ALLOW_ADMINISTRATOR), condor@password
ANNEX_OFFERS = {offers}
"""
OFFER = """
ANNEX_OFFER_{0.name}_INSTANCE_TYPE = {0.instance_type}
ANNEX_OFFER_{0.name}_IMAGE = ami-0123456789abcdef0
ANNEX_OFFER_{0.name}_JOBS = {0.jobs}
ANNEX_OFFER_{0.name}_START = {0.start}
ANNEX_OFFER_{0.name}_LEASE = 30m
ANNEX_OFFER_{0.name}_MAX = 20
ANNEX_OFFER_{0.name}_STEP = {step}
ANNEX_OFFER_{0.name}_IDLE_AGE = 3
"""
HARDWARE = """
NUM_CPUS = {0.cpus}
MEMORY = {0.memory_mib}
"""
# HTCondor's own program simulates GPUs: of kind 3, TITAN RTX, with the Capability of a T4.
GPUS = """
MACHINE_RESOURCE_INVENTORY_GPUs = $(LIBEXEC)/condor_gpu_discovery -properties -simulate:3,{0.gpus}
ENVIRONMENT_FOR_AssignedGPUs = CUDA_VISIBLE_DEVICES
"""
GHOSTS = """
{name}.NEGOTIATOR_INTERVAL = 2
{name}.NEGOTIATOR_CYCLE_DELAY = 2
"""
ELSEWHERE = """
SCHEDD_NAME = elsewhere
FLOCK_TO = {collector}
SCHEDD_INTERVAL = 2
QUEUE_SUPER_USERS = root, condor, {user}
"""


class MixedSite(JoiningSite):
    """`with MixedSite(mix) as site:`; annexd orders machines for the jobs that `begin` submits.

    `knobs` override the configuration of demand; at most `machines` are booted at one time.  `is_quick`: the
    negotiators of -demand-config have shorter intervals than it writes.
    """

    def __init__(self, mix: Mix, knobs: str = "", *, machines: int = MACHINES, is_quick: bool = True) -> None:
        self.mix, self._knobs, self._is_quick = mix, knobs, is_quick
        hardware = {each.name: (HARDWARE + (GPUS if each.gpus else "")).format(each) for each in mix.offers}
        self.elsewhere = Pool() if mix.flocks else None  # its jobs flock here
        ports = [self.elsewhere.port] if self.elsewhere else []
        super().__init__(mix.config, machines=machines, hardware=hardware, ports=ports)
        self.user = self.pool.run("id", "-un").stdout.strip()
        self.gate = self.pool.directory / "gate"
        self._submitted: list[tuple[Batch, Path]] = []

    def __enter__(self) -> Self:
        super().__enter__()
        types = {each.instance_type: each.price / 1000 for each in self.mix.offers}
        self.cloud.set_prices(spot={name: [[-60, price]] for name, price in types.items()}, on_demand=types)
        self.pool.configure(self._demand())
        if self.mix.confirms:
            self.confirm()
        self.pool.configure("ANNEX_DEMAND = enforce\n")
        if self.elsewhere:
            with self.elsewhere.config_file.open("a") as config:
                config.write(ELSEWHERE.format(collector=self.pool.collector, user=self.user))
            for key in (self.pool.directory / "passwords.d").iterdir():  # series 23 needs a key that both pools have
                shutil.copy(key, self.elsewhere.directory / "passwords.d")
            self.elsewhere.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            sys.stdout.write(f"--- demand\n{condor_annex(self, '-demand').stdout}\n")
        if self.elsewhere:
            self.elsewhere.stop()
        super().__exit__(kind, error, trace)

    def _demand(self) -> str:
        keys = {"public": self.public_key_file, "secret": self.secret_key_file}
        names = ", ".join(each.name for each in self.mix.offers)
        confirm = "" if self.mix.confirms else "ANNEX_DEMAND_CONFIRM = none\n"
        offers = "".join(OFFER.format(each, step=STEP) for each in self.mix.offers)
        return CONFIG.format(user=self.user, offers=names, **keys) + confirm + offers + self._knobs

    def confirm(self) -> None:
        """Add the output of -demand-config to the pool's configuration."""
        printed = condor_annex(self, "-demand-config").stdout
        names = re.findall(r"^(\w+) = \$\(NEGOTIATOR\)$", printed, re.MULTILINE) if self._is_quick else []
        self.pool.configure(printed + "".join(GHOSTS.format(name=name) for name in names))

    def begin(self, stage: int, batches: Iterable[Batch]) -> None:
        """Submit or release the jobs of this stage."""
        for batch in batches:
            if batch.held and batch.stage == stage:
                self._tool("condor_release", "-all")
            elif batch.count and (stage == 0 if batch.held else batch.stage == stage):
                self._submit_batch(batch)

    def _submit_batch(self, batch: Batch) -> None:
        number = len(self._submitted)
        stem = self.pool.directory / f"batch{number}"
        script = (
            "sleep 2; echo done" if self.mix.is_short else f"while [ ! -e {self.gate} ]; do sleep 2; done; echo done"
        )
        lines = [
            "executable = /bin/sh",
            "transfer_executable = false",
            f"arguments = \"-c '{script}'\"",
            f"output = {stem}.$(Process).out",
            "should_transfer_files = yes",
            "+WantAnnex = true",
            f"request_cpus = {batch.cpus}",
            f"request_memory = {batch.memory_mib}",
            "request_disk = 10M",
            *([f"request_gpus = {batch.gpus}"] if batch.gpus else []),
            f"accounting_group_user = {batch.user}",
            *(["hold = true"] if batch.held else []),
            *batch.commands,
            f"queue {batch.count}",
        ]
        pool = self.elsewhere if batch.flocks and self.elsewhere else self.pool
        done = pool.tool("condor_submit", stdin="\n".join(lines) + "\n")
        assert done.returncode == 0, done.stderr
        self._submitted.append((batch, stem))

    def _tool(self, name: str, *arguments: str, pool: Pool | None = None) -> str:
        done = (pool or self.pool).tool(name, *arguments)
        assert done.returncode == 0, f"{name}: {done.stderr or done.stdout}"
        return done.stdout

    def statuses(self) -> list[int]:
        """Return JobStatus of each job in the queues."""
        pools = [self.pool, *([self.elsewhere] if self.elsewhere else [])]
        return [
            int(each)
            for pool in pools
            for each in self._tool("condor_q", "-all", "-af", "JobStatus", pool=pool).split()
        ]

    def demand(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(condor_annex(self, "-demand", "-json").stdout)
        return found

    def without_offer(self) -> int:
        """Return how many idle jobs, according to annexd, no machine of an offer can run."""
        parts = [part for group in self.demand()["Groups"] for part in group["Parts"]]
        return sum(part["Jobs"] for part in parts if part["State"] == NO_OFFER)

    def settle(self) -> None:
        """Wait for ROUNDS further decisions, each of which might have led to an order."""
        began_s, seen = time.time(), set[int]()

        def enough() -> bool:
            seen.add(self.demand()["Time"] or 0)
            return sum(decided_s > began_s for decided_s in seen) >= ROUNDS

        self.wait(enough, "annexd to decide", PATIENCE_S)

    def ordered(self) -> dict[str, list[int]]:
        """Return the sizes of all orders by offer."""
        found: dict[str, list[int]] = {}
        names = {each.instance_type: each for each in self.mix.offers}
        for fleet in self.fleets(active=False):
            offer = _offer_of(fleet, names)
            found.setdefault(offer.name, []).append(
                fleet["config"]["TargetCapacitySpecification"]["TotalTargetCapacity"]
            )
        return found

    def ordered_least(self) -> Least:
        """Return the hourly price of all orders together, and their number of machines."""
        prices = {each.name: each.price for each in self.mix.offers}
        sizes = {offer: sum(each) for offer, each in self.ordered().items()}
        return Least(sum(prices[offer] * machines for offer, machines in sizes.items()), sum(sizes.values()))

    def outputs(self) -> list[str]:
        """Return the output of each job that can run; it is empty for a job that has not ended."""
        files = [
            stem.parent / f"{stem.name}.{number}.out"
            for batch, stem in self._submitted
            if batch.offers
            for number in range(batch.count)
        ]
        return [file.read_text() if file.exists() else "" for file in files]


def _offer_of(fleet: dict[str, Any], names: dict[str, MixOffer]) -> MixOffer:
    text = json.dumps(fleet["config"])
    return next(offer for name, offer in names.items() if f'"{name}"' in text)
