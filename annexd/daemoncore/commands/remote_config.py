"""DC_CONFIG_RUNTIME and DC_CONFIG_PERSIST, authorized by SETTABLE_ATTRS_<LEVEL> (daemon_core.cpp)."""

import asyncio
import fnmatch
from collections.abc import Callable, Iterator

from annexd.cedar import commands
from annexd.cedar.levels import Level
from annexd.daemoncore import log
from annexd.daemoncore.commands.call import Call
from annexd.daemoncore.config import runtime_config
from annexd.daemoncore.config.parameters import param
from annexd.daemoncore.config.runtime_config import CannotSet

DONE, REFUSED = 0, -1
HasLevel = Callable[[Call, Level], bool]


class RemoteConfig:
    """`has_level(call, level)` returns whether a command's sender has a level; it may block on the resolver."""

    def __init__(self, has_level: HasLevel) -> None:
        self._has_level = has_level

    async def handle(self, call: Call) -> None:
        """Read a knob and a line, and answer with an integer."""
        message = call.payload()
        knob, line = message.string(), message.nullable_string() or ""
        message.end()
        subject = f"{call.received.command.name} of {knob[:60]} from {call.received.identity.user} at {call.peer}"
        try:
            await asyncio.to_thread(self._set, call, knob, line)
        except CannotSet as error:
            log.always(f"{subject} refused: {error}")
            call.connection.reply(call.connection.message().integer(REFUSED))
        else:
            log.always(f"{subject}: {'set' if line else 'unset'}, effective at the next reconfig")
            call.connection.reply(call.connection.message().integer(DONE))

    def _set(self, call: Call, knob: str, line: str) -> None:
        """Keep the line if the sender may set this knob.  Raises CannotSet."""
        name = runtime_config.name_in(knob, line)
        if not any(self._has_level(call, level) for level in _levels_that_may_set(name)):
            raise CannotSet(f"no SETTABLE_ATTRS_<LEVEL> allows this user to set {name}")
        keep = (
            runtime_config.set_runtime
            if call.received.command.number == commands.DC_CONFIG_RUNTIME
            else runtime_config.set_persistent
        )
        keep(name, line)


def _levels_that_may_set(name: str) -> Iterator[Level]:
    for level in Level:
        patterns = (param(f"SETTABLE_ATTRS_{level}") or "").replace(",", " ").split()
        if level is not Level.ALLOW and any(_matches(name, pattern) for pattern in patterns):
            yield level


def _matches(name: str, pattern: str) -> bool:
    """Match a pattern in which `*` is the only wildcard."""
    return fnmatch.fnmatchcase(name.upper(), pattern.upper().replace("[", "[[]").replace("?", "[?]"))
