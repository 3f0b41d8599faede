"""HTCondor's permission levels and their hierarchy (condor_perms.cpp), and annexd's own level ANNEX.

ANNEX is the permission to order annexes, with lists and a token scope like every level.  ADMINISTRATOR implies ANNEX.
ANNEX implies nothing, so a user who may order cannot stop the daemon or read its log.
"""

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
    ANNEX = "ANNEX"


IMPLIES: Mapping[Level, tuple[Level, ...]] = {  # directly
    Level.WRITE: (Level.READ,),
    Level.NEGOTIATOR: (Level.READ,),
    Level.ADMINISTRATOR: (Level.WRITE, Level.ANNEX),
    Level.CONFIG: (Level.READ,),
    Level.DAEMON: (Level.WRITE,),
    Level.ADVERTISE_STARTD: (Level.READ,),
    Level.ADVERTISE_SCHEDD: (Level.READ,),
    Level.ADVERTISE_MASTER: (Level.READ,),
}

IMPLIED_BY: Mapping[Level, tuple[Level, ...]] = {  # directly
    level: tuple(higher for higher, lower in IMPLIES.items() if level in lower) for level in Level
}


def implied(level: Level) -> tuple[Level, ...]:
    """Return a level and all that it implies, highest first: ADMINISTRATOR, WRITE, READ, ANNEX."""
    return (level, *(each for lower in IMPLIES.get(level, ()) for each in implied(lower)))
