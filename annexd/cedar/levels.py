"""HTCondor's permission levels, and which of them include others (condor_perms.cpp)."""

from collections.abc import Mapping
from enum import StrEnum


class Level(StrEnum):
    ALLOW = "ALLOW"
    READ = "READ"
    WRITE = "WRITE"
    NEGOTIATOR = "NEGOTIATOR"
    ADMINISTRATOR = "ADMINISTRATOR"
    CONFIG = "CONFIG"
    DAEMON = "DAEMON"
    CLIENT = "CLIENT"
    ADVERTISE_STARTD = "ADVERTISE_STARTD"
    ADVERTISE_SCHEDD = "ADVERTISE_SCHEDD"
    ADVERTISE_MASTER = "ADVERTISE_MASTER"


IMPLIES: Mapping[Level, Level] = {  # each level implies at most one other directly
    Level.WRITE: Level.READ,
    Level.NEGOTIATOR: Level.READ,
    Level.ADMINISTRATOR: Level.WRITE,
    Level.CONFIG: Level.READ,
    Level.DAEMON: Level.WRITE,
    Level.ADVERTISE_STARTD: Level.READ,
    Level.ADVERTISE_SCHEDD: Level.READ,
    Level.ADVERTISE_MASTER: Level.READ,
}

IMPLIED_BY: Mapping[Level, tuple[Level, ...]] = {  # directly
    level: tuple(higher for higher, lower in IMPLIES.items() if lower is level) for level in Level
}


def implied(level: Level) -> tuple[Level, ...]:
    """The level itself and all that it implies, highest first: ADMINISTRATOR, WRITE, READ."""
    chain = [level]
    while lower := IMPLIES.get(chain[-1]):
        chain.append(lower)
    return tuple(chain)
