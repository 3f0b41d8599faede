"""The call that a command handler receives, and the work that it may return."""

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

from annexd.cedar.classad import Scalar, Value
from annexd.cedar.connection import Connection
from annexd.cedar.errors import MalformedMessage
from annexd.cedar.events import CommandReceived
from annexd.cedar.message import MessageReader


@dataclass(frozen=True)
class Call:
    """An authorized command, and the means to answer it."""

    received: CommandReceived
    connection: Connection
    peer: str  # the sender's address, for the log
    send_chunk: Callable[[bytes], Coroutine[Any, Any, None]]  # sends a part of a file, at once

    @property
    def user(self) -> str:
        """Return the sender, user@domain; unauthenticated@unmapped if authentication was not required."""
        return self.received.identity.user

    def payload(self) -> MessageReader:
        """Return the command's message.  Raises PeerError when there is none."""
        if self.received.payload is None:
            raise MalformedMessage("missing message", f"{self.received.command.name} requires one")
        return self.received.payload

    def ad(self) -> dict[str, Value]:
        """Return the command's message as one ClassAd.  Raises PeerError for anything else."""
        message = self.payload()
        ad = message.ad()
        message.end()
        return ad

    def answer(self, ad: Mapping[str, Scalar]) -> None:
        """Send one ClassAd."""
        self.connection.reply(self.connection.message().ad(ad))


Work = Coroutine[Any, Any, None]
Handler = Callable[[Call], Work | None]  # returns the work that remains, or None when the command is done
