"""The table of a daemon's commands and their handlers.

The table is the interface: ValidCommands and the results of condor_ping are derived from it.
"""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from annexd.cedar import commands
from annexd.cedar.commands import COMMANDS, Command
from annexd.daemoncore import log
from annexd.daemoncore.commands.call import Call, Handler, Work

INSTANCE_ID = secrets.token_hex(8).encode()  # 16 hexadecimal digits, the same for the life of this process


@dataclass(frozen=True)
class Actions:
    """Commands to the daemon as a whole."""

    reconfig: Callable[[], None]
    stop_gracefully: Callable[[], None]
    stop_fast: Callable[[], None]


class Dispatcher:
    """`administration` maps numbers of COMMANDS to handlers; `own` holds the commands of this daemon alone."""

    def __init__(self, actions: Actions, administration: Mapping[int, Handler], own: Mapping[Command, Handler]) -> None:
        self._handlers = {**_handlers(actions), **administration}
        common = {number: COMMANDS[number] for number in COMMANDS if number in self._handlers}
        self.commands: Mapping[int, Command] = common | {command.number: command for command in own}
        self._handlers |= {command.number: handler for command, handler in own.items()}

    def __call__(self, call: Call) -> Work | None:
        command = call.received.command
        log.full_debug(
            f"Received command {command.number} ({command.name}) from {call.received.identity.user} {call.peer}"
        )
        return self._handlers[command.number](call)


def _handlers(actions: Actions) -> Mapping[int, Handler]:
    graceful, fast = _logged(actions.stop_gracefully), _logged(actions.stop_fast)
    return {
        **{number: _nothing for number, command in COMMANDS.items() if command.does_nothing},
        commands.DC_QUERY_INSTANCE: _send_instance,
        commands.DC_RECONFIG: _logged(actions.reconfig),
        commands.DC_RECONFIG_FULL: _logged(actions.reconfig),
        commands.DC_OFF_GRACEFUL: graceful,
        commands.DC_OFF_PEACEFUL: graceful,  # a graceful shutdown already lets work under way end
        commands.DC_OFF_FAST: fast,
        commands.DC_OFF_FORCE: fast,
        commands.DC_SET_PEACEFUL_SHUTDOWN: _nothing,
        commands.DC_SET_FORCE_SHUTDOWN: _nothing,
    }


def _nothing(_call: Call) -> None:
    """Send nothing: that the command was authorized is the answer."""


def _send_instance(call: Call) -> None:
    call.connection.reply(INSTANCE_ID)


def _logged(action: Callable[[], None]) -> Handler:
    def handle(call: Call) -> None:
        log.always(f"{call.received.command.name} from {call.received.identity.user} at {call.peer}")
        action()

    return handle
