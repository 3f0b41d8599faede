"""Answers that are as good as new for a while, so that a burst of connections asks once for what they all need."""

import time
from collections.abc import Hashable
from typing import Generic, TypeVar

MOST = 10_000

Question = TypeVar("Question", bound=Hashable)
Answer = TypeVar("Answer")


class Recent(Generic[Question, Answer]):
    """Forgets everything whenever a period of `for_s` has passed, or there are too many.  From any thread."""

    def __init__(self, for_s: float) -> None:
        self._for_s = for_s
        self._period = 0
        self._answers: dict[Question, Answer] = {}

    def get(self, question: Question) -> Answer | None:
        """None where it has to be asked."""
        period = int(time.monotonic() / self._for_s)
        if period != self._period or len(self._answers) > MOST:
            self._period = period
            self._answers.clear()
        return self._answers.get(question)

    def put(self, question: Question, answer: Answer) -> Answer:
        self._answers[question] = answer
        return answer
