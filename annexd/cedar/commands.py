"""The HTCondor commands that annexd can serve: numbers and names from condor_commands.h, and required levels.

The daemon registers those that it handles: ServerContext.commands, by number.  The order of that table is the order of
ValidCommands.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from annexd.cedar.levels import Level

QUERY_ANY_ADS = 48
QUERY_GENERIC_ADS = 74
CONFIG_VAL = 457
CA_AUTH_CMD = 1000
CA_CMD = 1200
DC_RAISESIGNAL = 60000
DC_CONFIG_PERSIST = 60002
DC_CONFIG_RUNTIME = 60003
DC_RECONFIG = 60004
DC_OFF_GRACEFUL = 60005
DC_OFF_FAST = 60006
DC_CONFIG_VAL = 60007
DC_AUTHENTICATE = 60010
DC_NOP = 60011
DC_RECONFIG_FULL = 60012
DC_FETCH_LOG = 60013
DC_OFF_PEACEFUL = 60015
DC_SET_PEACEFUL_SHUTDOWN = 60016
DC_TIME_OFFSET = 60017
DC_PURGE_LOG = 60018
DC_NOP_READ = 60020
DC_NOP_WRITE = 60021
DC_NOP_NEGOTIATOR = 60022
DC_NOP_ADMINISTRATOR = 60023
DC_NOP_OWNER = 60024
DC_NOP_CONFIG = 60025
DC_NOP_DAEMON = 60026
DC_NOP_ADVERTISE_STARTD = 60027
DC_NOP_ADVERTISE_SCHEDD = 60028
DC_NOP_ADVERTISE_MASTER = 60029
DC_SEC_QUERY = 60040
DC_SET_FORCE_SHUTDOWN = 60041
DC_OFF_FORCE = 60042
DC_QUERY_INSTANCE = 60045


@dataclass(frozen=True)
class Command:
    """payload: whether the client sends a message after the command; otherwise it sends nothing more."""

    number: int
    name: str
    level: Level
    alternate_levels: tuple[Level, ...] = ()
    force_authentication: bool = False
    payload: bool = False

    @property
    def does_nothing(self) -> bool:
        """Return whether it is DC_NOP or a variant, with which clients test their authorization."""
        return self.name.startswith("DC_NOP")


_ALL = (
    Command(DC_NOP, "DC_NOP", Level.ALLOW),
    Command(DC_NOP_READ, "DC_NOP_READ", Level.READ),
    Command(DC_NOP_WRITE, "DC_NOP_WRITE", Level.WRITE),
    Command(DC_NOP_NEGOTIATOR, "DC_NOP_NEGOTIATOR", Level.NEGOTIATOR),
    Command(DC_NOP_ADMINISTRATOR, "DC_NOP_ADMINISTRATOR", Level.ADMINISTRATOR),
    Command(DC_NOP_OWNER, "DC_NOP_OWNER", Level.ADMINISTRATOR),  # 10.x removed OWNER; the number remains
    Command(DC_NOP_CONFIG, "DC_NOP_CONFIG", Level.CONFIG),
    Command(DC_NOP_DAEMON, "DC_NOP_DAEMON", Level.DAEMON),
    Command(DC_NOP_ADVERTISE_STARTD, "DC_NOP_ADVERTISE_STARTD", Level.ADVERTISE_STARTD),
    Command(DC_NOP_ADVERTISE_SCHEDD, "DC_NOP_ADVERTISE_SCHEDD", Level.ADVERTISE_SCHEDD),
    Command(DC_NOP_ADVERTISE_MASTER, "DC_NOP_ADVERTISE_MASTER", Level.ADVERTISE_MASTER),
    Command(DC_QUERY_INSTANCE, "DC_QUERY_INSTANCE", Level.ALLOW),
    Command(DC_CONFIG_VAL, "DC_CONFIG_VAL", Level.READ, payload=True),
    Command(CONFIG_VAL, "CONFIG_VAL", Level.READ, payload=True),
    Command(QUERY_GENERIC_ADS, "QUERY_GENERIC_ADS", Level.READ, payload=True),
    Command(QUERY_ANY_ADS, "QUERY_ANY_ADS", Level.READ, payload=True),
    Command(DC_CONFIG_PERSIST, "DC_CONFIG_PERSIST", Level.DAEMON, (Level.ALLOW,), payload=True),
    Command(DC_CONFIG_RUNTIME, "DC_CONFIG_RUNTIME", Level.DAEMON, (Level.ALLOW,), payload=True),
    Command(DC_RAISESIGNAL, "DC_RAISESIGNAL", Level.DAEMON, payload=True),
    Command(DC_TIME_OFFSET, "DC_TIME_OFFSET", Level.DAEMON, payload=True),
    Command(DC_RECONFIG, "DC_RECONFIG", Level.ADMINISTRATOR),
    Command(DC_RECONFIG_FULL, "DC_RECONFIG_FULL", Level.ADMINISTRATOR),
    Command(DC_OFF_GRACEFUL, "DC_OFF_GRACEFUL", Level.ADMINISTRATOR),
    Command(DC_OFF_FAST, "DC_OFF_FAST", Level.ADMINISTRATOR),
    Command(DC_OFF_FORCE, "DC_OFF_FORCE", Level.ADMINISTRATOR),
    Command(DC_OFF_PEACEFUL, "DC_OFF_PEACEFUL", Level.ADMINISTRATOR),
    Command(DC_SET_PEACEFUL_SHUTDOWN, "DC_SET_PEACEFUL_SHUTDOWN", Level.ADMINISTRATOR),
    Command(DC_SET_FORCE_SHUTDOWN, "DC_SET_FORCE_SHUTDOWN", Level.ADMINISTRATOR),
    Command(DC_FETCH_LOG, "DC_FETCH_LOG", Level.ADMINISTRATOR, payload=True),
    Command(DC_PURGE_LOG, "DC_PURGE_LOG", Level.ADMINISTRATOR, payload=True),
    # HTCondor's schedd and startd require WRITE for these two; here they spend money.
    Command(CA_AUTH_CMD, "CA_AUTH_CMD", Level.ANNEX, force_authentication=True, payload=True),
    Command(CA_CMD, "CA_CMD", Level.ANNEX, payload=True),
)

COMMANDS: Mapping[int, Command] = {command.number: command for command in _ALL}
