"""Name the negotiators that determine which jobs the pool would give to machines of an offer.

Offers with the same job clause and idle age share a negotiator.  Its name is derived from both, so a negotiator whose
configuration was written for another clause is not found, and its matches are never used.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

PREFIX: Final = "NEGOTIATOR_ANNEX_"
OFFER: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,31}")
KEY_CHARACTERS: Final = 8  # of a hash: a handful of clauses, each written by an administrator


@dataclass(frozen=True)
class JobClause:
    """The idle jobs that an offer serves: a ClassAd expression over the job, and for how long they must be idle."""

    jobs: str = "true"
    idle_age_s: int = 300

    @property
    def key(self) -> str:
        """Return the name under which ghosts and their negotiator find each other (AnnexGhosts)."""
        text = f"{' '.join(self.jobs.split())}\n{self.idle_age_s}"
        return hashlib.sha256(text.encode()).hexdigest()[:KEY_CHARACTERS].upper()

    @property
    def negotiator(self) -> str:
        """Return the local name of the negotiator, with which its name in the pool begins."""
        return PREFIX + self.key

    @property
    def constraint(self) -> str:
        """Return the expression that such a job satisfies, in one line."""
        return f"({' '.join(self.jobs.split())}) && time() - EnteredCurrentStatus >= {self.idle_age_s}"


def by_clause(offers: Mapping[str, JobClause]) -> dict[JobClause, list[str]]:
    """Return the names of the offers that share each negotiator, in the order of the offers."""
    found: dict[str, tuple[JobClause, list[str]]] = {}
    for name, clause in offers.items():
        found.setdefault(clause.key, (clause, []))[1].append(name)
    return dict(found.values())


def faults_of_names(names: Iterable[str]) -> dict[str, str]:
    """Return the faults of names of offers, by name: knobs are derived from them, and knobs ignore case."""
    faults, known = {}, set[str]()
    for name in names:
        if not OFFER.fullmatch(name):
            faults[name] = f"{name[:60]!r} in ANNEX_OFFERS must be letters, digits and _, 32 at most, a letter first"
        elif name.lower() in known:
            faults[name] = f"{name} is in ANNEX_OFFERS twice, in other case, which knobs ignore"
        known.add(name.lower())
    return faults
