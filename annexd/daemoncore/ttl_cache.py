"""A cache whose entries expire, so that a burst of connections looks up shared answers once."""

import time
from collections.abc import Hashable
from typing import Generic, TypeVar

MAX_ENTRIES = 10_000

Question = TypeVar("Question", bound=Hashable)
Answer = TypeVar("Answer")


class TtlCache(Generic[Question, Answer]):
    """Clears all entries at the end of each period of `ttl_s`, or when there are more than `max_entries`."""

    def __init__(self, ttl_s: float, max_entries: int = MAX_ENTRIES) -> None:
        self._ttl_s, self._max_entries = ttl_s, max_entries
        self._period = 0
        self._answers: dict[Question, Answer] = {}

    def get(self, question: Question) -> Answer | None:
        """Return the cached answer, or None."""
        period = int(time.monotonic() / self._ttl_s)
        if period != self._period or len(self._answers) > self._max_entries:
            self._period = period
            self._answers.clear()
        return self._answers.get(question)

    def put(self, question: Question, answer: Answer) -> Answer:
        self._answers[question] = answer
        return answer
