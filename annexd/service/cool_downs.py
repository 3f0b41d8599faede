"""Delay the repetition of refused requests: three minutes at first, then twice as long each time."""

import time
from dataclasses import dataclass
from typing import Final

FIRST_S: Final = 180.0
LONGEST_S: Final = 3600.0
SET_BACK_S: Final = 600.0  # more than this beyond its length remains: the clock was set back, so it is over


@dataclass(frozen=True)
class _Refusal:
    text: str
    until_s: float
    length_s: float


class CoolDowns:
    """The last refusals, by the name of the requester."""

    def __init__(self) -> None:
        self._refusals: dict[str, _Refusal] = {}

    def refuse(self, name: str, text: str) -> float:
        """Note a refusal, and return how many seconds it lasts."""
        before = self._refusals.get(name)
        length_s = min(2 * before.length_s, LONGEST_S) if before else FIRST_S
        self._refusals[name] = _Refusal(text, time.time() + length_s, length_s)
        return length_s

    def allow(self, name: str) -> None:
        """Forget a refusal: the request was accepted meanwhile, or has ended."""
        self._refusals.pop(name, None)

    def forget(self) -> None:
        """Forget everything."""
        self._refusals.clear()

    def names(self) -> set[str]:
        return set(self._refusals)

    def refusal(self, name: str, now_s: float) -> tuple[str, str] | None:
        """Return until when (a local time of day) the request must not be repeated, and why; None if it may be."""
        found = self._refusals.get(name)
        if found is None or not 0 < found.until_s - now_s <= found.length_s + SET_BACK_S:
            return None
        return time.strftime("%H:%M:%S", time.localtime(found.until_s)), found.text
