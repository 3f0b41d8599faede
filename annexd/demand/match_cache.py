"""Results of earlier comparisons of jobs and machines, by the digests of their ads."""

import hashlib
import re
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from annexd.demand.matching_process import JobAnswer, Pair
from annexd.demand.packing import Resources

MAX_JOBS: Final = 20_000
MAX_PAIRS: Final = 400_000  # some 100 MB in the worst case; the aim is 2,000 autoclusters and 20 offers
CHANGING_S: Final = 300.0  # lifetime of a result that may depend on the time of day
FOREVER_S: Final = float("inf")
_CHANGING = re.compile(r"\b(?:time|random|dayTime)\s*\(|\bcurrentTime\b", re.IGNORECASE)


@dataclass(frozen=True)
class AdText:
    """The text of an ad, and its digest, which identifies it."""

    text: str
    digest: bytes

    @classmethod
    def of(cls, text: str) -> "AdText":
        return cls(text, hashlib.sha256(text.encode(errors="surrogatepass")).digest())

    def until_s(self, now_s: float) -> float:
        """Return the time until which results for this ad may be kept."""
        return now_s + CHANGING_S if self._is_changing else FOREVER_S

    @cached_property
    def _is_changing(self) -> bool:
        return _CHANGING.search(self.text) is not None


@dataclass
class KnownJob:
    """The needs of a job, or why it is left out, and its pairs by the machine's digest."""

    needs: Resources
    fault: str | None
    until_s: float
    pairs: dict[bytes, Pair] = field(default_factory=dict)
    ends_s: dict[bytes, float] = field(default_factory=dict)  # of pairs that end earlier than the job

    def is_fresh(self, machine: bytes, now_s: float) -> bool:
        return machine in self.pairs and (not self.ends_s or self.ends_s.get(machine, FOREVER_S) > now_s)


class MatchCache:
    """Bounded; `trim` forgets the least recently used entries first."""

    def __init__(self) -> None:
        self._jobs: OrderedDict[bytes, KnownJob] = OrderedDict()
        self._pairs = 0

    def known(self, job: bytes, now_s: float) -> KnownJob | None:
        found = self._jobs.get(job)
        if found is None or found.until_s <= now_s:
            return None
        self._jobs.move_to_end(job)
        return found

    def keep(self, job: AdText, key: bytes, machines: Sequence[AdText], answer: JobAnswer, now_s: float) -> None:
        """Keep a result, which has a pair for each machine unless it is a fault."""
        known = self.known(key, now_s)
        if known is None or answer.fault:
            self._forget(key)
            known = self._jobs[key] = KnownJob(answer.needs, answer.fault, job.until_s(now_s))
        if not answer.fault:
            before = len(known.pairs)
            for machine, pair in zip(machines, answer.pairs, strict=True):
                known.pairs[machine.digest] = pair
                if (end_s := machine.until_s(now_s)) < FOREVER_S:
                    known.ends_s[machine.digest] = end_s
            self._pairs += len(known.pairs) - before

    def leave_out(self, key: bytes, fault: str, until_s: float) -> None:
        self._forget(key)
        self._jobs[key] = KnownJob(Resources(0, 0), fault, until_s)

    def trim(self) -> None:
        while len(self._jobs) > MAX_JOBS or self._pairs > MAX_PAIRS:
            self._forget(next(iter(self._jobs)))

    def _forget(self, key: bytes) -> None:
        gone = self._jobs.pop(key, None)
        self._pairs -= len(gone.pairs) if gone else 0
