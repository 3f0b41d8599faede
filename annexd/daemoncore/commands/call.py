"""What the handler of a command is given, and what it may leave to be done."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from annexd.cedar.connection import Connection
from annexd.cedar.errors import MalformedMessage
from annexd.cedar.events import CommandReceived
from annexd.cedar.message import MessageReader


@dataclass(frozen=True)
class Call:
    """A command that its sender may give, and the way to answer."""

    received: CommandReceived
    connection: Connection
    peer: str  # the sender's address, for the log
    send_chunk: Callable[[bytes], Coroutine[Any, Any, None]]  # a part of a file, at once


Work = Coroutine[Any, Any, None]
Handler = Callable[[Call], Work | None]  # what is left to do, or None when all is done


def payload_of(call: Call) -> MessageReader:
    """The command's message.  Raises PeerError when there is none."""
    if call.received.payload is None:
        raise MalformedMessage("missing message", f"{call.received.command.name} comes with one")
    return call.received.payload
