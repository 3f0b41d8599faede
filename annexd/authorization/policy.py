"""Decide whether a peer has a permission level.

In the order of IpVerify::Verify: the level ALLOW; a hole; the level's DENY list; its ALLOW list; then each level that
implies this one, by its own lists.  So a DENY list affects its own level only: a user who is denied WRITE may still be
granted READ.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, Self

from annexd.authorization.access_list import AccessList
from annexd.authorization.configuration import LevelLists, Param, read_configuration
from annexd.authorization.limits import within_limits
from annexd.authorization.peer import AccessCheck, Lookups, Peer, printable
from annexd.cedar.identity import is_mapped
from annexd.cedar.levels import IMPLIED_BY, Level, implied

_INHERITED = "FAMILY"  # AUTH_METHOD_FAMILY: inherited sessions only


class GuardedCommand(Protocol):
    """The properties of a command that the decision needs, as in annexd.cedar."""

    @property
    def name(self) -> str: ...
    @property
    def level(self) -> Level: ...
    @property
    def alternate_levels(self) -> Sequence[Level]: ...
    @property
    def force_authentication(self) -> bool: ...


@dataclass(frozen=True)
class Verdict:
    granted: bool
    reason: str  # for the administrator's log, never for the peer


@dataclass(frozen=True)
class Hole:
    """A user who is authorized regardless of the lists: the peer of an inherited session."""

    user: str
    levels: frozenset[Level]

    def is_for(self, user: str, level: Level) -> bool:
        return user == self.user and level in self.levels


def hole(user: str, *levels: Level) -> Hole:
    """Make a hole at these levels and all that they imply; no DENY list closes it (IpVerify::PunchHole)."""
    return Hole(user, frozenset().union(*(implied(level) for level in levels)))


# As daemon_core.cpp makes them for inherited sessions.  Neither has CONFIG.
PARENT = hole("condor@parent", Level.ADMINISTRATOR, Level.DAEMON, Level.CLIENT)
FAMILY = hole(
    "condor@family",
    Level.ADMINISTRATOR,
    Level.DAEMON,
    Level.NEGOTIATOR,
    Level.ADVERTISE_STARTD,
    Level.ADVERTISE_SCHEDD,
    Level.ADVERTISE_MASTER,
    Level.CLIENT,
)


@dataclass(frozen=True)
class AuthorizationPolicy:
    """The policy of one configuration, replaced at a reconfig.  Immutable, so threads can share it."""

    lists: Mapping[Level, LevelLists]
    warnings: tuple[str, ...] = ()  # to log once: entries that cannot mean what their author intended
    holes: tuple[Hole, ...] = ()

    @classmethod
    def read(cls, param: Param, subsystem: str) -> Self:
        """Read the lists.  param("ALLOW_READ") returns the value or None.  Faults give warnings, not errors."""
        configuration = read_configuration(param, subsystem)
        return cls(configuration.lists, configuration.warnings)

    def with_holes(self, *holes: Hole) -> Self:
        return replace(self, holes=holes)

    def authorize(self, command: GuardedCommand, peer: Peer, lookups: Lookups) -> Verdict:
        """Decide whether a peer may give a command (daemon_command.cpp, VerifyCommand).

        Lookups come last, only if nothing else decides.  Exceptions of `lookups` propagate.
        """
        check = AccessCheck(peer, lookups)
        if command.force_authentication and not is_mapped(peer.user):
            return Verdict(False, f"{command.name} requires an authenticated user with a domain, not {check}")
        levels = (command.level, *command.alternate_levels)
        if not within_limits(levels, peer.limits):
            limits = printable(", ".join(peer.limits))
            return Verdict(False, f"the session of {check} is limited to {limits}, without {command.level}")
        return self._first_granted(levels, check)

    def _first_granted(self, levels: Sequence[Level], check: AccessCheck) -> Verdict:
        """Verify the sufficient levels in turn; the reason of a denial is that of the first."""
        verdicts = []
        for level in levels:
            verdicts.append(self.verify(level, check))
            if verdicts[-1].granted:
                return verdicts[-1]
        return verdicts[0]

    def verify(self, level: Level, check: AccessCheck) -> Verdict:
        """Decide by lists and holes only, ignoring the session's limits (condor_ipverify.cpp)."""
        if level is Level.ALLOW:
            return Verdict(True, "ALLOW is open to everyone")
        if check.method == _INHERITED and any(hole.is_for(check.user, level) for hole in self.holes):
            return Verdict(True, f"{check} always has {level}")
        if check.address is None:
            return Verdict(False, f"{check} has no IP address")
        lists = self.lists.get(level, LevelLists())
        if lists.deny and (entry := lists.deny.match(check)):
            return Verdict(False, f"{lists.deny.knob} lists {entry.text}, which covers {check}")
        if lists.allow and (entry := lists.allow.match(check)):
            return Verdict(True, f"{lists.allow.knob} lists {entry.text}, which covers {check}")
        return self._implied(level, lists.allow, check)

    def _implied(self, level: Level, allow: AccessList | None, check: AccessCheck) -> Verdict:
        for higher in IMPLIED_BY[level]:
            verdict = self.verify(higher, check)
            if verdict.granted:
                return Verdict(True, f"{higher} implies {level}: {verdict.reason}")
        reason = f"{allow.knob} does not list {check}" if allow else f"ALLOW_{level} is not defined"
        if IMPLIED_BY[level]:
            reason += f", and nothing that implies {level} is granted"
        return Verdict(False, reason)
