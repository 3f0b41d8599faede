"""From AWS's errors to the engine's two words: Retry and Refused."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from annexd.annex.access import Access
from annexd.annex.parcel import NoSupplies, Supplies
from annexd.aws import errors
from annexd.aws.errors import AWS_ERRORS
from annexd.workflow import Refused, Retry


@dataclass(frozen=True)
class World:
    """What the steps act on."""

    access: Access
    now_s: Callable[[], float] = time.time
    settle_s: float = 90.0  # a call whose answer was lost may take effect until then: 30 s to read, and twice more
    supplies: Supplies = field(default_factory=NoSupplies)
    skew_s: Callable[[], float] = lambda: 0.0  # by how much AWS's clock is ahead, by its newest answer

    def aws_now_s(self) -> float:
        """By the clock by which leases end."""
        return self.now_s() + self.skew_s()


@contextmanager
def asking(operation: str) -> Iterator[None]:
    """Make whatever AWS, or the way to it, raises inside a Retry or a Refused."""
    try:
        yield
    except AWS_ERRORS as error:
        words = errors.describe(error, operation)
        untouched = errors.had_no_effect(error)
        if errors.is_transient(error):
            raise Retry(words, untouched=untouched) from error
        raise Refused(words, untouched=untouched) from error


def settled(world: World, asked_at_s: float, what: str) -> None:
    """Return when a lost call can no longer take effect: only then is `not found` the truth.  Raises Retry."""
    wait_s = asked_at_s + world.settle_s - world.now_s()
    if wait_s > 0:
        raise Retry(f"{what} is not there, but an answer of AWS was lost {world.settle_s - wait_s:.0f} s ago")


def before_the_end(world: World, end_of_lease_s: int) -> None:
    """Refuse to build a lease that is over: the lease function could remove it while it is being built."""
    if world.now_s() >= end_of_lease_s:
        raise Refused("the lease ended before the instances were asked for", untouched=True)
