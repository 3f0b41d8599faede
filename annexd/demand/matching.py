"""Determine which jobs match which machines, and what a job needs, by ClassAds and within limited time, whatever users
wrote.

A process that may die of any ad (matching_worker) evaluates them, never annexd itself.  Each job gets little time at
first; jobs that need more, or crash the process, wait until all others have their results.  Then each of them is tried
once more, alone.  A job that fails again is left out for an hour.  Results are cached by the ads' digests.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from annexd.condor.values import MAX_EXPRESSION_CHARACTERS
from annexd.daemoncore.threads import in_thread
from annexd.demand.match_cache import AdText, KnownJob, MatchCache
from annexd.demand.matching_process import MatchingProcess, Question
from annexd.demand.packing import Resources

PLAIN_JOB: Final = AdText.of("[ Requirements = true ]")  # its failure is always the machine's fault
QUICK_S, QUICK_PAIR_S = 0.05, 0.001  # CPU time for a job, and for each machine: an ordinary pair takes 0.0001 s
PATIENCE: Final = 5  # factor for a job that failed
FIRST_ROUND_S: Final = 60.0  # elapsed time for all jobs of one call
SECOND_ROUND_S: Final = 10.0  # and then for the failed ones
LEFT_OUT_S: Final = 3600.0
MAX_SUSPECTS: Final = 20_000
BATCH_PAIRS, BATCH_CHARACTERS = 2000, 1_000_000  # some 0.2 s of CPU time, of the 10 s that the supervisor allows
LEFT_OUT: Final = "{}, so it is left out until it changes, or for an hour"
NOT_YET: Final = "there was no time left to evaluate it; it is tried again with the next look"


@dataclass(frozen=True)
class JobMatch:
    """The needs of a job, the machines that match it in both directions, and the reasons against the others.

    Every machine is in one of the two.  A matching machine is also in `misfits` if the job is larger than it, which its
    Requirements need not express.
    """

    needs: Resources
    machines: frozenset[str]
    misfits: Mapping[str, str]


@dataclass(frozen=True)
class Matches:
    """The jobs with a result, and why each of the others has none."""

    jobs: Mapping[str, JobMatch]
    faults: Mapping[str, str]
    machine_faults: Mapping[str, str] = field(default_factory=dict)  # machines that no job is compared with

    def do_match(self, job: str, machine: str) -> bool:
        return job in self.jobs and machine in self.jobs[job].machines

    def misfit(self, job: str, machines: Iterable[str]) -> str:
        """Return in one line the reasons against each of these machines, or why the job has no result."""
        if job not in self.jobs:
            return self.faults.get(job, NOT_YET)
        misfits = self.jobs[job].misfits
        return "; ".join(f"{each}: {misfits[each]}" for each in machines if each in misfits)


class Matcher:
    """Compares jobs with machines, and caches the results."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._cache = MatchCache()
        self._suspects: set[bytes] = set()
        self._one_call = threading.Lock()

    async def match(self, jobs: Mapping[str, str], machines: Mapping[str, str]) -> Matches:
        """Compare each job with each machine, by the texts of their ads.

        Raises MatchingFailed if no process can be started to evaluate them.
        """
        return await in_thread(partial(self._match, dict(jobs), dict(machines)))

    def _match(self, jobs: Mapping[str, str], machines: Mapping[str, str]) -> Matches:
        with self._one_call:
            looked_at = _Look(self._cache, self._suspects, _ads(jobs), _ads(machines), self._clock)
            try:
                return looked_at.matches()
            finally:
                self._cache.trim()
                if len(self._suspects) > MAX_SUSPECTS:
                    self._suspects.clear()


@dataclass(frozen=True)
class _Pending:
    """A job that is compared with machines, by their indices; the result belongs to `key`."""

    key: bytes
    job: AdText
    machines: Sequence[int]


