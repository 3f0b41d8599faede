"""Shared parts of the steps that change the end of a lease: their results, and the checks whether it is too late."""

from dataclasses import dataclass
from typing import Final

from annexd.annex.fleet.inventory import Fleet
from annexd.annex.lease.heartbeat import TICK_S
from annexd.annex.lease.lease import utc
from annexd.annex.request.lease_length import GRACE_S, duration
from annexd.annex.request.order import ChangeOrder
from annexd.annex.steps.tag_fleets import AnnexFleets
from annexd.workflow import Refused

LONGEST_WAIT_S: Final = 600.0  # for an extension to get its turn and for AWS; then nobody waits for it any more
TOO_LATE_S: Final = 120.0  # before the present end: maximum duration of a run of the function that sees the old end


@dataclass(frozen=True)
class Turn:
    """The annex's fleets, and the time of the last write for this lease whose outcome is unclear, or 0."""

    fleets: AnnexFleets
    unclear_at_s: float


@dataclass(frozen=True)
class LeaseRead:
    """The present end, the new end, the machines' longest life, and the time of the function's check."""

    from_s: int
    end_of_lease_s: int
    max_lease_s: int
    checked_at_s: float

    @property
    def is_longer(self) -> bool:
        return self.end_of_lease_s > self.from_s


@dataclass(frozen=True)
class MoveIntent:
    """The fleets that get the new end."""

    fleets: AnnexFleets
    lease: LeaseRead


@dataclass(frozen=True)
class MachinesInformed:
    """Whether the machines will learn the new end; a warning if not, else empty."""

    warning: str


def lasting(fleets: list[Fleet]) -> list[Fleet]:
    """Return those whose lease can be moved: all that AWS has not ended, or all if it has ended each."""
    return [fleet for fleet in fleets if not fleet.is_ended or fleet.runs_on] or fleets


def is_cancelled(fleets: list[Fleet]) -> bool:
    """Return whether all fleets are cancelled, so that even a lost call can no longer change the end."""
    return bool(fleets) and all(fleet.is_cancelled for fleet in fleets)


def was_cancelled(annex_id: str) -> Refused:
    return Refused(f"annex {annex_id} was cancelled: its end cannot be moved", untouched=True, result="InvalidState")


def check_lives(fleet: Fleet) -> None:
    if fleet.is_cancelled:
        raise was_cancelled(fleet.annex_id)
    if fleet.is_ended and not fleet.runs_on:  # which a fleet is after its provisioning delay
        message = f"too late: {fleet.fleet_id} of annex {fleet.annex_id} is {fleet.state}"
        raise Refused(message, untouched=True, result="InvalidState")


def check_is_waited_for(order: ChangeOrder, now_s: float) -> None:
    """Refuse an extension that was delayed too long: it would cost money after its user has given up."""
    if now_s - order.asked_at_s > LONGEST_WAIT_S:
        message = f"annexd could not extend the lease within {LONGEST_WAIT_S / 60:.0f} minutes: try again"
        raise Refused(message, untouched=True)


def check_times(order: ChangeOrder, from_s: int, end_s: int, now_s: float) -> None:
    """Refuse a change that is too late, and, without -now, an end before the machines can drain."""
    if from_s - now_s < TOO_LATE_S:
        message = f"too late: the lease ends at {utc(from_s)}, and a change needs {TOO_LATE_S:.0f} s before"
        raise Refused(message, untouched=True, result="InvalidState")
    nearest_s = 2 * TICK_S + order.drain_s
    if end_s - now_s < nearest_s - min(GRACE_S, nearest_s / 10) and end_s < from_s and not order.now:
        message = (
            f"the new end is only {duration(max(0, int(end_s - now_s)))} away, but the machines need up to "
            f"{duration(int(nearest_s))} to learn of it and to drain: add -now to end the lease anyway"
        )
        raise Refused(message, untouched=True, result="InvalidRequest")
