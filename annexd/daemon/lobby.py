"""Room for those of whom nobody knows yet who they are, and who has to leave when it is full.

To refuse newcomers would let whoever opens enough connections lock everybody out.  So the newcomer gets the place of
the one who has waited longest, among those of the address that has most places: an honest client needs it for some
milliseconds, a silent one for as long as it can.
"""

import asyncio
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

SHARE_OF_DESCRIPTORS = 2  # one in two may be a stranger's connection; the others are for orders, AWS and files


@dataclass(eq=False)
class Place:
    """A connection's, until it has sent its whole command.  is_lost: it was needed for another one."""

    host: str
    deadline: asyncio.Timeout
    is_lost: bool = False


class Lobby:
    def __init__(self) -> None:
        self._by_host: dict[str, dict[Place, None]] = {}  # the longest there is the first
        self._taken = 0

    def __len__(self) -> int:
        return self._taken

    @contextmanager
    def place(self, place: Place, most: int) -> Iterator[None]:
        """Hold a place; the deadline of another one ends at once if there are `most` already."""
        while self._taken >= min(most, _descriptors() // SHARE_OF_DESCRIPTORS):
            self._make_room()
        self._by_host.setdefault(place.host, {})[place] = None
        self._taken += 1
        try:
            yield
        finally:
            self._leave(place)

    def _make_room(self) -> None:
        most_taken = max(self._by_host.values(), key=len)
        longest = next(iter(most_taken))
        longest.is_lost = True
        longest.deadline.reschedule(asyncio.get_running_loop().time())
        self._leave(longest)

    def _leave(self, place: Place) -> None:
        places = self._by_host.get(place.host, {})
        if place in places:
            del places[place]
            self._taken -= 1
        if not places:
            self._by_host.pop(place.host, None)


def _descriptors() -> int:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return soft if soft > 0 else 1024 * 1024  # RLIM_INFINITY is -1
