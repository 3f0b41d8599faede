"""The state of a conversation, shared by its parts, and how they wait without blocking.

Each part of the protocol is a generator (Exchange).  It yields an event: NeedData until more bytes arrive, or a
question whose answer the yield returns.  So the code reads from top to bottom, and nothing blocks.
"""

import re
from collections.abc import Callable, Generator
from typing import Any, TypeVar

from annexd.cedar.channel import Channel
from annexd.cedar.context import Endpoint, ServerContext
from annexd.cedar.events import NEED_DATA, Event
from annexd.cedar.identity import UNAUTHENTICATED, Identity
from annexd.cedar.message import MessageReader, MessageWriter

T = TypeVar("T")
Exchange = Generator[Event, Any, T]

_VERSION = re.compile(r"\$CondorVersion: ([0-9]{1,4})\.([0-9]{1,4})\.([0-9]{1,4}) ")


class PeerLeft(Exception):
    """The peer closed the connection between two messages."""


class Dialogue:
    """The conversation with one peer: its channel, the time, and what is known about the peer."""

    def __init__(self, context: ServerContext, local: Callable[[], Endpoint]) -> None:
        self.context = context
        self._find_local = local
        self._local: Endpoint | None = None
        self.channel = Channel(context.limits.handshake_message_bytes)
        self.now_s = 0.0
        self.version_of_peer: object = None  # as the peer claims
        self.session_id: str | None = None
        self._identity = UNAUTHENTICATED

    @property
    def identity(self) -> Identity:
        return self._identity

    def set_identity(self, identity: Identity) -> None:
        """Set the peer's identity, and allow larger messages if it has a name."""
        self.expect_identity(identity)
        self._identity = identity
        self.channel.max_message_bytes = self.channel.proved_message_bytes

    def expect_identity(self, identity: Identity) -> None:
        """Allow larger messages, if the identity has a name, once a frame proves the session's key."""
        if identity.named:
            self.channel.proved_message_bytes = self.context.limits.command_message_bytes

    @property
    def local(self) -> Endpoint:
        if self._local is None:
            self._local = self._find_local()
        return self._local

    @property
    def peer_version(self) -> tuple[int, ...]:
        match = _VERSION.match(str(self.version_of_peer))
        return tuple(map(int, match.groups())) if match else ()

    def receive(self) -> Exchange[MessageReader]:
        """Return the peer's next message.  Raises PeerLeft or PeerError at the end of its bytes."""
        while (body := self.channel.next_message()) is None:
            if self.channel.at_end:
                raise PeerLeft if self.channel.is_between_messages else self.channel.truncation_error()
            yield NEED_DATA
        return MessageReader(
            body,
            encrypted=self.channel.is_encrypted,
            secrets=self.channel.secret_reader(),
            ad_limits=self.context.limits.command_ad,
        )

    def message(self) -> MessageWriter:
        return MessageWriter(encrypted=self.channel.is_encrypted, secrets=self.channel.secret_writer())

    def send(self, message: MessageWriter) -> None:
        self.channel.send(message.body())
