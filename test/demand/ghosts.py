"""Machines that do not exist (ghosts), negotiators for them alone, and the matches that these report.

A ghost is a machine ad with `Offline = true`.  A stock condor_negotiator matches it like any other and writes the
matched autoclusters into the ad (RegisterAttemptedOfflineMatch in matchmaker.cpp), without starting anything.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from test.pool import DOMAIN, Pool

ADDRESS = "<127.0.0.1:9?addrs=127.0.0.1-9>"  # nothing listens there, and nobody connects
DAEMONS = ("MASTER", "COLLECTOR", "SHARED_PORT", "SCHEDD", "STARTD", "NEGOTIATOR")
TIMEOUT_S = 120
RUNNING = 2  # JobStatus, proc.h
END_OF_CYCLE = "Finished Negotiation Cycle"
CONFIG = """
NUM_CPUS = {cores}
MEMORY = 4096
START = TARGET.WantReal =?= true
NEGOTIATOR_INTERVAL = 1
NEGOTIATOR_MIN_INTERVAL = 1
NEGOTIATOR_CYCLE_DELAY = 0
SCHEDD_INTERVAL = 2
SCHEDD_MIN_INTERVAL = 1
UPDATE_INTERVAL = 5
# What a user of one test has used does not count in the next.
PRIORITY_HALFLIFE = 1
NEGOTIATOR.NEGOTIATOR_NAME = main
NEGOTIATOR.NEGOTIATOR_SLOT_CONSTRAINT = Offline =!= true
"""


@dataclass(frozen=True)
class GhostNegotiator:
    """A second negotiator of the pool, for the ghosts of one offer and with an accountant of its own."""

    name: str
    offer: str
    jobs: str = "true"
    knobs: Mapping[str, str] = field(default_factory=dict)

    @property
    def daemon(self) -> str:
        return f"NEGOTIATOR_{self.name.upper()}"

    @property
    def config(self) -> str:
        """Return its part of the central manager's configuration."""
        own = {
            "NEGOTIATOR_NAME": self.name,
            "NEGOTIATOR_LOG": f"$(LOG)/{self.log}",
            "NEGOTIATOR_ADDRESS_FILE": f"$(LOG)/.negotiator_{self.name}_address",
            "ACCOUNTANT_DATABASE_FILE": f"$(SPOOL)/Accountant_{self.name}.log",
            "NEGOTIATOR_SLOT_CONSTRAINT": f'AnnexOffer =?= "{self.offer}" || State == "Claimed"',
            "NEGOTIATOR_JOB_CONSTRAINT": self.jobs,
            "NEGOTIATOR_CONSIDER_PREEMPTION": "False",
            **self.knobs,
        }
        lines = [f"{self.daemon} = $(NEGOTIATOR)", f"{self.daemon}_ARGS = -local-name {self.daemon}"]
        lines += [f"DC_DAEMON_LIST = +{self.daemon}", f"DAEMON_LIST = $(DAEMON_LIST) {self.daemon}"]
        return "\n".join(lines + [f"{self.daemon}.{knob} = {value}" for knob, value in own.items()])

    @property
    def log(self) -> str:
        return f"Negotiator_{self.name}_Log"


@dataclass(frozen=True)
class Ghost:
    """The ad of a machine that an offer would create."""

    name: str
    offer: str
    cpus: int = 8
    gpus: int = 0
    memory_mib: int = 16000
    weight: str = "Cpus"
    start: str = "true"
    packs: bool = True  # by a consumption policy: the negotiator deducts each match from the ghost's resources
    more: Mapping[str, str] = field(default_factory=dict)

    @property
    def full_name(self) -> str:
        return f"slot1@{self.name}"

    def attributes(self, version: str) -> dict[str, str]:
        """Return the smallest ad that jobs of both series match, as the texts of expressions."""
        sizes = {"Cpus": self.cpus, "Memory": self.memory_mib, "Disk": 100_000_000}
        sizes |= {"GPUs": self.gpus} if self.gpus else {}
        texts = {
            "MyType": "Machine",
            "Name": self.full_name,
            "Machine": self.name,
            "AnnexOffer": self.offer,
            "MyAddress": ADDRESS,
            "StartdIpAddr": ADDRESS,
            "State": "Unclaimed",
            "Activity": "Idle",
            "SlotType": "Partitionable",
            **({"MachineResources": " ".join(sizes)} if self.packs else {}),
            "Arch": "X86_64",
            "OpSys": "LINUX",
            "CondorVersion": f"$CondorVersion: {version} 2026-01-01 BuildID: 1 $",
            "UidDomain": DOMAIN,
            "FileSystemDomain": DOMAIN,
        }
        found = {name: json.dumps(text) for name, text in texts.items()}
        for name, size in sizes.items():
            found |= {name: str(size), f"Total{name}": str(size), f"TotalSlot{name}": str(size)}
            if self.packs:
                found[f"Consumption{name}"] = f"quantize(TARGET.Request{name} ?: 0, {{1}})"
        for name in ("Offline", "PartitionableSlot", "HasFileTransfer", "HasJobDeferral"):
            found[name] = "true"
        found |= {"SlotID": "1", "Start": self.start, "Requirements": "START", "SlotWeight": self.weight}
        return {**found, **self.more}


