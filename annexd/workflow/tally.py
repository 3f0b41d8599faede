"""Counts of finished requests by how they ended, from the journal: the numbers outlive the process."""

import threading
from collections import Counter
from collections.abc import Mapping

from annexd.workflow.journal import Journal
from annexd.workflow.record import Ended, Kind


class Tally:
    """Counts finished requests by how they ended.  Thread-safe; each request is read only once."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._lock = threading.Lock()
        self._counts = Counter[Ended]()  # up to the record below: the journal only grows
        self._seq = 0
        self._counts_archive = True  # once: requests that are moved later were counted before

    def counted(self) -> Mapping[Ended, int]:
        """Return how many have ended in each way."""
        with self._lock:
            self._count()
            return Counter(self._counts)

    def move_to_archive(self, ended: Mapping[str, Ended]) -> list[str]:
        """Call Journal.move_to_archive after counting the requests."""
        with self._lock:
            self._count()
            return self._journal.move_to_archive(ended)

    def _count(self) -> None:
        """Count those that finished since the last count; the first time, also those in the archive."""
        if self._counts_archive:
            self._counts.update(self._journal.archived())
            self._counts_archive = False
        for record in self._journal.of_kind(Kind.FINISHED, self._seq):
            self._seq = record.seq
            self._counts[Ended.of(record.body)] += 1
