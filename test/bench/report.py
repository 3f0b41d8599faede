"""The results as lines of text: the ratios first, since they can be compared between machines; seconds cannot."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from test.bench.measure import Made, Round

AIM_WALL, AIM_RATE = 0.4, 2.5


@dataclass(frozen=True)
class Phases:
    """The phases of one annex ordered alone: until AWS's first response, from there to the last, and on to the end."""

    before_s: float
    calls_s: float
    after_s: float
    calls: int


@dataclass(frozen=True)
class Pair:
    """Two rounds next to each other in time; a ratio is taken within a pair only."""

    ours: Round
    peer: Round


def phases(made: Made, answered_at_s: Sequence[float]) -> Phases:
    """Return the phases, from the times of all of the cloud's responses."""
    own = sorted(at_s for at_s in answered_at_s if made.began_s <= at_s <= made.ended_s)
    return Phases(own[0] - made.began_s, own[-1] - own[0], made.ended_s - own[-1], len(own))


def alone(pairs: Sequence[Pair]) -> Iterator[str]:
    ratios = [pair.ours.wall_s / pair.peer.wall_s for pair in pairs]
    yield f"wall time of one annex alone: {_spread(ratios)} of the C++ tool's (aim: under {AIM_WALL})"


def together(pairs: Sequence[Pair]) -> Iterator[str]:
    ratios = [pair.ours.annexes_per_s / pair.peer.annexes_per_s for pair in pairs]
    yield f"annexes per second, several at once: {_spread(ratios)} times the C++ tool's (aim: over {AIM_RATE})"


def cpu(pairs: Sequence[Pair]) -> Iterator[str]:
    """Yield the ratios of all rounds together, since the kernel counts the daemons' time in hundredths of a second."""
    ours, peer = (
        [sum(getattr(side, field) for side in sides) for field in ("client_cpu_s", "daemons_cpu_s")]
        for sides in ([pair.ours for pair in pairs], [pair.peer for pair in pairs])
    )
    yield f"CPU time of the command and its helpers: {ours[0] / peer[0]:.2f} of the C++ tool's"
    yield f"CPU time with that of the pool's daemons: {sum(ours) / sum(peer):.2f} of the C++ tool's"


def strangers(pairs: Sequence[Pair]) -> Iterator[str]:
    """Yield the share of other processes; it slows both, but not equally, since a sleeping client is not affected."""
    shares = [side.strangers_share for pair in pairs for side in (pair.ours, pair.peer)]
    yield f"other processes of this machine took {100 * sum(shares) / len(shares):.0f} % of its CPUs meanwhile"


def wall_row(name: str, rounds: Sequence[Round]) -> str:
    walls_ms = sorted(1000 * each.wall_s for round_ in rounds for each in round_.made)
    return f"{name:8}{median(walls_ms):8.0f} ms median, {walls_ms[0]:.0f} to {walls_ms[-1]:.0f}"


def phases_row(name: str, measured: Sequence[Phases]) -> str:
    before, calls, after = (
        1000 * median(getattr(each, field) for each in measured) for field in ("before_s", "calls_s", "after_s")
    )
    number = measured[0].calls
    return (
        f"{name:8}{before:8.0f} ms until AWS's first answer, {calls:.0f} until the last of {number}, "
        f"{after:.0f} until the command ends"
    )


def bindings_row(name: str, walls_s: Sequence[float]) -> str:
    """Return a line on most of the first phase: the time of a program that does nothing else."""
    return f"{name:8}{1000 * median(walls_s):8.0f} ms to start Python and import HTCondor's bindings, by itself"


def rate_row(name: str, rounds: Sequence[Round]) -> str:
    walls_ms = [1000 * made.wall_s for each in rounds for made in each.made]
    return (
        f"{name:8}{median(each.annexes_per_s for each in rounds):8.1f} annexes/s; each takes {median(walls_ms):.0f} ms"
    )


def cpu_row(name: str, rounds: Sequence[Round]) -> str:
    annexes = sum(len(each.made) for each in rounds)
    spent = [
        1000 * sum(getattr(each, field) for each in rounds) / annexes
        for field in ("client_cpu_s", "daemons_cpu_s", "cloud_cpu_s")
    ]
    return (
        f"{name:8}{spent[0]:8.0f} ms of CPU an annex in the command and its helpers, {spent[1]:.0f} in the pool's "
        f"daemons, {spent[2]:.0f} in the emulated AWS"
    )


def _spread(ratios: Sequence[float]) -> str:
    """Return the median and the range."""
    return f"{median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