@dataclass(frozen=True)
class Record:
    """One match of a ghost, as the negotiator writes it into OfflineMatches."""

    scheduler: str
    autocluster: int
    count: int


@dataclass(frozen=True)
class Matched:
    """The matches in a ghost's ad."""

    count: int  # MachineMatchCount
    records: tuple[Record, ...] = ()  # OfflineMatches


class GhostPool(Pool):
    """A real pool with one or more ghost negotiators beside its own."""

    def __init__(self, negotiators: Iterable[GhostNegotiator], extra: str = "", *, cores: int = 1) -> None:
        self.negotiators = {each.name: each for each in negotiators}
        parts = [CONFIG.format(cores=cores), *(each.config for each in self.negotiators.values()), extra]
        super().__init__("\n".join(parts), daemons=DAEMONS)

    def advertise(self, *ghosts: Ghost) -> None:
        """Send the ads of ghosts, which replaces what a negotiator wrote into earlier ones."""
        ads = []
        for ghost in ghosts:
            pairs = ghost.attributes(self.htcondor.version).items()
            ads.append("\n".join(f"{name} = {text}" for name, text in pairs))
        self._succeed("condor_advertise", "-multiple", "UPDATE_STARTD_AD", stdin="\n\n".join(ads) + "\n")

    def withdraw(self, ghost: Ghost) -> None:
        """Invalidate a ghost's ad by its key, the name and address."""
        key = f'Name = "{ghost.full_name}"\nMyAddress = "{ADDRESS}"\nStartdIpAddr = "{ADDRESS}"'
        ad = f'MyType = "Query"\nTargetType = "Machine"\n{key}\nRequirements = Name == "{ghost.full_name}"\n'
        self._succeed("condor_advertise", "INVALIDATE_STARTD_ADS", stdin=ad)

    def remove_jobs(self) -> None:
        self.tool("condor_rm", "-all")
        self.wait_for(lambda: not self.jobs() and not self._claimed(), "jobs and claims to be gone")

    def clear(self) -> None:
        """Remove all jobs and ghosts."""
        self.remove_jobs()
        self.withdraw_ghosts()

    def withdraw_ghosts(self) -> None:
        invalidation = 'MyType = "Query"\nTargetType = "Machine"\nRequirements = Offline =?= true\n'
        self._succeed("condor_advertise", "INVALIDATE_STARTD_ADS", stdin=invalidation)
        self.wait_for(lambda: not self.ads(), "all ghosts to be gone")

    def run_for_real(self, count: int, user: str, group: str = "", **commands: Any) -> None:
        """Run `count` jobs on the pool's own machine."""
        cluster = self.submit(
            count, user, group, **commands, **{"My.WantReal": True, "requirements": "Offline =!= true"}
        )
        running = [{"ClusterId": cluster, "JobStatus": RUNNING}] * count
        self.wait_for(lambda: [job for job in self.jobs("JobStatus") if job in running] == running, "jobs to run")
        self.wait_for(lambda: self._claimed() >= count, "the collector to show the claimed slots")

    def submit(self, count: int, user: str = "alice", group: str = "", **commands: Any) -> int:
        """Submit `count` jobs of a user, optionally of a group, and return their cluster's number."""
        commands = {"request_cpus": 1, "request_memory": 1, "request_disk": 1, **commands}
        commands |= {"accounting_group_user": user} | ({"accounting_group": group} if group else {})
        commands |= {"executable": "/bin/sleep", "arguments": 600, "transfer_executable": False}
        lines = [f"{name} = {value}" for name, value in commands.items()]
        done = self._succeed("condor_submit", "-terse", stdin="\n".join([*lines, f"queue {count}\n"]))
        return int(done.partition(".")[0])

    def jobs(self, *attributes: str) -> list[dict[str, Any]]:
        text = self._succeed("condor_q", "-allusers", "-json", "-attributes", ",".join(("ClusterId", *attributes)))
        return list(json.loads(text or "[]"))

    def ads(self) -> dict[str, dict[str, Any]]:
        """Return each ghost's ad as the collector has it, by the machine's name."""
        text = self._succeed("condor_status", "-json", "-constraint", "Offline =?= true")
        return {ad["Machine"]: ad for ad in json.loads(text or "[]")}

    def matched(self) -> dict[str, Matched]:
        """Return the present matches of each ghost, possibly in the middle of a cycle."""
        return {name: _matched(ad) for name, ad in self.ads().items()}

    def autoclusters(self) -> dict[int, int]:
        """Return the autocluster of each cluster of jobs that a negotiator has requested so far."""
        return {job["ClusterId"]: job["AutoClusterId"] for job in self.jobs("AutoClusterId") if "AutoClusterId" in job}

    def wait_for_matches(self, negotiator: str, *expected: int) -> dict[str, Matched]:
        """Return the matches once the ghosts have `expected` records, in any order, and the cycle adds none.

        Within a cycle the lists grow: each match sends the whole list again by a connection of its own, and the last
        one to arrive stays.  So a list may lack records for a cycle, and a single reading proves little.
        """
        wanted = sorted(expected)

        def reached() -> dict[str, Matched] | None:
            found = self.matched()
            return found if sorted(len(each.records) for each in found.values()) == wanted else None

        found = self.wait_for(reached, f"{expected} matches by {negotiator}", TIMEOUT_S)
        self._see_no_more(negotiator, sum(expected), found)
        return found

    def expect(self, negotiator: str, expected: Mapping[int, int], *ghosts: Ghost) -> None:
        """Advertise packing ghosts, and check that this many jobs of each cluster are matched, and never more in all.

        Clusters must be in different autoclusters to be distinguished.
        """
        self.wait_for_cycles(1, negotiator)  # matches from now on are of the present state
        self.advertise(*ghosts)
        names = {ghost.name for ghost in ghosts}
        self.wait_for(lambda: self._counts(names) == expected, f"{negotiator} to match {expected}", TIMEOUT_S)
        self._see_no_more(negotiator, sum(expected.values()), names)

    def _see_no_more(self, negotiator: str, total: int, machines: Collection[str]) -> None:
        """Fail if the rest of this cycle or, where nothing is expected, the whole next one matches more."""
        end = self.cycles(negotiator) + (1 if total else 2)
        is_over = False
        while not is_over:
            is_over = self.cycles(negotiator) >= end
            seen = sum(len(ghost.records) for name, ghost in self.matched().items() if name in machines)
            assert seen <= total, f"{seen} matches by {negotiator}, more than {total}"

    def _counts(self, machines: Collection[str]) -> dict[int, int]:
        ghosts = [ghost for name, ghost in self.matched().items() if name in machines]
        clusters = {autocluster: cluster for cluster, autocluster in self.autoclusters().items()}
        return dict(Counter(clusters.get(each.autocluster, 0) for ghost in ghosts for each in ghost.records))

    def set_priority(self, negotiator: str, option: str, user: str, value: int) -> None:
        """Change a user's setting with condor_userprio, at one negotiator's accountant or at the pool's own."""
        self._succeed("condor_userprio", "-name", self._name(negotiator), option, f"{user}@{DOMAIN}", str(value))

    def in_use(self, negotiator: str, user: str) -> float:
        """Return the weighted resources that a negotiator's accountant charges a user for at present."""
        name = self._name(negotiator)
        which = f'MyType == "Accounting" && NegotiatorName == "{name}" && Name == "{user}@{DOMAIN}"'
        text = self._succeed("condor_status", "-any", "-constraint", which, "-af", "WeightedResourcesUsed")
        return float(text or 0)

    def _name(self, negotiator: str) -> str:
        start = f"{self.negotiators[negotiator].daemon}@" if negotiator else "main@"
        names = self._succeed("condor_status", "-negotiator", "-af", "Name").split()
        return next(name for name in names if name.startswith(start))

    def cycles(self, negotiator: str = "") -> int:
        """Return how many negotiation cycles a ghost negotiator, or the pool's own, has completed."""
        log = self.negotiators[negotiator].log if negotiator else "NegotiatorLog"
        file = self.directory / "log" / log
        return file.read_text(errors="replace").count(END_OF_CYCLE) if file.exists() else 0

    def wait_for_cycles(self, count: int, negotiator: str) -> None:
        """Wait until `count` cycles that began after this call are over."""
        enough = self.cycles(negotiator) + count + 1
        self.wait_for(lambda: self.cycles(negotiator) >= enough, f"{count} cycles of {negotiator or 'the negotiator'}")

    def _claimed(self) -> int:
        return len(self._succeed("condor_status", "-constraint", 'State == "Claimed"', "-af", "Name").split())

    def _succeed(self, tool: str, *arguments: str, stdin: str = "") -> str:
        done = self.tool(tool, *arguments, stdin=stdin)
        assert done.returncode == 0, f"{tool}: {done.stderr or done.stdout}"
        return done.stdout


def _matched(ad: Mapping[str, Any]) -> Matched:
    return Matched(ad.get("MachineMatchCount", 0), tuple(map(_record, ad.get("OfflineMatches", []))))


def _record(ad: Mapping[str, Any]) -> Record:
    assert ad.keys() == {"Scheduler", "AutoclusterID", "RequestCount"}, f"a record of other attributes: {ad}"
    return Record(ad["Scheduler"], ad["AutoclusterID"], ad["RequestCount"])
