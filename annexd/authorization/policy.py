"""The decision: may this peer do what needs this permission level?

The order is that of IpVerify::Verify: ALLOW is open; a hole; the level's DENY list; its ALLOW list; and then
any level that implies this one, by its own lists.  So a DENY list holds for its own level only: whoever is
denied WRITE may still be allowed READ.
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

_INHERITED = "FAMILY"  # AUTH_METHOD_FAMILY: of sessions that were inherited, and of no others


class GuardedCommand(Protocol):
    """What the decision needs to know of a command; the commands of annexd.cedar have it."""

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
    reason: str  # for the log, in an administrator's words; never for the peer


@dataclass(frozen=True)
class Hole:
    """A user who is let in whatever the lists say: the peer of a session that was inherited."""

    user: str
    levels: frozenset[Level]

    def is_for(self, user: str, level: Level) -> bool:
        return user == self.user and level in self.levels


def hole(user: str, *levels: Level) -> Hole:
    """At these levels and at all that they imply: there too, no DENY list closes it (IpVerify::PunchHole)."""
    return Hole(user, frozenset().union(*(implied(level) for level in levels)))


# daemon_core.cpp, where inherited sessions are made.  CONFIG is in neither.
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
    """Of one configuration: read another after a reconfig.  Never changes, so threads may share it."""

    lists: Mapping[Level, LevelLists]
    warnings: tuple[str, ...] = ()  # for the log, once: entries that cannot do what their author meant
    holes: tuple[Hole, ...] = ()

    @classmethod
    def read(cls, param: Param, subsystem: str = "ANNEXD") -> Self:
        """From the configuration: param("ALLOW_READ") gives its value, or None.  No value is an error."""
        configuration = read_configuration(param, subsystem)
        return cls(configuration.lists, configuration.warnings)

    def with_holes(self, *holes: Hole) -> Self:
        return replace(self, holes=holes)

    def authorize(self, command: GuardedCommand, peer: Peer, lookups: Lookups) -> Verdict:
        """The whole decision for a command (daemon_command.cpp, VerifyCommand).

        The resolver is asked only if nothing that comes first decides; what `lookups` raises is passed on.
        """
        visit = AccessCheck(peer, lookups)
        if command.force_authentication and not is_mapped(peer.user):
            return Verdict(False, f"{command.name} needs an authenticated user with a domain, not {visit}")
        levels = (command.level, *command.alternate_levels)
        if not within_limits(levels, peer.limits):
            limits = printable(", ".join(peer.limits))
            return Verdict(False, f"the session of {visit} is limited to {limits}: no {command.level}")
        return self._first_granted(levels, visit)

    def verify(self, level: Level, peer: Peer, lookups: Lookups) -> Verdict:
        """The lists and holes alone (condor_ipverify.cpp): the limits of the session are not considered."""
        return self._verify(level, AccessCheck(peer, lookups))

    def _first_granted(self, levels: Sequence[Level], visit: AccessCheck) -> Verdict:
        """Of the levels that will do; the reason of a refusal is that of the first."""
        verdicts = []
        for level in levels:
            verdicts.append(self._verify(level, visit))
            if verdicts[-1].granted:
                return verdicts[-1]
        return verdicts[0]

    def _verify(self, level: Level, visit: AccessCheck) -> Verdict:
        if level is Level.ALLOW:
            return Verdict(True, "ALLOW is open to everyone")
        if visit.method == _INHERITED and any(hole.is_for(visit.user, level) for hole in self.holes):
            return Verdict(True, f"{visit} always has {level}")
        if visit.address is None:
            return Verdict(False, f"{visit} comes from no IP address")
        lists = self.lists.get(level, LevelLists())
        if lists.deny and (entry := lists.deny.match(visit)):
            return Verdict(False, f"{lists.deny.knob} lists {entry.text}, which covers {visit}")
        if lists.allow and (entry := lists.allow.match(visit)):
            return Verdict(True, f"{lists.allow.knob} lists {entry.text}, which covers {visit}")
        return self._implied(level, lists.allow, visit)

    def _implied(self, level: Level, allow: AccessList | None, visit: AccessCheck) -> Verdict:
        for higher in IMPLIED_BY[level]:
            verdict = self._verify(higher, visit)
            if verdict.granted:
                return Verdict(True, f"{higher} implies {level}: {verdict.reason}")
        reason = f"{allow.knob} does not list {visit}" if allow else f"ALLOW_{level} is not defined"
        if IMPLIED_BY[level]:
            reason += f", and nothing that implies {level} is granted"
        return Verdict(False, reason)
