"""Tell what ended so long ago that the journal need not hold it any more."""

from collections.abc import Callable

from annexd.annex.fleet.living import LIVES_ON_S
from annexd.workflow import State


def is_over(state: State, finished_at_s: float, now_s: float, latest_end_s: Callable[[str], int]) -> bool:
    """Whether nothing of a finished request can matter any more: it failed, or its lease ended, long ago.

    A cancellation matters for as long as the lease that it cut short would have; so does an order that was given up.
    `latest_end_s` tells by its ID how long a lease may be that was moved.
    """
    end_s = (state.order or {}).get("end_of_lease_s")
    if isinstance(end_s, int):
        end_s = max(end_s, latest_end_s(str((state.order or {}).get("annex_id"))))
    had_lease = bool(state.workflow) or not state.is_undone
    ended_s = max(finished_at_s, float(end_s)) if had_lease and isinstance(end_s, int) else finished_at_s
    return now_s > ended_s + LIVES_ON_S