class _Look:
    """One call of Matcher.match.  An ad that is too long is None."""

    def __init__(
        self,
        cache: MatchCache,
        suspects: set[bytes],
        jobs: Mapping[str, AdText | None],
        machines: Mapping[str, AdText | None],
        clock: Callable[[], float],
    ) -> None:
        self._cache, self._suspects, self._clock = cache, suspects, clock
        self._jobs, self._machines = jobs, machines
        self._distinct = list({each.digest: each for each in machines.values() if each}.values())
        self._quick_s = QUICK_S + QUICK_PAIR_S * len(self._distinct)
        self._usable: list[tuple[int, bytes]] = []  # machines without a fault: index and digest
        self._now_s = clock()

    def matches(self) -> Matches:
        with MatchingProcess([each.text for each in self._distinct]) as process:
            self._examine(process, list(self._unknown_machines()))
            self._examine(process, list(self._unknown_jobs()))
        faults: dict[str, str] = {}
        found: dict[str, JobMatch] = {}
        machine_faults = {name: fault for name, ad in self._machines.items() if (fault := self._fault_of(ad))}
        for name, ad in self._jobs.items():
            known = self._known(ad)
            if known and known.fault:
                faults[name] = known.fault
            elif known and not self._lacking(known):
                found[name] = self._job_match(known, machine_faults)
            else:
                faults[name] = NOT_YET if ad else _too_long()
        return Matches(found, faults, machine_faults)

    def _unknown_machines(self) -> Iterator[_Pending]:
        for index, machine in enumerate(self._distinct):
            if self._cache.known(_of_machine(machine), self._now_s) is None:
                yield _Pending(_of_machine(machine), PLAIN_JOB, [index])

    def _unknown_jobs(self) -> Iterator[_Pending]:
        self._usable = [(index, each.digest) for index, each in enumerate(self._distinct) if not self._fault_of(each)]
        for job in {each.digest: each for each in self._jobs.values() if each}.values():
            known = self._known(job)
            if known is None:
                yield _Pending(job.digest, job, [index for index, _ in self._usable])
            elif not known.fault and (lacking := self._lacking(known)):
                yield _Pending(job.digest, job, lacking)

    def _known(self, job: AdText | None) -> KnownJob | None:
        return self._cache.known(job.digest, self._now_s) if job else None

    def _lacking(self, known: KnownJob) -> list[int]:
        """Return the machines without a fresh result."""
        return [index for index, digest in self._usable if not known.is_fresh(digest, self._now_s)]

    def _fault_of(self, machine: AdText | None) -> str | None:
        if machine is None:
            return _too_long()
        known = self._cache.known(_of_machine(machine), self._now_s)
        return known.fault if known else NOT_YET

    def _job_match(self, known: KnownJob, machine_faults: Mapping[str, str]) -> JobMatch:
        machines, misfits = set(), {}
        for name, ad in self._machines.items():
            if ad is None or name in machine_faults:
                misfits[name] = f"the machine's own ad is not usable: {machine_faults[name]}"
                continue
            pair = known.pairs[ad.digest]
            if pair.matches:
                machines.add(name)
            if pair.misfit is not None:
                misfits[name] = pair.misfit
        return JobMatch(known.needs, frozenset(machines), misfits)

    # Missing results.

    def _examine(self, process: MatchingProcess, pending: Sequence[_Pending]) -> None:
        suspects = [each for each in pending if each.key in self._suspects]
        suspects += self._ask_all(process, [each for each in pending if each.key not in self._suspects])
        self._suspects.update(each.key for each in suspects)
        patient_s = PATIENCE * self._quick_s
        end_s = self._clock() + SECOND_ROUND_S
        for each in suspects:
            if self._clock() >= end_s:
                break
            self._suspects.discard(each.key)
            if ended_by := self._ask(process, [each], patient_s)[1]:
                self._cache.leave_out(each.key, LEFT_OUT.format(ended_by), self._clock() + LEFT_OUT_S)

    def _ask_all(self, process: MatchingProcess, pending: Sequence[_Pending]) -> list[_Pending]:
        """Request all results, and return the jobs that ended the worker."""
        suspects: list[_Pending] = []
        end_s = self._clock() + FIRST_ROUND_S
        while pending and self._clock() < end_s:
            batch = _batch(pending)
            answered, ended_by = self._ask(process, batch, self._quick_s)
            if ended_by:
                suspects.append(batch[answered])
            pending = pending[answered + bool(ended_by) :]
        return suspects

    def _ask(self, process: MatchingProcess, batch: Sequence[_Pending], cpu_s: float) -> tuple[int, str | None]:
        """Keep the results of the first jobs; return their number, and what ended the worker at the next one."""
        answers, ended_by = process.ask([Question(each.job.text, each.machines) for each in batch], cpu_s)
        for each, answer in zip(batch, answers, strict=False):
            machines = [self._distinct[index] for index in each.machines]
            self._cache.keep(each.job, each.key, machines, answer, self._now_s)
        return len(answers), ended_by


def _ads(texts: Mapping[str, str]) -> dict[str, AdText | None]:
    return {name: AdText.of(text) if len(text) <= MAX_EXPRESSION_CHARACTERS else None for name, text in texts.items()}


def _too_long() -> str:
    return f"the ad is longer than {MAX_EXPRESSION_CHARACTERS} characters"


def _of_machine(machine: AdText) -> bytes:
    return b"machine " + machine.digest


def _batch(pending: Sequence[_Pending]) -> list[_Pending]:
    """Return the first jobs, up to the limit of one batch; at least one."""
    return list(_within(pending))


def _within(pending: Iterable[_Pending]) -> Iterator[_Pending]:
    pairs = characters = 0
    for each in pending:
        is_full = pairs + len(each.machines) > BATCH_PAIRS or characters + len(each.job.text) > BATCH_CHARACTERS
        if characters and is_full:
            return
        pairs += len(each.machines) + 1
        characters += len(each.job.text) + 1
        yield each
