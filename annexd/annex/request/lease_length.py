"""Check the length of a lease against the interval of the lease function and the administrator's limits.

The client sends the end in seconds since the epoch, by its own clock, and the ad arrives some time later.  The longest
or shortest allowed lease, as typed, must not be refused for these seconds.
"""

from collections.abc import Iterator
from typing import Any, Final

from annexd.annex.lease.identifiers import is_end
from annexd.annex.request.defaults import Defaults
from annexd.annex.request.faults import shown

GRACE_S: Final = 60
LONGEST_S: Final = 10 * 366 * 86400  # of an extension: longer ones are mistakes
UNITS: Final = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))


def fault_of_end(value: Any, now_s: float, defaults: Defaults) -> str | None:
    """Return the fault of a new annex's EndOfLease, or None."""
    if value is None:
        return "EndOfLease is missing: say when the lease ends (condor_annex -lease-duration)"
    if fault := _fault_of_time("EndOfLease", value, now_s, "does the clock here differ from that of your machine?"):
        return fault
    length_s, longest_s = value - now_s, defaults.max_lease_s
    if length_s > longest_s + GRACE_S:
        return f"-lease-duration {_typed(length_s)} is longer than ANNEX_MAX_LEASE ({duration(longest_s)})"
    if is_too_short(length_s, defaults):
        shortest = duration(defaults.shortest_lease_s)
        return (
            f"-lease-duration {_typed(length_s)} is shorter than ANNEX_MIN_LEASE ({shortest}): the lease function "
            "runs every five minutes, and ends a lease at its next run"
        )
    return None


def fault_of_new_end(value: Any, now_s: float, defaults: Defaults) -> str | None:
    """Return the fault of a new end of an existing lease, or None.  It may be arbitrarily near."""
    fault = _fault_of_time("the new end", value, now_s, "-cancel ends an annex at once")
    return fault or fault_of_length(value - now_s, defaults.max_lease_s)


def _fault_of_time(name: str, value: Any, now_s: float, if_past: str) -> str | None:
    """Return why a lease cannot end at this time, or None."""
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) >= 2**53:
        return f"EndOfLease must be in seconds since the epoch, not {shown(value)}"
    if value <= now_s:
        return f"{name} is {now_s - value:.0f} s in the past: {if_past}"
    if not is_end(value):
        return f"{name} is {value}, which the lease function does not accept as a date: is annexd's clock right?"
    return None


def fault_of_length(length_s: float, longest_s: int) -> str | None:
    """Return the fault of an end that is `length_s` away, with `longest_s` for ANNEX_MAX_LEASE; or None."""
    if length_s > longest_s + GRACE_S:
        longest = duration(longest_s)
        return f"the new end is {_typed(length_s)} away, and that is longer than ANNEX_MAX_LEASE ({longest})"
    return None


def is_too_short(length_s: float, defaults: Defaults) -> bool:
    """Return whether it is shorter than the shortest lease less the grace, which is at most a tenth of it."""
    return length_s < defaults.shortest_lease_s - min(GRACE_S, defaults.shortest_lease_s / 10)


def duration(seconds: int) -> str:
    """Format a duration for people: 30d, 12h, 1m30s."""
    return "".join(_units(seconds)) or "0s"


def _units(seconds: int) -> Iterator[str]:
    for unit, length_s in UNITS:
        if seconds >= length_s:
            yield f"{seconds // length_s}{unit}"
            seconds %= length_s


def _typed(length_s: float) -> str:
    """Return the length that the user probably typed: whole minutes, some seconds of which have passed."""
    whole_s = 60 if length_s > 300 else 1
    return duration(-int(-length_s // whole_s) * whole_s)
